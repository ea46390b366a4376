//! The bench's other processes: itself again, with a hidden subcommand.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{self, ChildStdin, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use crate::{
    Plan, Result,
    client::{Order, Outcome},
    load::{Clients, Crowded, Run},
    program::Program,
};

/// A process's memory has settled when it changes by no more than this while nobody asks anything of it.
const SETTLED_BYTES: u64 = 64 * 1024;
const SETTLING_STEP: Duration = Duration::from_millis(300);
const SETTLING_TIME_MAX: Duration = Duration::from_secs(15);

/// A process, killed when it's dropped.
#[derive(Debug)]
struct Child {
    process: process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// A server or a floor, and where it listens.
#[derive(Debug)]
pub(crate) struct Target {
    child: Child,
    data: SocketAddr,
    control: SocketAddr,
}

/// A load client of its own process, so that it has as many files to open as its target.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
}

impl Child {
    fn start(args: &[&str]) -> Result<Self> {
        let mut process = process::Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("a child has no pipes".into());
        };
        Ok(Self {
            process,
            input,
            output: BufReader::new(output),
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a child ended early".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a child to its end, which is one line of JSON.
pub(crate) fn outcome<T: DeserializeOwned>(args: &[&str]) -> Result<T> {
    Ok(serde_json::from_str(&Child::start(args)?.line()?)?)
}

impl Target {
    pub(crate) fn start(program: Program, threads: usize) -> Result<Self> {
        let args = [program.subcommand(), "--threads", &threads.to_string()];
        let mut child = Child::start(&args)?;
        let line = child.line()?;
        let mut addrs = line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_default()
            .split(' ')
            .filter_map(|it| it.parse().ok());
        let (Some(data), Some(control)) = (addrs.next(), addrs.next()) else {
            return Err(format!("expected two addresses, found {line:?}").into());
        };
        Ok(Self {
            child,
            data,
            control,
        })
    }

    /// Resident bytes, once they don't change any more.
    pub(crate) fn settled_rss(&self, plan: &Plan) -> Result<u64> {
        let start = Instant::now();
        let mut before = rss(self.child.process.id())?;
        loop {
            thread::sleep(SETTLING_STEP);
            let now = rss(self.child.process.id())?;
            let settled = now.abs_diff(before) <= SETTLED_BYTES;
            if settled || plan.quick || start.elapsed() > SETTLING_TIME_MAX {
                return Ok(now);
            }
            before = now;
        }
    }
}

impl Client {
    pub(crate) fn start(target: &Target) -> Result<Self> {
        let (data, control) = (target.data.to_string(), target.control.to_string());
        let child = Child::start(&["client", &data, &control])?;
        Ok(Self { child })
    }

    pub(crate) fn connect(&mut self, clients: Clients) -> Result<()> {
        self.order(Order::Connect(clients)).map(|_| ())
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        self.order(Order::Close).map(|_| ())
    }

    pub(crate) fn run(&mut self, order: Order) -> Result<Run> {
        match self.order(order)? {
            Outcome::Ran(run) => Ok(run),
            other => Err(format!("expected a run, found {other:?}").into()),
        }
    }

    pub(crate) fn join_crowd(&mut self, members: usize, joiners: usize) -> Result<Crowded> {
        match self.order(Order::Crowd(members, joiners))? {
            Outcome::Joined(crowded) => Ok(crowded),
            other => Err(format!("expected joins, found {other:?}").into()),
        }
    }

    fn order(&mut self, order: Order) -> Result<Outcome> {
        let mut line = serde_json::to_string(&order)?;
        line.push('\n');
        self.child.input.write_all(line.as_bytes())?;
        match serde_json::from_str(&self.child.line()?)? {
            Outcome::Failed(why) => Err(why.into()),
            outcome => Ok(outcome),
        }
    }
}

/// Resident bytes of a process, all pages counted as its own.
pub(crate) fn rss(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib: u64 = rollup
        .lines()
        .find_map(|it| it.strip_prefix("Rss:"))
        .and_then(|it| it.trim().strip_suffix(" kB"))
        .ok_or("no Rss in smaps_rollup")?
        .parse()?;
    Ok(kib * 1024)
}
