//! Runs `bennu`, and looks at what it makes.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// `bennu` with these arguments, in a folder.
pub(crate) fn bennu(within: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bennu"));
    command.args(args).current_dir(within).stdin(Stdio::null());
    command.output().unwrap().into()
}

/// `bennu` with these arguments and this on its standard input.
pub(crate) fn bennu_fed(args: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bennu"));
    let command = command.args(args).stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().into()
}

/// The repository that this is in.
pub(crate) fn repository() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../..")
}

/// A folder for a test, and in it an application made by `bennu new` with these options.
pub(crate) fn application(options: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["new", "tap-racer", "--bennu-path", repository()], options].concat();
    let ran = bennu(folder.path(), &args);
    assert_eq!((ran.code, &*ran.stderr), (0, ""), "{ran:?}");
    let path = folder.path().join("tap-racer");
    (folder, path)
}

/// Every file below a folder, by its path from there, sorted.
pub(crate) fn files(folder: &Path) -> Vec<(String, String)> {
    fn collect(folder: &Path, below: &str, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                collect(&path, &format!("{name}/"), files);
            } else {
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut files_found = Vec::new();
    collect(folder, "", &mut files_found);
    files_found.sort();
    files_found
}

/// Fails unless every Rust file below is as rustfmt has it.
pub(crate) fn assert_formatted(folder: &Path) {
    let names = files(folder).into_iter().map(|(name, _)| name);
    let rust = names.filter(|it| it.ends_with(".rs") && !it.starts_with("target/"));
    let mut command = Command::new("rustfmt");
    command.args(["--check", "--edition", "2024"]).args(rust);
    let ran: Ran = command.current_dir(folder).output().unwrap().into();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}
