//! The lines by which a client has a server or a floor broadcast, and asks what that cost.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    str::FromStr,
};

use nix::time::{ClockId, clock_gettime};

use crate::Result;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Answered with the nanoseconds of CPU the process has used.
    Cpu,
    /// So many broadcasts in a row.
    Broadcast(usize),
    /// The same, where the floor writes all of them to a socket at once. A server has no such choice.
    Gather(usize),
}

impl Command {
    pub(crate) fn line(self) -> String {
        match self {
            Self::Cpu => "cpu 0\n".to_owned(),
            Self::Broadcast(n) => format!("broadcast {n}\n"),
            Self::Gather(n) => format!("gather {n}\n"),
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("expected a command and a number, found {line:?}");
        let (name, n) = line.trim_end().split_once(' ').ok_or_else(unknown)?;
        let n = n.parse().map_err(|_| unknown())?;
        match name {
            "cpu" => Ok(Self::Cpu),
            "broadcast" => Ok(Self::Broadcast(n)),
            "gather" => Ok(Self::Gather(n)),
            _ => Err(unknown()),
        }
    }
}

/// The client's end.
#[derive(Debug)]
pub(crate) struct Control {
    lines: BufReader<TcpStream>,
}

impl Control {
    pub(crate) fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            lines: BufReader::new(stream),
        })
    }

    pub(crate) fn send(&mut self, command: Command) -> Result<()> {
        Ok(self.lines.get_mut().write_all(command.line().as_bytes())?)
    }

    /// Nanoseconds of CPU that the other process has used so far, user and system.
    pub(crate) fn cpu_ns(&mut self) -> Result<u64> {
        self.send(Command::Cpu)?;
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line.trim_end().parse()?)
    }
}

/// Nanoseconds of CPU that this process has used so far.
pub(crate) fn cpu_ns() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_its_line() {
        for command in [Command::Cpu, Command::Broadcast(1), Command::Gather(32)] {
            assert_eq!(command.line().parse(), Ok(command));
        }
        assert!("explode 1".parse::<Command>().is_err());
    }
}
