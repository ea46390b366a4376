//! What the tests need on a machine: found, installed where that may be done, or else named with the way to get it.

use std::fs;
use std::path::PathBuf;

use crate::program::{Program, target};

/// The oldest Node that runs the suites: `--test-force-exit` came with it.
const NODE_MIN: (u32, u32) = (20, 14);
/// The release installed where the system's is older, from npm's packages of the Node program.
const NODE_RELEASE: &str = "22";
/// The oldest Redis that has sharded pub/sub.
const REDIS_MIN: u32 = 7;
/// Names under which the browser is found.
const CHROMIUM: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// What the `release` step makes use of.
const RELEASE: [&str; 2] = ["cargo-deny", "cargo-semver-checks"];

/// Where Debian keeps PostgreSQL, in a folder for each version.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// Makes sure of every tool; the error names all that are missing.
pub(crate) fn run() -> Result<(), String> {
    let mut apt = Apt::default();
    let checks = [
        ("rustfmt", rustfmt()),
        ("clippy", clippy()),
        ("cargo-nextest", nextest()),
        ("node", node(&mut apt)),
        ("npm", npm(&mut apt)),
        ("chromium", chromium(&mut apt)),
        ("postgresql", postgresql(&mut apt)),
        ("redis-server", redis(&mut apt)),
        ("nats-server", nats(&mut apt)),
    ];
    let mut missing = Vec::new();
    for (name, found) in checks {
        match found {
            Ok(version) => println!("{name:19} {}", version.lines().next().unwrap_or_default()),
            Err(why) => {
                println!("{name:19} missing");
                missing.push(format!("  {name}: {why}"));
            }
        }
    }
    for name in RELEASE {
        let version = built(name).unwrap_or_else(|_| {
            "not here: `--only release` installs the first, with `--long` both".into()
        });
        println!("{name:19} {}", version.trim());
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("these are missing:\n{}", missing.join("\n")))
}

/// Folders of programs installed for this project alone.
pub(crate) fn own_programs() -> Option<PathBuf> {
    let folder = node_folder().join("bin");
    folder.is_dir().then_some(folder)
}

fn node_folder() -> PathBuf {
    target()
        .join("tools/node_modules")
        .join(format!("node-linux-{}", node_architecture()))
}

fn node_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    }
}

fn rustfmt() -> Result<String, String> {
    Program::cargo(&["fmt", "--version"])
        .output()
        .map_err(|_| "rustup component add rustfmt".to_owned())
}

fn clippy() -> Result<String, String> {
    Program::cargo(&["clippy", "--version"])
        .output()
        .map_err(|_| "rustup component add clippy".to_owned())
}

fn nextest() -> Result<String, String> {
    let version = || Program::cargo(&["nextest", "--version"]).output();
    version().or_else(|_| {
        Program::cargo(&["install", "cargo-nextest", "--locked"]).run()?;
        version()
    })
}

/// What the `release` step makes use of: with `--long` all of it, else the first. They're built from sources, which takes
/// minutes, so this is for those who ask for the step; without them it says what it leaves out.
pub(crate) fn release(is_long: bool) -> Result<(), String> {
    let wanted = if is_long { RELEASE.len() } else { 1 };
    for tool in RELEASE.iter().take(wanted) {
        if built(tool).is_err() {
            Program::cargo(&["install", tool, "--locked"]).run()?;
        }
    }
    Ok(())
}

/// The version of a subcommand of cargo.
fn built(tool: &str) -> Result<String, String> {
    let command = tool.trim_start_matches("cargo-");
    Program::cargo(&[command, "--version"]).output()
}

fn node(apt: &mut Apt) -> Result<String, String> {
    let version = || {
        let version = Program::new("node", &["--version"]).output()?;
        if is_new_enough(&version) {
            return Ok(version);
        }
        let (major, minor) = NODE_MIN;
        Err(format!(
            "Node {major}.{minor} or newer is needed, this is {}",
            version.trim()
        ))
    };
    version()
        .or_else(|_| {
            if npm(apt).is_err() {
                apt.install("nodejs")?;
            }
            version()
        })
        .or_else(|_| {
            // Debian's may be too old; npm carries the program itself.
            let package = format!("node-linux-{}@{NODE_RELEASE}", node_architecture());
            let folder = target().join("tools");
            let folder = folder.to_string_lossy();
            let args = ["install", "--no-save", "--no-audit", "--no-fund"];
            let args = [&args[..], &["--prefix", &folder, &package]].concat();
            Program::new("npm", &args).run()?;
            version()
        })
}

fn npm(apt: &mut Apt) -> Result<String, String> {
    let version = || Program::new("npm", &["--version"]).output();
    version().or_else(|_| {
        apt.install("npm")?;
        version()
    })
}

fn chromium(apt: &mut Apt) -> Result<String, String> {
    let found = || {
        CHROMIUM
            .iter()
            .find_map(|name| Program::new(name, &["--version"]).output().ok())
    };
    if let Some(version) = found() {
        return Ok(version);
    }
    apt.install("chromium")?;
    found().ok_or_else(|| "it was installed but doesn't start".to_owned())
}

/// The server's own programs, which the tests of examples/discuss start: Debian keeps them apart from `PATH`.
fn postgresql(apt: &mut Apt) -> Result<String, String> {
    let found = || {
        let versions = fs::read_dir(POSTGRESQL).into_iter().flatten().flatten();
        let debians = versions.map(|version| version.path().join("bin/postgres"));
        let anywhere = [PathBuf::from("postgres")];
        anywhere.into_iter().chain(debians).find_map(|program| {
            let program = program.to_string_lossy();
            Program::new(&program, &["--version"]).output().ok()
        })
    };
    if let Some(version) = found() {
        return Ok(version);
    }
    apt.install("postgresql")?;
    found().ok_or_else(|| "it was installed but doesn't start".to_owned())
}

/// Redis, or Valkey under Redis's name: version 7, for sharded pub/sub.
fn redis(apt: &mut Apt) -> Result<String, String> {
    let version = || {
        let version = Program::new("redis-server", &["--version"]).output()?;
        match major(&version) {
            Some(REDIS_MIN..) => Ok(version),
            _ => Err(format!(
                "Redis {REDIS_MIN} or newer is needed, this is {}",
                version.trim()
            )),
        }
    };
    version().or_else(|_| {
        apt.install("redis-server")?;
        version()
    })
}

/// The load balancer of `cargo xtask cluster`, which no test needs.
pub(crate) fn haproxy() -> Result<String, String> {
    let version = || Program::new("haproxy", &["-v"]).output();
    version().or_else(|_| {
        Apt::default().install("haproxy")?;
        version()
    })
}

/// The bus of `cargo xtask cluster`.
pub(crate) fn bus(is_nats: bool) -> Result<String, String> {
    let mut apt = Apt::default();
    if is_nats {
        nats(&mut apt)
    } else {
        redis(&mut apt)
    }
}

fn nats(apt: &mut Apt) -> Result<String, String> {
    let version = || Program::new("nats-server", &["--version"]).output();
    version().or_else(|_| {
        apt.install("nats-server")?;
        version()
    })
}

/// The 7 in `Redis server v=7.0.15 sha=...`.
fn major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("v=")?;
    number.split('.').next()?.parse().ok()
}

/// `v20.20.2` and the like.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .map_while(|number| number.parse().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return false;
    };
    (major, minor) >= NODE_MIN
}

/// Debian's packages, where we may install them.
#[derive(Debug, Default)]
struct Apt {
    updated: bool,
}

impl Apt {
    fn install(&mut self, package: &str) -> Result<(), String> {
        let by_hand = format!("apt-get install {package}");
        let root = Program::new("id", &["-u"]).output()?;
        if root.trim() != "0" {
            return Err(format!("as root: {by_hand}"));
        }
        let apt = |args: &[&str]| {
            Program::new("apt-get", args)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .run()
                .map_err(|why| format!("{by_hand} ({why})"))
        };
        if !self.updated {
            apt(&["update", "--quiet"])?;
            self.updated = true;
        }
        apt(&[
            "install",
            "--quiet",
            "--yes",
            "--no-install-recommends",
            package,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let check = |version: &str, expected: bool| {
            assert_eq!(is_new_enough(version), expected, "{version}");
        };
        check("v20.14.0\n", true);
        check("v20.20.2", true);
        check("v22.0.0", true);
        check("v100.1.0", true);
        check("v20.9.0", false);
        check("v18.20.4", false);
        check("", false);
        check("20", false);
    }

    #[test]
    fn a_servers_major_version_is_read() {
        let check = |version: &str, expected| assert_eq!(major(version), expected, "{version}");
        check(
            "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc",
            Some(7),
        );
        check("Server v=8.1.0 sha=0", Some(8));
        check("Redis server version unknown", None);
        check("", None);
    }
}
