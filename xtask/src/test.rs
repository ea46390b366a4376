//! `cargo xtask test`: every check and test of the project, in steps that can be run alone.

use std::time::{Duration, Instant};

use crate::program::{Program, target};
use crate::{autobahn, bench, clients, docs, generated, layers, release, tools};

/// One step: what it's called, what it's for, and how it's done.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<(), String>,
    /// What `--long` does instead.
    long: Option<fn() -> Result<(), String>>,
}

/// In the order in which they tell most soonest.
const STEPS: &[Step] = &[
    Step {
        name: "tools",
        about: "what the tests need is there",
        run: tools::run,
        long: None,
    },
    Step {
        name: "fmt",
        about: "the code is formatted",
        run: fmt,
        long: None,
    },
    Step {
        name: "clippy",
        about: "the lints have nothing to say",
        run: clippy,
        long: None,
    },
    Step {
        name: "layers",
        about: "no crate knows what it mustn't",
        run: layers::run,
        long: None,
    },
    Step {
        name: "docs",
        about: "links lead somewhere, tables name tests that exist, and dependencies have reasons",
        run: docs::run,
        long: None,
    },
    Step {
        name: "release",
        about: "the crates could be published: licences, duplicates, manifests, packages, the Rust they state",
        run: release::run,
        long: Some(release::long),
    },
    Step {
        name: "unit",
        about: "unit and integration tests",
        run: unit,
        long: None,
    },
    Step {
        name: "doc",
        about: "the documentation's examples, and its links",
        run: doc,
        long: None,
    },
    Step {
        name: "generated",
        about: "applications made by `bennu new` build, pass their tests and serve their page",
        run: || generated::run(false),
        long: Some(|| generated::run(true)),
    },
    Step {
        name: "client",
        about: "our JavaScript client: types, build, size, tests",
        run: client,
        long: None,
    },
    Step {
        name: "node",
        about: "the official JavaScript clients, and ours, against the server",
        run: node,
        long: None,
    },
    Step {
        name: "clients",
        about: "other people's clients for JavaScript, Python and Rust",
        run: || clients::run(false),
        long: Some(|| clients::run(true)),
    },
    Step {
        name: "chromium",
        about: "the examples' pages in a browser",
        run: chromium,
        long: None,
    },
    Step {
        name: "autobahn",
        about: "what RFC 6455 allows and forbids, tried on the echo server",
        run: || autobahn::run(&[]),
        long: None,
    },
    Step {
        name: "abuse",
        about: "what hostile clients do to the server, and who else notices",
        run: || abuse(&[], &[]),
        long: Some(|| abuse(&["--release"], &[])),
    },
    Step {
        name: "bench",
        about: "the bench runs through; what it measures isn't judged",
        run: bench::quick,
        long: None,
    },
    Step {
        name: "soak",
        about: "sockets, channels and names come and go: a minute, or 20 with --long",
        run: || abuse(&[], SOAK),
        long: Some(|| abuse(&["--release"], &["soak", "--minutes", "20"])),
    },
];

/// Runs where it's asked for: with `--faults`, or by its name.
const FAULTS: Step = Step {
    name: "faults",
    about: "9,000 clients on three nodes, while nodes and the bus are killed, stopped and cut off",
    run: faults,
    long: None,
};

/// Runs where it's asked for, with `--long` or by its name: all is compiled once more for it.
const SCHEDULES: Step = Step {
    name: "schedules",
    about: "what threads may do to topics, outboxes and long-poll sessions, in whatever order",
    run: || schedules(100_000),
    long: Some(|| schedules(1_000_000)),
};

/// A minute of what 20 minutes do, by servers that aren't optimized.
const SOAK: &[&str] = &[
    "soak",
    "--minutes",
    "1",
    "--sockets",
    "2000",
    "--guests",
    "1",
];

/// What is behind features is linted and tested too. All steps that compile the workspace say it, so that each dependency
/// is compiled once.
const ALL_FEATURES: &str = "--all-features";

/// Where the suites in JavaScript are.
const PHOENIX_JS: &str = "tests/phoenix-js";
/// Where our client in JavaScript is.
const CLIENT_JS: &str = "clients/js";

/// `args` is what follows `cargo xtask test`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::parse(args)?;
    if options.list {
        for Step { name, about, .. } in known() {
            println!("{name:10} {about}");
        }
        return Ok(());
    }
    let began = Instant::now();
    let mut results: Vec<(&Step, Result<(), String>, Duration)> = Vec::new();
    let count = options.steps.len();
    for (step, number) in options.steps.iter().zip(1..) {
        println!(
            "\n=== {} ({number} of {count}): {}\n",
            step.name, step.about
        );
        let step_began = Instant::now();
        let run = step.long.filter(|_| options.long).unwrap_or(step.run);
        let result = options.install_for(step).and_then(|()| run());
        let took = step_began.elapsed();
        if let Err(why) = &result {
            println!("\n{} failed: {why}", step.name);
        }
        let failed = result.is_err();
        results.push((step, result, took));
        if failed && !options.keep_going {
            break;
        }
    }
    println!();
    for (step, result, took) in &results {
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{:10} {word:6} {:7.1} s", step.name, took.as_secs_f64());
    }
    println!("{:17} {:7.1} s", "", began.elapsed().as_secs_f64());
    let failed: Vec<&str> = results
        .iter()
        .filter(|(_, result, _)| result.is_err())
        .map(|(step, ..)| step.name)
        .collect();
    let Some(first) = failed.first() else {
        println!("Nothing failed.");
        return Ok(());
    };
    let left = count - results.len();
    let left = if left == 0 {
        String::new()
    } else {
        format!("; {left} steps after it weren't run (--keep-going runs them all the same)")
    };
    Err(format!(
        "failed: {}{left}. Again: cargo xtask test --only {first}",
        failed.join(", ")
    ))
}

/// What was asked for on the command line.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for itself on the command line"
)]
struct Options {
    steps: Vec<&'static Step>,
    keep_going: bool,
    list: bool,
    long: bool,
    /// The steps were asked for by their names.
    named: bool,
}

impl Options {
    /// In whatever order the options stand.
    fn parse(args: &[&str]) -> Result<Self, String> {
        let mut only = None;
        let (mut keep_going, mut list, mut long, mut with_faults) = (false, false, false, false);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match *arg {
                "--faults" => with_faults = true,
                "--keep-going" => keep_going = true,
                "--list" => list = true,
                "--long" => long = true,
                "--only" => {
                    let names = args.next().ok_or("--only wants the names of steps")?;
                    only = Some(steps_named(names)?);
                }
                other => {
                    return Err(format!(
                        "unknown option {other:?}; there are --only STEP[,STEP], --long, --faults, --keep-going and --list"
                    ));
                }
            }
        }
        let named = only.is_some();
        let steps = only.unwrap_or_else(|| {
            let schedules = long.then_some(&SCHEDULES);
            let faults = with_faults.then_some(&FAULTS);
            STEPS.iter().chain(schedules).chain(faults).collect()
        });
        Ok(Self {
            steps,
            keep_going,
            list,
            long,
            named,
        })
    }

    /// Installs what a step makes use of where it's there, and what takes long to be built, for those who ask for it.
    fn install_for(&self, step: &Step) -> Result<(), String> {
        if step.name == "release" && (self.named || self.long) {
            tools::release(self.long)?;
        }
        Ok(())
    }
}

fn known() -> impl Iterator<Item = &'static Step> {
    STEPS.iter().chain([&SCHEDULES, &FAULTS])
}

/// The steps of a list such as `fmt,unit`, in the order of the table.
fn steps_named(names: &str) -> Result<Vec<&'static Step>, String> {
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    for name in &names {
        if !known().any(|step| step.name == *name) {
            let known: Vec<&str> = known().map(|step| step.name).collect();
            return Err(format!(
                "there is no step {name:?}; there are {}",
                known.join(", ")
            ));
        }
    }
    Ok(known().filter(|step| names.contains(&step.name)).collect())
}

fn fmt() -> Result<(), String> {
    Program::cargo(&["fmt", "--all", "--check"]).run()
}

fn clippy() -> Result<(), String> {
    let args = [
        "clippy",
        "--workspace",
        "--all-targets",
        ALL_FEATURES,
        "--",
        "-D",
        "warnings",
    ];
    Program::cargo(&args).run()
}

fn unit() -> Result<(), String> {
    let args = [
        "nextest",
        "run",
        "--workspace",
        ALL_FEATURES,
        "--no-fail-fast",
    ];
    Program::cargo(&args).run()
}

/// The same tests as among the others, in earnest: one after the other, with what they measure. The clients are built for
/// release as well: with 9,000 of them in one process they would be what is waited for.
fn faults() -> Result<(), String> {
    let args = [
        "nextest",
        "run",
        "--release",
        "-p",
        "conformance",
        "--test",
        "faults",
    ];
    let args = [&args[..], &["--no-capture", "--no-fail-fast"]].concat();
    Program::cargo(&args).env("BENNU_FAULTS", "long").run()
}

fn doc() -> Result<(), String> {
    let args = [
        "test",
        "--doc",
        "--workspace",
        ALL_FEATURES,
        "--no-fail-fast",
    ];
    Program::cargo(&args).run()?;
    // All features are also what docs.rs has.
    Program::cargo(&["doc", "--workspace", "--no-deps", ALL_FEATURES])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Also whether the files that `bennu` embeds are what the sources give, and as small as they are to be.
fn client() -> Result<(), String> {
    build()?;
    npm(CLIENT_JS, &["ci", "--no-audit", "--no-fund"])?;
    npm(CLIENT_JS, &["run", "check:types"])?;
    npm(CLIENT_JS, &["run", "check:build"])?;
    npm(CLIENT_JS, &["test"])
}

fn node() -> Result<(), String> {
    build()?;
    npm(PHOENIX_JS, &["ci", "--no-audit", "--no-fund"])?;
    npm(PHOENIX_JS, &["test"])
}

fn chromium() -> Result<(), String> {
    build()?;
    npm(PHOENIX_JS, &["ci", "--no-audit", "--no-fund"])?;
    npm(PHOENIX_JS, &["run", "test:chromium"])
}

/// Starts the abuse suite: `cargo` says how it's built, and `args` what it does. It builds the server it abuses.
fn abuse(cargo: &[&str], args: &[&str]) -> Result<(), String> {
    let args = [&["run"], cargo, &["--package", "bennu-abuse", "--"], args].concat();
    Program::cargo(&args).run()
}

/// Runs the tests of `schedules.rs`, which are there only where `sync` is shuttle's; they're built apart.
fn schedules(schedules: u32) -> Result<(), String> {
    let folder = target().join("schedules");
    for (package, options) in [
        ("bennu-pubsub", &["--test", "schedules"][..]),
        ("bennu", &["--lib", "schedules"]),
    ] {
        let args = [&["test", "--package", package], options].concat();
        Program::cargo(&args)
            .env("CARGO_TARGET_DIR", &folder)
            .env("RUSTFLAGS", "--cfg shuttle")
            // Compiled in little time, and run in little.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("SCHEDULES", schedules.to_string())
            .run()?;
    }
    Ok(())
}

/// Builds the servers that the suites start. Tests are built along so that cargo takes the same features of every
/// dependency as the `unit` step did, and builds nothing anew.
pub(crate) fn build() -> Result<(), String> {
    let args = ["build", "--workspace", ALL_FEATURES, "--bins", "--tests"];
    Program::cargo(&args).run()
}

fn npm(folder: &str, args: &[&str]) -> Result<(), String> {
    Program::new("npm", args)
        .within(folder)
        .env("BENNU_PROGRAMS", target().join("debug"))
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_which_steps_run() {
        let check = |args: &[&str], expected: Result<&[&str], &str>| {
            let options = Options::parse(args);
            let names = options.map(|options| {
                let names = options.steps.iter().map(|step| step.name);
                names.collect::<Vec<_>>()
            });
            match (&names, expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, expected),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                _ => panic!("{args:?} gave {names:?}"),
            }
        };
        check(&["--only", "fmt"], Ok(&["fmt"]));
        check(
            &["--only", "unit, fmt", "--keep-going"],
            Ok(&["fmt", "unit"]),
        );
        check(&["--only", "unti"], Err("there is no step \"unti\""));
        check(&["--only", "soak", "--long"], Ok(&["soak"]));
        check(&["--long", "--only", "soak"], Ok(&["soak"]));
        check(&["--only"], Err("wants the names"));
        check(&["--fast"], Err("unknown option"));
        check(&["--only", "fmt", "--faults"], Ok(&["fmt"]));
        check(&["--faults", "--only", "fmt"], Ok(&["fmt"]));
        check(&["--only", "faults"], Ok(&["faults"]));
        check(
            &["--only", "schedules,fmt", "--long"],
            Ok(&["fmt", "schedules"]),
        );
    }

    #[test]
    fn schedules_and_faults_come_with_their_options() {
        let check = |args: &[&str], expected: &[&str]| {
            let options = Options::parse(args).unwrap();
            let names = options.steps.iter().map(|step| step.name);
            let more: Vec<_> = names.skip(STEPS.len()).collect();
            assert_eq!(more, expected, "{args:?}");
            assert_eq!(options.long, args.contains(&"--long"));
        };
        check(&[], &[]);
        check(&["--long"], &["schedules"]);
        check(&["--faults"], &["faults"]);
        check(&["--faults", "--long"], &["schedules", "faults"]);
        check(&["--long", "--keep-going", "--long"], &["schedules"]);
    }

    #[test]
    fn all_steps_run_unless_told_otherwise() {
        let options = Options::parse(&[]).unwrap();
        assert_eq!(options.steps.len(), STEPS.len());
        assert!(!options.keep_going && !options.long && !options.named);
    }
}
