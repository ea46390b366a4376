//! `bennu bench`: loads a server of Phoenix's channels and measures it.

mod cause;
mod client;
mod clock;
mod crew;
mod format;
mod limits;
mod measure;
mod member;
mod options;
mod outcome;
mod pace;
mod plan;
mod proc;
mod progress;
mod report;
mod run;
mod scenario;
mod shared;
mod stream;
mod table;
mod target;
mod tls;
mod wire;
mod worker;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use tokio::sync::watch;

use self::crew::Crew;
use self::options::Options;
use self::outcome::{Outcome, SCHEMA, Settings};
use self::proc::Process;
use self::progress::Progress;
use self::run::Run;
use crate::error::{Failure, Result};

/// The longest file that `--compare` reads.
const COMPARE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Loads a server of Phoenix's channels, whoever made it, and measures it.
///
/// Opens connections, joins topics and runs scenarios one after another, each with connections of its own. Latency
/// counts from when a push was due, so that a server that stalls doesn't look better than it is. docs/bench.md is
/// the guide.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(flatten)]
    options: Option<Options>,
    /// Takes orders from `bennu bench`, of which this is then a part.
    #[arg(long = "worker", hide = true, conflicts_with = "url")]
    worker: bool,
}

impl Bench {
    pub(crate) fn run(self) -> Result {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("failed to start: {error}")))?;
        match (self.worker, self.options) {
            (true, _) => {
                limits::files_max();
                runtime.block_on(crew::be_worker())
            }
            (false, Some(options)) => runtime.block_on(bench(&options)),
            (false, None) => Err(Failure::usage(
                "bench needs a URL, such as ws://localhost:4000/socket",
            )),
        }
    }
}

async fn bench(options: &Options) -> Result {
    let before = options.compare.as_deref().map(read).transpose()?;
    if let Some(path) = &options.report {
        // Before the run, not after it.
        let opened = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        opened.map_err(|error| unwritable(path, &error))?;
    }
    let (stop, stopped) = watch::channel(false);
    let twice = async move {
        // Where Ctrl-C can't be heard it ends the program by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        stop.send_replace(true);
        let _ = tokio::signal::ctrl_c().await;
    };
    let (outcome, failure) = tokio::select! {
        measured = measure(options, stopped) => measured?,
        () = twice => return Err(Failure::new("interrupted twice: nothing was kept")),
    };
    // What was measured is printed whatever becomes of it.
    let mut reported = Ok(());
    if let Some(path) = &options.report {
        let page = report::page(&outcome, before.as_ref());
        reported = std::fs::write(path, page).map_err(|error| unwritable(path, &error));
    }
    let text = if options.json {
        let json = serde_json::to_string_pretty(&outcome);
        json.map_err(|error| Failure::new(format!("failed to write JSON: {error}")))? + "\n"
    } else {
        table::print(&outcome, before.as_ref())
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads it has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Failure::new(format!("failed to print: {error}")));
        }
        _ => reported?,
    }
    match failure.or_else(|| outcome.shortfall().map(Failure::new)) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!(
        "failed to write the report to {}: {error}; give another --report",
        path.display()
    ))
}

/// Runs all scenarios, or as many as there is time for. Where one fails, what was measured before it, and why it did.
async fn measure(
    options: &Options,
    stopped: watch::Receiver<bool>,
) -> Result<(Outcome, Option<Failure>)> {
    let process = options.pid.map(Process::new).transpose()?;
    let plan = Arc::new(options.plan().await?);
    let mut courses = Vec::new();
    for scenario in &options.scenario {
        courses.push(options.course(*scenario)?);
    }
    let shares = options.shares(limits::files_max())?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut outcome = Outcome {
        schema: SCHEMA,
        bennu: env!("CARGO_PKG_VERSION").to_owned(),
        at: at.map_or(0, |it| it.as_secs()),
        url: options.url.clone(),
        interrupted: false,
        settings: Settings {
            connections: plan.connections,
            processes: shares.len() as u64,
            topics_per_connection: plan.topics_per_connection,
            vsn: plan.vsn.name().to_owned(),
            connect_rate: plan.connect_rate,
            payload_bytes: plan.payload_bytes,
            depth: plan.depth,
            warmup_s: plan.warmup.as_secs_f64(),
            duration_s: plan.duration.as_secs_f64(),
            heartbeat_s: plan.heartbeat.as_secs_f64(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        },
        scenarios: Vec::new(),
    };
    let progress = Progress::new(options.quiet);
    let crew = Crew::start(&plan, shares, stopped.clone())?;
    let mut run = Run {
        plan,
        crew,
        process,
        progress: &progress,
    };
    for course in &courses {
        run.probe(course, stopped.clone()).await?;
    }
    let mut failed = None;
    for course in courses {
        if run.crew.is_stopped() {
            break;
        }
        let name = course.scenario.name();
        match run.scenario(course).await {
            Ok(row) => outcome.scenarios.push(row),
            // What was measured before it shall not be lost with it.
            Err(failure) if !outcome.scenarios.is_empty() => {
                failed = Some(Failure::new(format!("{name} failed: {failure}")));
                outcome.interrupted = true;
                break;
            }
            Err(failure) => return Err(failure),
        }
    }
    progress.end();
    outcome.interrupted |= *stopped.borrow();
    Ok((outcome, failed))
}

/// Figures of an earlier run.
fn read(path: &Path) -> Result<Outcome> {
    let wrong = |why: String| {
        Failure::usage(format!(
            "failed to compare with {}: {why}; give what an earlier run printed with --json",
            path.display()
        ))
    };
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let len = file.metadata().map_or(0, |it| it.len());
    if len > COMPARE_BYTES_MAX {
        return Err(wrong(format!("it has {len} bytes")));
    }
    let outcome: Outcome = serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| wrong(error.to_string()))?;
    match outcome.schema {
        SCHEMA => Ok(outcome),
        other => Err(wrong(format!("its schema is {other}, expected {SCHEMA}"))),
    }
}
