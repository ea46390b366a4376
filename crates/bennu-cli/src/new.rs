//! `bennu new`: an application that builds and runs at once.

use clap::Args;

use crate::error::{Failure, Result};

/// Makes an application: an endpoint, a socket, a room, presence, tests and a page.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What the application is called; its package and folder too.
    name: String,
}

impl New {
    pub(crate) fn run(self) -> Result {
        Err(Failure::new(format!("{} isn't made yet", self.name)))
    }
}
