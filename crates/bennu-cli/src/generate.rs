//! `bennu gen`: adds a socket, a channel or presence to an application.

use clap::Args;

use crate::error::{Failure, Result};

/// Adds a socket, a channel or presence to the application of this folder.
#[derive(Debug, Args)]
pub(crate) struct Gen {
    /// What the new type is called.
    name: String,
}

impl Gen {
    pub(crate) fn run(self) -> Result {
        Err(Failure::new(format!("{} isn't made yet", self.name)))
    }
}
