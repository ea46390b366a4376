//! `bennu`: makes applications on Bennu, adds sockets, channels and presence to them, and talks to servers of
//! Phoenix's channels from a terminal. `bennu help` lists the commands; docs/cli.md is the guide.
//!
//! It ends with 0 when it did what it was asked, with 1 when that failed, and with 2 when it was asked wrongly.

mod bench;
mod changes;
mod completions;
mod error;
mod generate;
mod listen;
mod name;
mod new;
mod output;
mod push;
mod talk;
mod template;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Result;

/// Makes applications on Bennu, and talks to servers of Phoenix's channels.
#[derive(Debug, Parser)]
#[command(name = "bennu", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Gen(generate::Gen),
    Bench(Box<bench::Bench>),
    Listen(listen::Listen),
    Push(push::Push),
    Completions(completions::Completions),
}

impl Command {
    fn run(self) -> Result {
        match self {
            Self::New(new) => new.run(),
            Self::Gen(generate) => generate.run(),
            Self::Bench(bench) => bench.run(),
            Self::Listen(listen) => listen.run(),
            Self::Push(push) => push.run(),
            Self::Completions(completions) => completions.run(),
        }
    }
}

#[expect(clippy::print_stderr, reason = "one line says why it failed")]
fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}
