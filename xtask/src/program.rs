//! Other programs: run with their output shown, or asked for what they print.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(named.unwrap_or_else(|| PathBuf::from("target")))
}

/// A program that is run at the repository's root, found on `PATH` or among what `tools` installed.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    command: Command,
}

impl Program {
    pub(crate) fn new(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(name);
        command
            .args(args)
            .current_dir(root())
            .env("PATH", path())
            .stdin(Stdio::null());
        let name = format!("{name} {}", args.join(" "));
        Self { name, command }
    }

    /// The cargo that runs us.
    pub(crate) fn cargo(args: &[&str]) -> Self {
        let mut program = Self::new("cargo", args);
        if let Some(cargo) = env::var_os("CARGO") {
            let mut command = Command::new(cargo);
            command
                .args(args)
                .current_dir(root())
                .env("PATH", path())
                .stdin(Stdio::null());
            program.command = command;
        }
        program
    }

    pub(crate) fn within(mut self, folder: &str) -> Self {
        self.command.current_dir(root().join(folder));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Runs it with its output shown as it comes.
    pub(crate) fn run(mut self) -> Result<(), String> {
        println!("$ {}", self.name);
        let status = self.command.status().map_err(|error| self.absent(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{}` failed: {status}", self.name))
        }
    }

    /// What it prints, when it succeeds.
    pub(crate) fn output(mut self) -> Result<String, String> {
        let output = self.command.output().map_err(|error| self.absent(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!(
            "`{}` failed: {}\n{}",
            self.name,
            output.status,
            said.trim_end()
        ))
    }

    fn absent(&self, error: &std::io::Error) -> String {
        format!(
            "`{}` can't be started: {error}; `cargo xtask test --only tools` installs it or says how",
            self.name
        )
    }
}

/// `PATH`, led by what `tools` installed for this project alone.
fn path() -> OsString {
    let own = crate::tools::own_programs();
    let system = env::var_os("PATH").unwrap_or_default();
    let folders = own.into_iter().chain(env::split_paths(&system));
    env::join_paths(folders).unwrap_or(system)
}
