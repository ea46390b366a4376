//! What the server's process costs, from `/proc`.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Failure, Result};

/// A process that is watched.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    folder: PathBuf,
    ticks_a_second: f64,
}

/// What it has used up to now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// User and system, of all threads, to a hundredth of a second.
    pub(crate) cpu: Duration,
    pub(crate) rss_bytes: u64,
}

impl Process {
    /// A process of this machine that can be watched.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        if !PathBuf::from("/proc/self/stat").exists() {
            return Err(Failure::usage(
                "this system has no /proc to read a process's CPU and memory from: leave --pid out",
            ));
        }
        let process = Self {
            folder: PathBuf::from(format!("/proc/{pid}")),
            ticks_a_second: ticks_a_second(),
        };
        match process.usage() {
            Some(_) => Ok(process),
            None => Err(Failure::usage(format!(
                "there is no process {pid} here, or it isn't yours: --pid takes that of the server, on this machine"
            ))),
        }
    }

    /// None when the process is gone.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let stat = std::fs::read_to_string(self.folder.join("stat")).ok()?;
        let status = std::fs::read_to_string(self.folder.join("status")).ok()?;
        let ticks = cpu_ticks(&stat)?;
        Some(Usage {
            cpu: Duration::from_secs_f64(ticks as f64 / self.ticks_a_second),
            rss_bytes: rss_bytes(&status)?,
        })
    }
}

#[cfg(unix)]
fn ticks_a_second() -> f64 {
    use nix::unistd::{SysconfVar, sysconf};
    match sysconf(SysconfVar::CLK_TCK) {
        Ok(Some(ticks @ 1..)) => ticks as f64,
        _ => 100.0,
    }
}

#[cfg(not(unix))]
fn ticks_a_second() -> f64 {
    100.0
}

/// User and system ticks: the 14th and 15th field. The second is a name in parentheses that may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_whatever_the_process_is_called() {
        let stat = "7 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(150));
        assert_eq!(cpu_ticks("7 (a"), None);
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        assert_eq!(rss_bytes("VmHWM:\t 9 kB\nVmRSS:\t   12 kB\n"), Some(12_288));
        assert_eq!(rss_bytes("Name: x"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let usage = Process::new(std::process::id()).unwrap().usage().unwrap();
        assert!(usage.rss_bytes > 100_000);
        assert!(Process::new(u32::MAX).is_err());
    }
}
