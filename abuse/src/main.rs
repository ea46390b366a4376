//! What hostile clients and long churn do to a Bennu server, the conformance server.
//!
//! ```sh
//! cargo run -p bennu-abuse                            # all cases, about a minute
//! cargo run -p bennu-abuse -- frames tokens           # some
//! cargo run -p bennu-abuse -- soak --minutes 20
//! ```
//!
//! Every case (`cases/`) has a server of its own and clients that know TCP alone. It says what must be seen; after each a
//! healthy client must be served, nothing must be left, and memory must have stayed within the case's bound.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the verdict is for the person who runs this"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "JSON that has no such field is null"
)]

mod case;
mod cases;
mod frame;
mod http;
mod server;
mod soak;
mod socket;
mod table;

use std::{path::PathBuf, process::ExitCode};

use case::{Case, Verdict};
use clap::{Parser, Subcommand};
use server::Program;
use tokio::task::JoinSet;

/// Says why something failed.
type Result<T, E = String> = std::result::Result<T, E>;

/// Abuses a Bennu server and says how it bears that.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// Cases to run. All by default.
    cases: Vec<String>,
    /// Names the cases.
    #[arg(long)]
    list: bool,
    /// The server to start. By default the conformance server is built and taken.
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Churns sockets, channels and names, and watches the server's memory.
    Soak(soak::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether all went well.
async fn run(args: Args) -> Result<bool> {
    let cases = chosen(&args.cases)?;
    if args.list {
        for case in cases {
            println!(
                "{:15} {}\n{:15} -> {}",
                case.name, case.sends, "", case.must
            );
        }
        return Ok(true);
    }
    // As many files as may be open; the server inherits it.
    if let Ok((_, most)) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
    {
        let _ =
            nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most);
    }
    let program = match args.server {
        Some(path) => Program { path },
        None => Program::built().await?,
    };
    if let Some(Command::Soak(options)) = args.command {
        return soak::run(&options, &program).await;
    }
    let verdicts = judge(cases, &program).await?;
    print!("\n{}", table::of(&verdicts));
    Ok(verdicts.iter().all(|it| it.seen.is_ok()))
}

fn chosen(names: &[String]) -> Result<Vec<Case>> {
    let all = cases::all();
    if let Some(name) = names
        .iter()
        .find(|name| all.iter().all(|it| it.name != **name))
    {
        return Err(format!("there is no case {name:?}; --list names them"));
    }
    let chosen = all
        .into_iter()
        .filter(|it| names.is_empty() || names.iter().any(|name| it.name == name));
    Ok(chosen.collect())
}

/// Runs the cases that wait beside the others, and those one after the other.
async fn judge(cases: Vec<Case>, program: &Program) -> Result<Vec<Verdict>> {
    let (waiting, busy): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|it| it.waits);
    let mut waits = JoinSet::new();
    for case in waiting {
        let program = program.clone();
        waits.spawn(async move { case.run(&program).await });
    }
    let mut verdicts = Vec::new();
    for case in busy {
        let verdict = case.run(program).await;
        println!("{}", table::line(&verdict));
        verdicts.push(verdict);
    }
    while let Some(verdict) = waits.join_next().await {
        let verdict = verdict.map_err(|error| error.to_string())?;
        println!("{}", table::line(&verdict));
        verdicts.push(verdict);
    }
    Ok(verdicts)
}
