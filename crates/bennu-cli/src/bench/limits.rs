//! How connections are shared out, so that neither files nor ports run out.

use std::net::{IpAddr, Ipv4Addr};

use super::target::has_many_loopbacks;
use crate::error::{Failure, Result};

/// Files that a process needs beside its connections.
const FILES_OF_OUR_OWN: u64 = 100;
/// Beyond so many connections to this machine's loopback, several source addresses are used without being asked for.
const LOOPBACK_ALONE_MAX: u64 = 20_000;
/// Connections from each of them: the kernel takes longer to find a port, the fewer are left.
const LOOPBACK_EACH: u64 = 4_000;
/// Linux's default, for systems that don't say.
const PORTS_DEFAULT: u64 = 28_232;

/// Raises this process's limit on open files as far as it may, and returns it.
#[cfg(unix)]
pub(crate) fn files_max() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return u64::MAX;
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// No limit is known here.
#[cfg(not(unix))]
pub(crate) fn files_max() -> u64 {
    u64::MAX
}

/// How many processes so many connections need, or whether as many as were asked for are enough.
pub(crate) fn processes(connections: u64, asked: Option<u64>, files_max: u64) -> Result<u64> {
    let each = files_max.saturating_sub(FILES_OF_OUR_OWN).max(1);
    let needed = connections.div_ceil(each).max(1);
    match asked {
        None => Ok(needed),
        Some(asked) if asked >= needed => Ok(asked.min(connections.max(1))),
        Some(asked) => Err(Failure::usage(format!(
            "{connections} connections need {needed} processes, since each may open {files_max} files: give \
             --processes {needed} instead of {asked}, or raise the limit with `ulimit -n`"
        ))),
    }
}

/// Where connections come from: what was asked for, or else several addresses where one has too few ports and the
/// server is on this machine. Empty leaves it to the kernel.
pub(crate) fn sources(
    connections: u64,
    asked: Vec<IpAddr>,
    server: IpAddr,
    ports: u64,
) -> Result<Vec<IpAddr>> {
    if let Some(odd) = asked.iter().find(|it| it.is_ipv4() != server.is_ipv4()) {
        return Err(Failure::usage(format!(
            "--source {odd} can't reach {server}: give addresses of the same kind"
        )));
    }
    let is_auto = asked.is_empty() && has_many_loopbacks(server);
    if is_auto && connections > LOOPBACK_ALONE_MAX {
        let count = connections.div_ceil(LOOPBACK_EACH).min(60_000);
        // From 127.0.0.2 on.
        let address = |n: u64| Ipv4Addr::from(0x7f00_0002 + u32::try_from(n).unwrap_or_default());
        return Ok((0..count).map(|n| IpAddr::V4(address(n))).collect());
    }
    let room = ports.saturating_mul(asked.len().max(1) as u64);
    if connections > room {
        let needed = connections.div_ceil(ports.max(1));
        return Err(Failure::usage(format!(
            "{connections} connections need {needed} source addresses, since each has {ports} ports: give them with \
             --source ADDR,ADDR, or widen net.ipv4.ip_local_port_range"
        )));
    }
    Ok(asked)
}

/// Ports that each source address has.
pub(crate) fn ports() -> u64 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    range
        .ok()
        .and_then(|it| ports_of(&it))
        .unwrap_or(PORTS_DEFAULT)
}

fn ports_of(range: &str) -> Option<u64> {
    let mut edges = range.split_ascii_whitespace().map(str::parse::<u64>);
    let (low, high) = (edges.next()?.ok()?, edges.next()?.ok()?);
    Some(high.checked_sub(low)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_as_many_as_files_ask_for() {
        let check = |connections, asked, expected| {
            let found = processes(connections, asked, 20_000).map_err(drop);
            assert_eq!(found, expected, "{connections} {asked:?}");
        };
        check(1, None, Ok(1));
        check(19_900, None, Ok(1));
        check(19_901, None, Ok(2));
        check(100_000, None, Ok(6));
        check(100, Some(2), Ok(2));
        check(1, Some(2), Ok(1));
        check(50_000, Some(2), Err(()));
    }

    #[test]
    fn sources_are_as_many_as_ports_ask_for() {
        let check = |connections, asked: &[&str], server: &str, expected: Result<&[&str], &str>| {
            let parse = |it: &[&str]| it.iter().map(|it| it.parse().unwrap()).collect();
            let found = sources(connections, parse(asked), server.parse().unwrap(), 28_000);
            match (found, expected) {
                (Ok(found), Ok(expected)) => {
                    let expected: Vec<IpAddr> = parse(expected);
                    assert_eq!(found, expected);
                }
                (Err(failure), Err(why)) => {
                    assert!(failure.to_string().contains(why), "{failure}");
                }
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        };
        check(20_000, &[], "127.0.0.1", Ok(&[]));
        if cfg!(target_os = "linux") {
            let many = &[
                "127.0.0.2",
                "127.0.0.3",
                "127.0.0.4",
                "127.0.0.5",
                "127.0.0.6",
                "127.0.0.7",
            ];
            check(24_000, &[], "127.0.0.1", Ok(many));
        }
        check(28_000, &[], "10.0.0.1", Ok(&[]));
        check(28_001, &[], "10.0.0.1", Err("need 2 source addresses"));
        let two = &["10.0.0.2", "10.0.0.3"];
        check(56_000, two, "10.0.0.1", Ok(two));
        check(56_001, two, "10.0.0.1", Err("need 3 source addresses"));
        check(1, &["::1"], "10.0.0.1", Err("same kind"));
    }

    #[test]
    fn a_range_of_ports_is_counted() {
        assert_eq!(ports_of("32768\t60999\n"), Some(28_232));
        assert_eq!(ports_of("junk"), None);
        assert_eq!(ports_of("5 1"), None);
    }
}
