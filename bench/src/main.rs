//! What Bennu costs, beside floors that know no protocol: memory of idle connections, CPU of fan-out, rate of
//! echo. `cargo run --release -p bennu-bench` prints all tables; `docs/performance.md` explains them.
//!
//! Servers, floors and load clients are processes of their own: this binary, with a hidden subcommand.

mod bus;
mod child;
mod client;
mod control;
mod echo;
mod fan_out;
mod floor;
mod frame;
mod idle;
mod load;
mod million;
mod presence_nodes;
mod replay;
mod server;
mod stream;
mod table;

use std::{future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, builder::RangedU64ValueParser};
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use floor::Knows;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Measures Bennu, and prints tables.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    plan: Plan,
    /// Also write the figures to a file.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Plan {
    /// A smoke run of some seconds: figures come out, but mean little.
    #[arg(long, global = true)]
    quick: bool,
    /// Threads of the server, and of the floor.
    #[arg(long, global = true, default_value_t = 1, value_parser = at_least_one())]
    threads: usize,
    /// How often server and floor take turns; medians are printed.
    #[arg(long, global = true, default_value_t = 5, value_parser = at_least_one())]
    repeats: usize,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Memory of idle connections over TCP.
    Idle,
    /// Memory of a million connections in one process.
    Memory,
    /// CPU of a delivery.
    FanOut,
    /// Rate of pushes that are replied to.
    Echo,
    /// Broadcasts from node to node, over Redis and NATS.
    Bus,
    /// Presences of several nodes.
    PresenceNodes,
    #[command(hide = true, subcommand)]
    BusChild(bus::BusChild),
    #[command(hide = true)]
    Server,
    #[command(hide = true)]
    Bare,
    #[command(hide = true)]
    Floor,
    #[command(hide = true)]
    FramingFloor,
    #[command(hide = true)]
    Client {
        data: SocketAddr,
        control: SocketAddr,
    },
    #[command(hide = true)]
    Million { count: usize, share: usize },
    #[command(hide = true)]
    Replay { pushes: usize, depth: usize },
}

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

impl Plan {
    fn scaled(&self, count: usize) -> usize {
        if self.quick { count / 50 } else { count }
    }

    fn time(&self, time: Duration) -> Duration {
        if self.quick { time / 50 } else { time }
    }

    #[expect(
        clippy::print_stderr,
        reason = "a run takes minutes: says what it does"
    )]
    fn say(&self, what: &str) {
        if !self.quick {
            eprintln!("measuring: {what}");
        }
    }
}

fn main() -> Result<()> {
    let Options { part, plan, json } = Options::parse();
    match part {
        Some(Part::BusChild(child)) => bus::be(child, plan.threads),
        Some(Part::Server) => child(plan.threads, server::serve()),
        Some(Part::Bare) => child(plan.threads, server::serve_bare()),
        Some(Part::Floor) => {
            prepare()?;
            floor::serve(plan.threads, Knows::Bytes)
        }
        Some(Part::FramingFloor) => {
            prepare()?;
            floor::serve(plan.threads, Knows::Frames)
        }
        Some(Part::Client { data, control }) => {
            prepare()?;
            client::obey(data, control)
        }
        Some(Part::Million { count, share }) => child(plan.threads, async move {
            print_line(&serde_json::to_string(
                &million::measure(count, share).await?,
            )?);
            Ok(())
        }),
        Some(Part::Replay { pushes, depth }) => child(plan.threads, async move {
            print_line(&serde_json::to_string(
                &replay::measure(pushes, depth).await?,
            )?);
            Ok(())
        }),
        part => measure(part.as_ref(), &plan, json),
    }
}

/// Gives more than one table.
type Scenario = fn(&Plan) -> Result<Vec<table::Table>>;

/// Prints the tables of one section, or of all.
fn measure(part: Option<&Part>, plan: &Plan, json: Option<PathBuf>) -> Result<()> {
    let sections: &[fn(&Plan) -> Result<table::Table>] = match part {
        Some(Part::Idle) => &[idle::run],
        Some(Part::Memory) => &[million::run],
        Some(Part::FanOut) => &[fan_out::run],
        Some(Part::Echo) => &[echo::run, replay::run],
        Some(Part::Bus | Part::PresenceNodes) => &[],
        _ => &[
            idle::run,
            million::run,
            fan_out::run,
            echo::run,
            replay::run,
        ],
    };
    let more: &[Scenario] = match part {
        Some(Part::Bus) => &[bus::run],
        Some(Part::PresenceNodes) => &[presence_nodes::run],
        Some(_) => &[],
        None => &[bus::run, presence_nodes::run],
    };
    let mut tables = Vec::new();
    for section in sections {
        tables.push(section(plan)?);
    }
    for section in more {
        tables.extend(section(plan)?);
    }
    for table in &tables {
        print_line(&table.to_string());
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(&tables)?)?;
    }
    Ok(())
}

/// Runs a child's task in a runtime, and prints what came of it.
fn answer<T: serde::Serialize>(
    threads: usize,
    task: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<()> {
    child(threads, async {
        print_line(&serde_json::to_string(&task.await?)?);
        Ok(())
    })
}

/// Runs a child's task in a runtime.
fn child(threads: usize, task: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    prepare()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    // On a worker, as a server's tasks are.
    runtime.block_on(runtime.spawn(task))?
}

/// A child ends with its parent, opens as many files as it may, and has no huge pages: they would round up what
/// is measured.
fn prepare() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_thp_disable(true)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn print_line(line: &str) {
    println!("{line}");
}
