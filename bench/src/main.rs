//! What Bennu costs, beside floors that know no protocol, and beside what a Rust user would take otherwise: memory of
//! idle connections, CPU of fan-out, rates of echo and of handshakes, presence, long-polling. `cargo xtask bench` prints
//! all tables; `docs/performance.md` explains them, and is made from them.
//!
//! Servers, floors and load clients are processes of their own: this binary, with a hidden subcommand.

mod bus;
mod child;
mod client;
mod connect;
mod control;
mod echo;
mod fan_out;
mod floor;
mod frame;
mod hyper;
mod idle;
mod load;
mod long_poll;
mod million;
mod presence;
mod presence_nodes;
mod program;
mod replay;
mod report;
mod rivals;
mod server;
mod stream;
mod table;
mod topics;

use std::{
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand, builder::RangedU64ValueParser};
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};
use serde::Serialize;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use floor::Knows;
use report::Report;
use table::Table;

/// A scenario that takes longer hangs.
const SCENARIO_TIME_MAX: Duration = Duration::from_secs(600);
/// One row of a scenario takes no further turn after so long.
const ROW_TIME_MAX: Duration = Duration::from_secs(8);

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
    /// Also draw plots, into a folder.
    #[arg(long, global = true)]
    plots: Option<PathBuf>,
    /// Also renew the figures and plots of docs/performance.md, where the root of the repository is the current folder.
    #[arg(long, conflicts_with = "quick")]
    write: bool,
    /// What is measured, and with what: stands above the figures.
    #[arg(long, global = true, default_value = "")]
    about: String,
}

#[derive(Debug, Args)]
struct Plan {
    /// A smoke run of some seconds: figures come out, but mean little.
    #[arg(long, global = true)]
    quick: bool,
    /// Threads of servers and floors. Echo in memory has one and the bus has two, whatever is said here.
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
    /// A million topics in one process.
    Topics,
    /// CPU of a delivery.
    FanOut,
    /// Rate of pushes that are replied to.
    Echo,
    /// The same without any kernel.
    Replay,
    /// The same over long-polling.
    LongPoll,
    /// Rate of handshakes and joins.
    Connect,
    /// Joins where many are present.
    Presence,
    /// Broadcasts from node to node, over Redis and NATS.
    Bus,
    /// Presences of several nodes.
    PresenceNodes,
    #[command(hide = true, subcommand)]
    BusChild(bus::BusChild),
    #[command(flatten)]
    Child(Child),
}

/// What this binary is to itself.
#[derive(Debug, Subcommand)]
enum Child {
    #[command(hide = true)]
    Server,
    #[command(hide = true)]
    Bare,
    #[command(hide = true)]
    Floor,
    #[command(hide = true)]
    FramingFloor,
    #[command(hide = true)]
    Hyper,
    #[command(hide = true)]
    Axum,
    #[command(hide = true)]
    Socketioxide,
    #[command(hide = true)]
    Client {
        data: SocketAddr,
        control: SocketAddr,
    },
    #[command(hide = true)]
    Million { count: usize, share: usize },
    #[command(hide = true)]
    Subscriptions { topics: usize },
    #[command(hide = true)]
    Pushes { count: usize, depth: usize },
}

type Scenario = fn(&Plan) -> Result<Vec<Table>>;

impl Part {
    const fn scenario(&self) -> Option<Scenario> {
        Some(match self {
            Self::Idle => idle::run,
            Self::Memory => million::run,
            Self::Topics => topics::run,
            Self::FanOut => fan_out::run,
            Self::Echo => echo::run,
            Self::Replay => replay::run,
            Self::LongPoll => long_poll::run,
            Self::Connect => connect::run,
            Self::Presence => presence::run,
            Self::Bus => bus::run,
            Self::PresenceNodes => presence_nodes::run,
            Self::BusChild(_) | Self::Child(_) => return None,
        })
    }

    /// Why `--threads` can change nothing here, where that is so.
    const fn fixed_threads(&self) -> Option<&'static str> {
        match self {
            Self::Replay => Some("it has one connection, which is one task"),
            Self::Bus | Self::PresenceNodes => Some("its nodes have two threads in each run"),
            _ => None,
        }
    }
}

/// All scenarios, in the order of `docs/performance.md`.
const SCENARIOS: [Part; 11] = [
    Part::Idle,
    Part::Memory,
    Part::Topics,
    Part::FanOut,
    Part::Echo,
    Part::Replay,
    Part::LongPoll,
    Part::Connect,
    Part::Presence,
    Part::Bus,
    Part::PresenceNodes,
];

/// The tables that they give.
#[cfg(test)]
const TITLES: [&str; 13] = [
    idle::TITLE,
    million::TITLE,
    topics::TITLE,
    fan_out::TITLE,
    echo::TITLES[0],
    echo::TITLES[1],
    replay::TITLE,
    long_poll::TITLE,
    connect::TITLE,
    presence::TITLE,
    bus::TITLES[0],
    bus::TITLES[1],
    presence_nodes::TITLE,
];

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

impl Plan {
    fn scaled(&self, count: usize) -> usize {
        if self.quick {
            (count / 50).max(1)
        } else {
            count
        }
    }

    fn time(&self, time: Duration) -> Duration {
        if self.quick { time / 50 } else { time }
    }

    /// Measures again and again: as often as was asked for, but no longer than a row may take.
    fn turns<T>(&self, mut turn: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
        let start = Instant::now();
        let mut turns = vec![turn()?];
        let repeats = if self.quick { 1 } else { self.repeats };
        while turns.len() < repeats && start.elapsed() < ROW_TIME_MAX {
            turns.push(turn()?);
        }
        Ok(turns)
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

#[expect(clippy::print_stderr, reason = "one line says why it failed")]
fn main() -> ExitCode {
    let mut options = Options::parse();
    let threads = options.plan.threads;
    let done = match options.part.take() {
        Some(Part::Child(child)) => be(&child, threads),
        Some(Part::BusChild(child)) => bus::be(child, threads),
        Some(part) => measure(&options.plan, &[part], &options),
        None => measure(&options.plan, &SCENARIOS, &options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the tables of some scenarios.
fn measure(plan: &Plan, parts: &[Part], options: &Options) -> Result<()> {
    if options.write && parts.len() < SCENARIOS.len() {
        return Err("docs/performance.md is made from all scenarios".into());
    }
    if let ([part], 2..) = (parts, plan.threads)
        && let Some(why) = part.fixed_threads()
    {
        return Err(format!("--threads does nothing here: {why}").into());
    }
    let start = Instant::now();
    let mut tables = Vec::new();
    for part in parts {
        let Some(scenario) = part.scenario() else {
            continue;
        };
        for table in in_time(part, plan, scenario)? {
            print_line(&table.to_string());
            tables.push(table);
        }
    }
    let report = Report::new(plan, options.about.clone(), tables, start.elapsed());
    if plan.quick {
        print_line(
            "That was a quick run: it shows that all of it runs, and no figure of it means much.",
        );
    } else {
        print_line(&report.targets());
    }
    if let Some(path) = &options.json {
        report.save(path)?;
    }
    if let Some(folder) = &options.plots {
        report.plot(plan, folder)?;
    }
    if options.write {
        report.write(plan)?;
    }
    Ok(())
}

/// Ends the process, and with it all of its children, where a scenario hangs.
#[expect(
    clippy::exit,
    clippy::print_stderr,
    reason = "whoever hangs can't be asked to end"
)]
fn in_time(part: &Part, plan: &Plan, scenario: Scenario) -> Result<Vec<Table>> {
    let (done, waiting) = mpsc::channel::<()>();
    let name = format!("{part:?}");
    let watch = thread::spawn(move || {
        if waiting.recv_timeout(SCENARIO_TIME_MAX) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} took more than {SCENARIO_TIME_MAX:?}");
            std::process::exit(1);
        }
    });
    let tables = scenario(plan);
    drop(done);
    let _ = watch.join();
    tables.map_err(|error| format!("{part:?}: {error}").into())
}

/// Does what a child is for.
fn be(part: &Child, threads: usize) -> Result<()> {
    match *part {
        Child::Server => child(threads, server::serve()),
        Child::Bare => child(threads, server::serve_bare()),
        Child::Hyper => child(threads, hyper::serve()),
        Child::Axum => child(threads, rivals::axum::serve()),
        Child::Socketioxide => child(threads, rivals::socketioxide::serve()),
        Child::Floor => {
            prepare()?;
            floor::serve(threads, Knows::Bytes)
        }
        Child::FramingFloor => {
            prepare()?;
            floor::serve(threads, Knows::Frames)
        }
        Child::Client { data, control } => {
            prepare()?;
            client::obey(data, control)
        }
        Child::Million { count, share } => answer(threads, million::measure(count, share)),
        Child::Subscriptions { topics } => answer(threads, topics::measure(topics)),
        Child::Pushes { count, depth } => answer(threads, replay::measure(count, depth)),
    }
}

/// Runs a child's task in a runtime, and prints what came of it.
fn answer<T: Serialize>(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_do_nothing_is_refused() {
        let check = |args: &str, word: &str| {
            let args = ["bennu-bench"].into_iter().chain(args.split(' '));
            let mut options = Options::try_parse_from(args).unwrap();
            let part = options.part.take().unwrap();
            let refused = measure(&options.plan, &[part], &options).unwrap_err();
            assert!(refused.to_string().contains(word), "{refused}");
        };
        check("replay --threads 2", "one task");
        check("--threads 4 bus", "two threads");
        check("presence-nodes --threads 2", "two threads");
        check("--write echo", "all scenarios");
    }
}
