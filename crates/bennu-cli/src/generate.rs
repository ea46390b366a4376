//! `bennu gen`: adds a socket, a channel or presence to an application.

mod chain;
mod channel;
mod edit;
mod presence;
mod project;
mod socket;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::changes::Changes;
use crate::error::Result;
use crate::output;

/// Adds a socket, a channel or presence to the application of this folder.
#[derive(Debug, Args)]
pub(crate) struct Gen {
    #[command(subcommand)]
    what: What,
    /// The application's folder.
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Says what would be done, and does nothing.
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    Socket(socket::Socket),
    Channel(channel::Channel),
    Presence(presence::Presence),
}

/// What a generator comes to.
#[derive(Debug, Default)]
struct Plan {
    changes: Changes,
    /// What it couldn't do for sure, and leaves to whoever runs it: a line each.
    left: Vec<String>,
}

impl Gen {
    pub(crate) fn run(self) -> Result {
        let project = project::Project::open(&self.path)?;
        let plan = match &self.what {
            What::Socket(socket) => socket.plan(&project)?,
            What::Channel(channel) => channel.plan(&project)?,
            What::Presence(presence) => presence.plan(&project)?,
        };
        if self.dry_run {
            plan.changes.check()?;
        } else {
            plan.changes.write()?;
        }
        output::line(self.report(&plan))?;
        Ok(())
    }

    fn report(&self, plan: &Plan) -> String {
        let shown = |path: &Path| {
            let below = path.strip_prefix(&self.path).unwrap_or(path);
            below.display().to_string()
        };
        let (made, edited) = match self.dry_run {
            true => ("would make", "would edit"),
            false => ("made", "edited"),
        };
        let mut lines = Vec::new();
        for path in plan.changes.made() {
            lines.push(format!("{made} {}", shown(path)));
        }
        for (path, before, after) in plan.changes.edited() {
            lines.push(format!("{edited} {}", shown(path)));
            if self.dry_run {
                lines.extend(edit::difference(before, after));
            }
        }
        if !plan.left.is_empty() {
            lines.push(String::new());
            lines.push("left to you:".to_owned());
            lines.extend(plan.left.iter().map(|it| format!("  {it}")));
        }
        lines.join("\n")
    }
}
