//! `bennu completions`: a script that teaches a shell to complete our commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::error::Result;
use crate::output;

/// Prints a shell's script of completions.
///
/// For bash: eval "$(bennu completions bash)", in ~/.bashrc. For others put it where they look for completions.
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
        output::line(String::from_utf8_lossy(&script).trim_end())?;
        Ok(())
    }
}
