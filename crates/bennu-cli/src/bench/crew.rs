//! All workers, as their parent sees them: orders go to each, reports come together.

use std::process::Stdio;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;

use super::clock::now_ns;
use super::measure::{Measure, Tick};
use super::plan::{Plan, Share};
use super::worker::{Order, Report, work};
use crate::error::{Failure, Result};

/// The hidden option that makes a process a worker.
pub(crate) const WORKER: &str = "--worker";
/// Orders or reports that may wait.
const QUEUE_MAX: usize = 64;
/// The longest line between parent and worker.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a worker is told first.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    plan: Plan,
    share: Share,
}

/// Workers under way. Those that are processes are killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Crew {
    workers: Vec<Sender<Order>>,
    reports: Receiver<(usize, Report)>,
    /// Kept so that they are killed with it.
    _processes: Vec<Child>,
    /// True when the run is to end early.
    stop: watch::Receiver<bool>,
    /// When workers were told so.
    stopped_ns: u64,
}

impl Crew {
    /// One worker in this process, or each share in one of its own.
    pub(crate) fn start(
        plan: &Arc<Plan>,
        shares: Vec<Share>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self> {
        let (sender, reports) = mpsc::channel(QUEUE_MAX);
        let mut crew = Self {
            workers: Vec::new(),
            reports,
            _processes: Vec::new(),
            stop,
            stopped_ns: u64::MAX,
        };
        let is_alone = shares.len() == 1;
        for (at, share) in shares.into_iter().enumerate() {
            let (orders, queue) = mpsc::channel(QUEUE_MAX);
            if is_alone {
                let (own, mut from) = mpsc::channel(QUEUE_MAX);
                tokio::spawn(work(plan.clone(), share, queue, own));
                let sender = sender.clone();
                tokio::spawn(async move {
                    while let Some(report) = from.recv().await {
                        if sender.send((at, report)).await.is_err() {
                            return;
                        }
                    }
                });
            } else {
                let hello = Hello {
                    plan: Plan::clone(plan),
                    share,
                };
                let process = spawn(at, &hello, queue, sender.clone())?;
                crew._processes.push(process);
            }
            crew.workers.push(orders);
        }
        Ok(crew)
    }

    /// Whether the run is to end early.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// When workers were told to end early; the end of time if they weren't.
    pub(crate) const fn stopped_ns(&self) -> u64 {
        self.stopped_ns
    }

    /// Has all workers carry out an order, and adds up what came of it. Ticks go to `on_tick`, with the worker's number
    /// and the tick's.
    pub(crate) async fn carry_out(
        &mut self,
        order: Order,
        mut on_tick: impl FnMut(usize, u64, Tick),
    ) -> Result<Measure> {
        self.tell(order).await?;
        let mut told_to_stop = false;
        let mut sum = Measure::default();
        let mut left = self.workers.len();
        while left > 0 {
            let stop = async {
                match told_to_stop {
                    true => std::future::pending().await,
                    // Whoever could say so is gone: nobody will.
                    false => match self.stop.wait_for(|it| *it).await {
                        Ok(_) => {}
                        Err(_) => std::future::pending().await,
                    },
                }
            };
            let report = tokio::select! {
                report = self.reports.recv() => report,
                () = stop => {
                    told_to_stop = true;
                    self.stopped_ns = self.stopped_ns.min(now_ns());
                    self.tell(Order::Stop).await?;
                    continue;
                }
            };
            match report {
                Some((at, Report::Tick { k, tick })) => on_tick(at, k, tick),
                Some((_, Report::Done(measure))) => {
                    sum.add(&measure);
                    left -= 1;
                }
                Some((_, Report::Failed(why))) => return Err(Failure::new(why)),
                None => return Err(gone()),
            }
        }
        Ok(sum)
    }

    async fn tell(&self, order: Order) -> Result {
        for worker in &self.workers {
            worker.send(order.clone()).await.map_err(|_| gone())?;
        }
        Ok(())
    }
}

fn gone() -> Failure {
    Failure::new("a worker ended early; try fewer connections a process with --processes")
}

/// Starts this program again as a worker, and the tasks that talk with it.
fn spawn(
    at: usize,
    hello: &Hello,
    orders: Receiver<Order>,
    reports: Sender<(usize, Report)>,
) -> Result<Child> {
    let failed = |error| Failure::new(format!("failed to start a worker: {error}"));
    let hello = line(hello)?;
    let mut process = tokio::process::Command::new(std::env::current_exe().map_err(failed)?)
        .args(["bench", WORKER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(Failure::new("failed to start a worker: it has no pipes"));
    };
    tokio::spawn(give_orders(input, hello, orders));
    tokio::spawn(async move {
        let why = take_reports(output, at, &reports).await;
        // If nobody listens, nobody misses it.
        let _ = reports.send((at, Report::Failed(why))).await;
    });
    Ok(process)
}

async fn give_orders(mut input: ChildStdin, hello: Vec<u8>, mut orders: Receiver<Order>) {
    let mut next = Some(hello);
    while let Some(bytes) = next {
        if input.write_all(&bytes).await.is_err() {
            // Its end shows where reports come from.
            return;
        }
        next = match orders.recv().await {
            Some(order) => line(&order).ok(),
            None => None,
        };
    }
}

/// Passes reports on until they end, and says why they did.
async fn take_reports(output: ChildStdout, at: usize, reports: &Sender<(usize, Report)>) -> String {
    let mut output = BufReader::new(output);
    loop {
        let report = match next_line(&mut output).await {
            Ok(Some(report)) => report,
            Ok(None) => return gone().to_string(),
            Err(why) => return format!("a worker said what isn't a report: {why}"),
        };
        if reports.send((at, report)).await.is_err() {
            return String::new();
        }
    }
}

/// What a process does that was started as a worker.
pub(crate) async fn be_worker() -> Result {
    let mut input = BufReader::new(tokio::io::stdin());
    let wrong =
        |why: String| Failure::usage(format!("{WORKER} is for `bennu bench` itself: {why}"));
    let hello: Option<Hello> = next_line(&mut input).await.map_err(wrong)?;
    let Hello { plan, share } = hello.ok_or_else(|| wrong("nothing came".to_owned()))?;
    let (orders, queue) = mpsc::channel(QUEUE_MAX);
    let (sender, mut reports) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(async move {
        // With the parent's end, or anything that is no order, the orders end, and with them the work.
        while let Ok(Some(order)) = next_line(&mut input).await {
            if orders.send(order).await.is_err() {
                return;
            }
        }
    });
    // Ctrl-C reaches all processes of a terminal; the parent says what is to be done then.
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let work = tokio::spawn(work(Arc::new(plan), share, queue, sender));
    let mut output = tokio::io::stdout();
    while let Some(report) = reports.recv().await {
        let line = line(&report)?;
        let written = async {
            output.write_all(&line).await?;
            output.flush().await
        };
        if written.await.is_err() {
            return Ok(());
        }
    }
    work.await
        .map_err(|error| Failure::new(format!("a worker failed: {error}")))
}

fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)
        .map_err(|error| Failure::new(format!("failed to talk with a worker: {error}")))?;
    line.push(b'\n');
    Ok(line)
}

async fn next_line<T: for<'a> Deserialize<'a>>(
    input: &mut (impl AsyncBufReadExt + Unpin),
) -> Result<Option<T>, String> {
    let mut line = Vec::new();
    let mut input = input.take(LINE_BYTES_MAX);
    match input.read_until(b'\n', &mut line).await {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
