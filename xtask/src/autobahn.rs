//! `cargo xtask autobahn`: the Autobahn test suite, a client that tries everything RFC 6455 and RFC 7692 allow or forbid,
//! against the `echo` example.
//!
//! The suite runs on Python 2.7 only. It is installed once, into a virtual environment under cargo's target folder.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::program::{Program, root, target};

/// The release of the suite. Another may have other cases: then [`GROUPS`] is to be corrected.
const SUITE: &str = "autobahntestsuite==25.10.1";

/// The groups of cases: number, what they're about, how many they are, whether they need compression and take long.
const GROUPS: [(&str, &str, usize, bool); 11] = [
    ("1", "framing", 16, false),
    ("2", "pings and pongs", 11, false),
    ("3", "reserved bits", 7, false),
    ("4", "opcodes", 10, false),
    ("5", "fragmentation", 20, false),
    ("6", "UTF-8", 145, false),
    ("7", "closing", 37, false),
    ("9", "limits and speed", 54, false),
    ("10", "automatic fragmentation", 1, false),
    ("12", "compression, by payload", 90, true),
    ("13", "compression, by parameters", 126, true),
];

/// What the suite calls the server, in the spec and in its reports.
const AGENT: &str = "bennu";

/// `args` is what follows `cargo xtask autobahn`.
///
/// `--all` adds the cases of compression, which take long, and writes the summary; `--write` writes it in any case.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    if let Some(other) = args.iter().find(|arg| !["--all", "--write"].contains(*arg)) {
        return Err(format!(
            "unknown option {other:?}; there are --all and --write"
        ));
    }
    let all = args.contains(&"--all");
    let folder = target().join("autobahn");
    let Some(wstest) = wstest(&folder)? else {
        println!(
            "skipped: the Autobahn test suite runs on Python 2.7, and there is no python2.7 on PATH or under ~/.pyenv."
        );
        println!("Name one in BENNU_PYTHON2 to run it.");
        return Ok(());
    };

    // Compressing takes the debug build so long that cases would time out.
    if all {
        Program::cargo(&["build", "--package", "echo", "--release"]).run()?;
    } else {
        crate::test::build()?;
    }
    let server = Server::start(
        &target()
            .join(if all { "release" } else { "debug" })
            .join("echo"),
    )?;
    let reports = folder.join("reports");
    fuzz(&wstest, &folder, &reports, &server.address, all)?;
    drop(server);

    let index = read(&reports.join("index.json"))?;
    let groups = Group::all(&index)?;
    print!("{}", table(&groups, all));
    let wrong = wrong(&groups, all);
    if !wrong.is_empty() {
        return Err(format!(
            "these aren't as they should be:\n{}Reports: {}",
            wrong,
            reports.join("index.html").display()
        ));
    }
    println!("Every case is as it should be.");
    if all || args.contains(&"--write") {
        let path = root().join("docs/autobahn.md");
        fs::create_dir_all(root().join("docs"))
            .and_then(|()| fs::write(&path, summary(&groups, all)))
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        println!("Written: docs/autobahn.md");
    }
    Ok(())
}

/// The suite's program, installed if need be; `None` where there is no Python for it.
fn wstest(folder: &Path) -> Result<Option<PathBuf>, String> {
    let wstest = folder.join("python2/bin/wstest");
    if wstest.is_file() {
        return Ok(Some(wstest));
    }
    let Some(python2) = python2() else {
        return Ok(None);
    };
    fs::create_dir_all(folder)
        .map_err(|error| format!("failed to make {}: {error}", folder.display()))?;
    let within = |path: &str| folder.join(path).to_string_lossy().into_owned();
    // The last virtualenv that makes environments for Python 2.7 is itself a program for Python 3.
    Program::new("python3", &["-m", "venv", &within("python3")]).run()?;
    Program::new(
        &within("python3/bin/pip"),
        &["install", "--quiet", "virtualenv<20.22"],
    )
    .run()?;
    Program::new(
        &within("python3/bin/virtualenv"),
        &["--quiet", "--python", &python2, &within("python2")],
    )
    .run()?;
    Program::new(&within("python2/bin/pip"), &["install", "--quiet", SUITE]).run()?;
    Ok(Some(wstest))
}

/// A Python 2.7 that starts: a shim of pyenv's may be on `PATH` with nothing behind it.
fn python2() -> Option<String> {
    let named = env::var("BENNU_PYTHON2").ok();
    let pyenv = env::home_dir().map(|home| home.join(".pyenv/versions"));
    let versions = pyenv.and_then(|folder| fs::read_dir(folder).ok());
    let versions = versions.into_iter().flatten().flatten();
    let candidates = versions.map(|version| version.path().join("bin/python2.7"));
    named
        .into_iter()
        .chain(["python2.7".to_owned()])
        .chain(candidates.map(|path| path.to_string_lossy().into_owned()))
        .find(|python| Program::new(python, &["-c", "import ssl"]).output().is_ok())
}

/// The echo example, ended when this is dropped.
struct Server {
    child: Child,
    /// `ADDRESS:PORT`
    address: String,
}

impl Server {
    fn start(program: &Path) -> Result<Self, String> {
        let failed = |why: &str| format!("failed to start {}: {why}", program.display());
        let mut child = Command::new(program)
            .args(["--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error.to_string()))?;
        let stdout = child.stdout.take();
        let mut server = Self {
            child,
            address: String::new(),
        };
        let lines = BufReader::new(stdout.ok_or_else(|| failed("it has no output"))?).lines();
        server.address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
            .ok_or_else(|| failed("it doesn't say where it listens"))?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended by itself, so much the better.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the cases; the suite says nothing of them by its exit code.
fn fuzz(
    wstest: &Path,
    folder: &Path,
    reports: &Path,
    address: &str,
    all: bool,
) -> Result<(), String> {
    let failed = |what: &str, error: std::io::Error| format!("failed to {what}: {error}");
    if reports.exists() {
        fs::remove_dir_all(reports).map_err(|error| failed("remove the last reports", error))?;
    }
    let left_out: Vec<_> = GROUPS
        .iter()
        .filter(|group| group.3 && !all)
        .map(|group| format!("{}.*", group.0))
        .collect();
    let spec = json!({
        "outdir": reports,
        "servers": [{ "agent": AGENT, "url": format!("ws://{address}/echo/websocket") }],
        "cases": ["*"],
        "exclude-cases": left_out,
        "exclude-agent-cases": {},
    });
    let (spec_path, log_path) = (folder.join("spec.json"), folder.join("wstest.log"));
    fs::write(&spec_path, spec.to_string()).map_err(|error| failed("write the spec", error))?;
    let log = File::create(&log_path).map_err(|error| failed("write the log", error))?;
    let errors = log
        .try_clone()
        .map_err(|error| failed("write the log", error))?;
    println!(
        "Running {} cases; {} tells how far they are.",
        expected_count(all),
        log_path.display()
    );
    let status = Command::new(wstest)
        .args(["--mode", "fuzzingclient", "--spec"])
        .arg(&spec_path)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .status()
        .map_err(|error| failed("start wstest", error))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(
            "wstest failed: {status}; see {}",
            log_path.display()
        ))
    }
}

fn expected_count(all: bool) -> usize {
    GROUPS
        .iter()
        .filter(|group| all || !group.3)
        .map(|group| group.2)
        .sum()
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("failed to read {}: {error}", path.display()))
}

/// What became of a group's cases.
#[derive(Default, Debug)]
struct Group {
    ok: usize,
    informational: Vec<String>,
    /// Cases with their outcomes.
    wrong: Vec<String>,
}

impl Group {
    /// The groups of a report's index, by number.
    fn all(index: &Value) -> Result<BTreeMap<String, Self>, String> {
        let cases = index
            .get(AGENT)
            .and_then(Value::as_object)
            .ok_or("the report's index doesn't name the agent")?;
        let mut groups: BTreeMap<String, Self> = BTreeMap::new();
        for (case, outcome) in cases {
            let number = case.split('.').next().unwrap_or_default();
            let group = groups.entry(number.to_owned()).or_default();
            let outcome = |key| {
                outcome
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or("missing")
            };
            match (outcome("behavior"), outcome("behaviorClose")) {
                ("OK", "OK") => group.ok += 1,
                ("OK" | "INFORMATIONAL", "OK" | "INFORMATIONAL") => {
                    group.informational.push(case.clone())
                }
                (behavior, close) => group
                    .wrong
                    .push(format!("{case}: {behavior}, close {close}")),
            }
        }
        Ok(groups)
    }

    fn count(&self) -> usize {
        self.ok + self.informational.len() + self.wrong.len()
    }
}

/// Cases that went wrong, and groups that aren't complete, a line each.
fn wrong(groups: &BTreeMap<String, Group>, all: bool) -> String {
    let mut lines = String::new();
    for (number, _, expected, long) in GROUPS {
        let group = groups.get(number);
        let count = group.map_or(0, Group::count);
        if count != expected && (all || !long) {
            let _ = writeln!(
                lines,
                "group {number}: {expected} cases expected, {count} found"
            );
        }
        for case in group.into_iter().flat_map(|group| &group.wrong) {
            let _ = writeln!(lines, "{case}");
        }
    }
    lines
}

/// The counts by group, as a table of Markdown.
fn table(groups: &BTreeMap<String, Group>, all: bool) -> String {
    let mut table =
        "| Group | About | Cases | OK | Informational | Wrong |\n|---|---|---|---|---|---|\n"
            .to_owned();
    let mut total = [0; 4];
    for (number, about, ..) in GROUPS.iter().filter(|group| all || !group.3) {
        let counts = groups.get(*number).map_or([0; 4], |group| {
            [
                group.count(),
                group.ok,
                group.informational.len(),
                group.wrong.len(),
            ]
        });
        let [cases, ok, informational, wrong] = counts;
        let _ = writeln!(
            table,
            "| {number} | {about} | {cases} | {ok} | {informational} | {wrong} |"
        );
        total = std::array::from_fn(|index| {
            total.get(index).unwrap_or(&0) + counts.get(index).unwrap_or(&0)
        });
    }
    let [cases, ok, informational, wrong] = total;
    let _ = writeln!(
        table,
        "| | all | {cases} | {ok} | {informational} | {wrong} |"
    );
    table
}

/// docs/autobahn.md
fn summary(groups: &BTreeMap<String, Group>, all: bool) -> String {
    let informational: Vec<_> = groups
        .values()
        .flat_map(|group| &group.informational)
        .map(String::as_str)
        .collect();
    let command = if all {
        "cargo xtask autobahn --all"
    } else {
        "cargo xtask autobahn --write"
    };
    format!(
        "# Autobahn\n\n\
         The [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) ({SUITE}) is a client that tries what RFC 6455\n\
         and RFC 7692 allow and forbid. This is what it found of `examples/echo`, written by `{command}`.\n\n\
         {}\n\
         Informational are cases in which the RFC leaves the server free, so that the suite only notes what it does: {}.\n\
         No case is non-strict: text that isn't UTF-8 is refused by its first wrong byte, in the middle of a frame too.\n",
        table(groups, all),
        informational.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of all cases, those of the list with these outcomes and all others OK.
    fn index(outcomes: &[(&str, &str, &str)]) -> Value {
        let mut cases = serde_json::Map::new();
        for (number, _, count, _) in GROUPS {
            for case in 1..=count {
                cases.insert(
                    format!("{number}.1.{case}"),
                    json!({ "behavior": "OK", "behaviorClose": "OK" }),
                );
            }
        }
        for (case, behavior, close) in outcomes {
            cases.insert(
                (*case).to_owned(),
                json!({ "behavior": behavior, "behaviorClose": close }),
            );
        }
        json!({ AGENT: cases })
    }

    #[test]
    fn only_ok_and_informational_pass() {
        let check = |outcome: (&str, &str, &str), expected: &str| {
            let groups = Group::all(&index(&[outcome])).unwrap();
            assert_eq!(wrong(&groups, true), expected, "{outcome:?}");
        };
        check(("6.1.4", "OK", "OK"), "");
        check(("7.1.6", "INFORMATIONAL", "INFORMATIONAL"), "");
        check(
            ("6.1.4", "NON-STRICT", "OK"),
            "6.1.4: NON-STRICT, close OK\n",
        );
        check(("6.1.4", "FAILED", "OK"), "6.1.4: FAILED, close OK\n");
        check(
            ("6.1.4", "OK", "WRONG CODE"),
            "6.1.4: OK, close WRONG CODE\n",
        );
        check(
            ("12.1.4", "UNIMPLEMENTED", "OK"),
            "12.1.4: UNIMPLEMENTED, close OK\n",
        );
        check(
            ("10.1.2", "OK", "OK"),
            "group 10: 1 cases expected, 2 found\n",
        );
    }

    #[test]
    fn a_run_that_ended_early_is_wrong() {
        let empty = Group::all(&json!({ AGENT: {} })).unwrap();
        assert_eq!(wrong(&empty, false).lines().count(), 9);
        assert_eq!(wrong(&empty, true).lines().count(), 11);
        assert!(Group::all(&json!({})).is_err());
        assert_eq!((expected_count(false), expected_count(true)), (301, 517));
    }

    #[test]
    fn the_summary_counts_by_group() {
        let groups = Group::all(&index(&[("7.1.6", "INFORMATIONAL", "INFORMATIONAL")])).unwrap();
        let summary = summary(&groups, true);
        assert!(
            summary.contains("\n| 7 | closing | 37 | 36 | 1 | 0 |\n"),
            "{summary}"
        );
        assert!(
            summary.contains("\n| | all | 517 | 516 | 1 | 0 |\n"),
            "{summary}"
        );
        assert!(summary.contains("what it does: 7.1.6."), "{summary}");
    }
}
