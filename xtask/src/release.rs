//! Whether the published crates could be published: what they may depend on, what they say of themselves, what is packed, and
//! the Rust that they state. With `--long` also whether what was packed builds, its documentation as docs.rs makes it, and what
//! became of the public API.

mod manifests;

use std::fs;
use std::path::Path;

use crate::program::{Program, target};

/// What the registry takes at most.
const CRATE_BYTES_MAX: u64 = 10_000_000;
/// What each crate has to bring along.
const PACKED: [&str; 5] = [
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "src/",
];
/// What it may have beside that.
const MAY_BE_PACKED: [&str; 7] = [
    ".cargo_vcs_info.json",
    "Cargo.lock",
    "Cargo.toml.orig",
    "clippy.toml",
    "examples/",
    "templates/",
    "tests/",
];

/// What compiles nothing.
pub(crate) fn run() -> Result<(), String> {
    let published = manifests::check()?;
    deny()?;
    lists(&published)?;
    package(&published, &["--no-verify"])
}

/// All of it; this compiles for some minutes.
pub(crate) fn long() -> Result<(), String> {
    let published = manifests::check()?;
    deny()?;
    lists(&published)?;
    package(&published, &[])?;
    docs_rs(&published)?;
    semver(&published)
}

/// Licences, duplicate versions and sources, by what deny.toml says. The list of advisories isn't asked: it's no registry's.
fn deny() -> Result<(), String> {
    if Program::cargo(&["deny", "--version"]).output().is_err() {
        println!(
            "LEFT OUT: licences and duplicates, since cargo-deny isn't here; `cargo xtask test --only release` installs it"
        );
        return Ok(());
    }
    let strict = ["-D", "unmatched-skip", "-D", "unnecessary-skip"];
    let args = [&["deny", "check", "--hide-inclusion-graph"], &strict[..]].concat();
    let args = [&args[..], &["licenses", "bans", "sources"]].concat();
    Program::cargo(&args).run()
}

/// Whether what would be packed is what should be.
fn lists(published: &[String]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for name in published {
        let args = ["package", "--list", "--allow-dirty", "--package", name];
        let list = Program::cargo(&args).output()?;
        wrong.extend(list_flaws(&list).iter().map(|it| format!("{name}: {it}")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("packages aren't whole:\n  {}", wrong.join("\n  ")))
}

/// What is missing from a list of packed files, and what shouldn't be in it.
fn list_flaws(list: &str) -> Vec<String> {
    let is = |file: &str, entry: &str| {
        file == entry || (entry.ends_with('/') && file.starts_with(entry))
    };
    let missing = PACKED
        .iter()
        .filter(|entry| !list.lines().any(|file| is(file, entry)));
    let missing = missing.map(|it| format!("{it} is missing"));
    let known = |file: &str| {
        let entries = PACKED.iter().chain(&MAY_BE_PACKED);
        entries.copied().any(|entry| is(file, entry))
    };
    let strange = list.lines().filter(|file| !known(file));
    missing
        .chain(strange.map(|it| format!("{it} is packed")))
        .collect()
}

/// Packs all published crates, and builds them from their packages unless `how` says otherwise.
fn package(published: &[String], how: &[&str]) -> Result<(), String> {
    let args = ["package", "--quiet", "--allow-dirty", "--locked"];
    let names = selected(published);
    let args = [&args[..], how, &names].concat();
    // It says of each crate that no address of a repository is known; there is none yet.
    Program::cargo(&args).run()?;
    let folder = target().join("package");
    for name in published {
        let file = format!("{name}-{}.crate", env!("CARGO_PKG_VERSION"));
        let bytes = fs::metadata(folder.join(&file))
            .map_err(|error| format!("{file} wasn't made: {error}"))?
            .len();
        println!("{file}: {} kB", bytes / 1_000);
        if bytes > CRATE_BYTES_MAX {
            return Err(format!("{file} has {bytes} bytes"));
        }
    }
    Ok(())
}

/// The documentation as docs.rs makes it, by a nightly Rust. What the `doc` step makes by this one is the same but for the marks
/// of features.
fn docs_rs(published: &[String]) -> Result<(), String> {
    let nightly = ["run", "nightly", "cargo"];
    let version = [&nightly[..], &["--version"]].concat();
    if Program::new("rustup", &version).output().is_err() {
        println!("LEFT OUT: documentation as docs.rs makes it, since no nightly Rust is here");
        return Ok(());
    }
    let names = selected(published);
    let doc = ["doc", "--no-deps", "--all-features", "--locked"];
    let args = [&nightly[..], &doc, &names].concat();
    Program::new("rustup", &args)
        .env("CARGO_TARGET_DIR", target().join("docs-rs"))
        .env("RUSTDOCFLAGS", "--cfg docsrs -D warnings")
        .run()
}

/// Whether the version says what became of the public API since the last release, or, before there is one, that it can be
/// read: then what is committed is compared with what is here.
fn semver(published: &[String]) -> Result<(), String> {
    let last = ["describe", "--tags", "--abbrev=0", "--match", "v*"];
    let last = Program::new("git", &last).output();
    let baseline = last.as_deref().map_or("HEAD", str::trim);
    println!("the public API, compared with {baseline}");
    let libraries: Vec<String> = published
        .iter()
        .filter(|it| *it != "bennu-cli")
        .cloned()
        .collect();
    let names = selected(&libraries);
    let args = [
        "semver-checks",
        "--baseline-rev",
        baseline,
        "--all-features",
    ];
    let folder = target().join("semver");
    forget(&folder)?;
    Program::cargo(&[&args[..], &names].concat())
        .env("CARGO_TARGET_DIR", folder)
        .run()
}

/// Has our crates built anew. What is here and what it's compared with are described in the same file, one after the other: cargo
/// would leave the one of the last run where it is.
fn forget(folder: &Path) -> Result<(), String> {
    let built = folder.join("debug/.fingerprint");
    // Without the folder nothing has been built yet.
    for entry in fs::read_dir(built).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("bennu") {
            fs::remove_dir_all(entry.path())
                .map_err(|error| format!("{} stays: {error}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// `--package` and the name, of each.
fn selected(names: &[String]) -> Vec<&str> {
    let selected = names.iter().flat_map(|it| ["--package", it.as_str()]);
    selected.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_its_licences_and_nothing_strange() {
        let check = |list: &str, expected: &[&str]| {
            assert_eq!(list_flaws(&list.replace(' ', "\n")), expected, "{list}");
        };
        let whole = "Cargo.toml LICENSE-APACHE LICENSE-MIT README.md src/lib.rs tests/a/b.rs";
        check(whole, &[]);
        check(
            &whole.replace("LICENSE-MIT ", ""),
            &["LICENSE-MIT is missing"],
        );
        check(&whole.replace("src/lib.rs ", ""), &["src/ is missing"]);
        check(&format!("{whole} key.pem"), &["key.pem is packed"]);
        check(
            &format!("{whole} node_modules/a"),
            &["node_modules/a is packed"],
        );
    }
}
