//! `cargo xtask bench`: what Bennu costs, beside floors and beside what else there is.

use crate::program::{Program, target};

/// Where the figures and plots of a run go, in cargo's folder.
const FOLDER: &str = "bench";

/// Builds the bench for release and runs it. `args` is what follows `cargo xtask bench`: the bench's own options.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    Program::cargo(&["build", "--release", "--package", "bennu-bench"]).run()?;
    let folder = target().join(FOLDER);
    let (json, plots) = (folder.join("bench.json"), folder.to_string_lossy());
    let (json, about) = (json.to_string_lossy(), about());
    let own = ["--json", &json, "--plots", &plots, "--about", &about];
    let program = target().join("release/bennu-bench");
    Program::new(&program.to_string_lossy(), &arguments(&own, args)).run()?;
    println!("{json} has the figures, and plots are beside it.");
    Ok(())
}

/// Whether it runs through, with as little of everything as will do. The bench is built with the other programs, for
/// debugging: its figures aren't looked at.
pub(crate) fn quick() -> Result<(), String> {
    crate::test::build()?;
    let program = target().join("debug/bennu-bench");
    Program::new(&program.to_string_lossy(), &["--quick"]).run()
}

/// Ours come first: what follows a scenario's name belongs to it. A `--` between cargo's arguments and ours means nothing.
fn arguments<'a>(own: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
    let given = args.iter().filter(|it| **it != "--");
    own.iter().chain(given).copied().collect()
}

/// What is measured, when, and by which compiler it was built.
fn about() -> String {
    let said = |name: &str, args: &[&str]| {
        let said = Program::new(name, args).env("LC_ALL", "C").output();
        said.map(|it| it.trim().to_owned()).unwrap_or_default()
    };
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let changes = match said("git", &["status", "--porcelain", "--", "crates", "bench"]).as_str() {
        "" => "",
        _ => " with changes",
    };
    let date = said("date", &["-u", "+%-d %B %Y"]);
    let rustc = said("rustc", &["--version"]);
    let version = env!("CARGO_PKG_VERSION");
    format!("Bennu {version} at `{commit}`{changes}, {date}, {rustc}, thin LTO")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchs_arguments_follow_ours() {
        let check = |args: &[&str], expected: &[&str]| {
            assert_eq!(arguments(&["--json", "a"], args), expected);
        };
        check(&[], &["--json", "a"]);
        check(&["--", "echo"], &["--json", "a", "echo"]);
        check(&["--write"], &["--json", "a", "--write"]);
    }
}
