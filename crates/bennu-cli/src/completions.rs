//! `bennu completions`: a script that teaches a shell to complete our commands.

use std::io;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::error::{Failure, Result};

/// Prints a shell's script of completions; `eval` it, or put it where the shell looks for them.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell that is to complete.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result {
        let mut script = Vec::new();
        let mut command = crate::Cli::command();
        clap_complete::generate(self.shell, &mut command, "bennu", &mut script);
        match io::Write::write_all(&mut io::stdout(), &script) {
            // Whoever reads it has read enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(format!(
                "failed to write the completions: {error}"
            ))),
            _ => Ok(()),
        }
    }
}
