//! The conformance server as a child: started, measured, asked for its counts, and ended.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{Result, http};

/// How long a count may take to become what it must be.
const COUNTED_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the server may take to start, and to end.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// The program that is started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
}

/// A server, killed when it's dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pid: u32,
    pub(crate) at: SocketAddr,
    /// Panics that nobody asked for: those of the conformance channels are asked for.
    panics: Arc<AtomicU64>,
}

/// The text of `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Program {
    /// Whether time limits may be judged: not where cargo built it for debugging.
    pub(crate) fn optimized(&self) -> bool {
        !self.path.components().any(|it| it.as_os_str() == "debug")
    }

    /// The conformance server beside this program, after cargo has seen to it that it's there and is of today.
    pub(crate) async fn built() -> Result<Self> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let folder = own.parent().ok_or("this program is nowhere")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", "conformance"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let status = build.stdin(Stdio::null()).status().await;
        match status {
            Ok(status) if status.success() => Ok(Self {
                path: folder.join("conformance"),
            }),
            Ok(status) => Err(format!(
                "cargo can't build the conformance server: {status}"
            )),
            Err(error) => Err(format!(
                "cargo can't be started: {error}; name the server with --server"
            )),
        }
    }
}

impl Server {
    pub(crate) async fn start(program: &Program, options: &[&str]) -> Result<Self> {
        let mut child = Command::new(&program.path)
            .args(["--port", "0"])
            .args(options)
            .env_remove("RUST_LOG")
            // With backtraces the symbols would be most of its memory.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} can't be started: {error}", program.path.display()))?;
        let pid = child.id().ok_or("the server ended early")?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("the server has no pipes".to_owned());
        };
        let panics = Arc::new(AtomicU64::new(0));
        let count = panics.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(errors).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("panicked at") && !line.contains("conformance/src/room.rs") {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let mut lines = BufReader::new(output).lines();
        let line = timeout(START_TIME_MAX, lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else {
            return Err("the server doesn't say where it listens".to_owned());
        };
        let at = line
            .strip_prefix("listening on ")
            .and_then(|it| it.parse().ok());
        let at = at.ok_or_else(|| format!("expected the server's address, found {line:?}"))?;
        Ok(Self {
            child,
            pid,
            at,
            panics,
        })
    }

    /// Resident bytes now.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most resident bytes there were since [`forget_peak`](Self::forget_peak), or since the start.
    pub(crate) fn memory_peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Begins anew with the peak. Where the system doesn't allow that, the peak since the start is judged, which is no less.
    pub(crate) fn forget_peak(&self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.pid), "5");
    }

    fn status(&self, field: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let line = text.lines().find_map(|it| it.strip_prefix(field));
        let kib = line.and_then(|it| it.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|it| it * 1024)
            .ok_or_else(|| format!("{path} has no {field}"))
    }

    /// Its open files.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    pub(crate) async fn metrics(&self) -> Result<Metrics> {
        let answer = http::get(self.at, "/metrics").await?;
        String::from_utf8(answer.body)
            .map(Metrics)
            .map_err(|error| error.to_string())
    }

    /// Waits until the samples of that name and those labels (`why="lost"`) add up to what is right.
    pub(crate) async fn counted(
        &self,
        name: &str,
        labels: &str,
        right: impl Fn(u64) -> bool,
    ) -> Result<u64> {
        self.counted_within(name, labels, COUNTED_TIME_MAX, right)
            .await
    }

    pub(crate) async fn counted_within(
        &self,
        name: &str,
        labels: &str,
        time: Duration,
        right: impl Fn(u64) -> bool,
    ) -> Result<u64> {
        let began = Instant::now();
        loop {
            let count = self.metrics().await?.get(name, labels)?;
            if right(count) {
                return Ok(count);
            }
            if began.elapsed() > time {
                return Err(format!("{name}{{{labels}}} is {count}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Panics that nobody asked for.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Has it drain and end: with success, or it fails.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).map_err(|error| error.to_string())?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|error| error.to_string())?;
        match timeout(START_TIME_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("the server ended with {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the server doesn't end".to_owned()),
        }
    }
}

impl Metrics {
    /// The sum of the samples of that name that have these labels, written as Prometheus writes them.
    pub(crate) fn get(&self, name: &str, labels: &str) -> Result<u64> {
        let samples = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (found, value) = rest.rsplit_once(' ')?;
            let whole = found.is_empty() || found.starts_with('{');
            (whole && found.contains(labels)).then(|| value.parse::<f64>().ok())?
        });
        let sum = samples.reduce(|sum, it| sum + it);
        sum.map(|it| it as u64)
            .ok_or_else(|| format!("there is no {name}{{{labels}}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_added_up_by_name_and_labels() {
        let metrics = Metrics(
            "# HELP a b\na 1\na_total{x=\"1\",y=\"2\"} 2\na_total{x=\"1\",y=\"3\"} 3\n".to_owned(),
        );
        let check =
            |name, labels, expected: Result<u64>| assert_eq!(metrics.get(name, labels), expected);
        check("a", "", Ok(1));
        check("a_total", "", Ok(5));
        check("a_total", "y=\"3\"", Ok(3));
        check("b", "", Err("there is no b{}".to_owned()));
    }
}
