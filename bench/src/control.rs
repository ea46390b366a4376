//! The lines by which a client has a server or a floor broadcast, and asks what that cost.

use std::{
    future::Future,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    str::FromStr,
};

use nix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use crate::Result;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Answered with the nanoseconds of CPU the process has used.
    Cpu,
    /// So many broadcasts in a row, with a payload of so many bytes.
    Broadcast(usize, usize),
    /// The same, where the floor writes all of them to a socket at once. A server has no such choice.
    Gather(usize, usize),
    /// So many are present in the crowd.
    Crowd(usize),
}

impl Command {
    pub(crate) fn line(self) -> String {
        match self {
            Self::Cpu => "cpu\n".to_owned(),
            Self::Broadcast(times, bytes) => format!("broadcast {times} {bytes}\n"),
            Self::Gather(times, bytes) => format!("gather {times} {bytes}\n"),
            Self::Crowd(members) => format!("crowd {members}\n"),
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("expected a command, found {line:?}");
        let mut words = line.split_whitespace();
        let name = words.next().ok_or_else(unknown)?;
        let mut number = || {
            let word = words.next().ok_or_else(unknown)?;
            word.parse().map_err(|_| unknown())
        };
        match name {
            "cpu" => Ok(Self::Cpu),
            "broadcast" => Ok(Self::Broadcast(number()?, number()?)),
            "gather" => Ok(Self::Gather(number()?, number()?)),
            "crowd" => Ok(Self::Crowd(number()?)),
            _ => Err(unknown()),
        }
    }
}

/// A server on tokio that does what it's told.
pub(crate) trait Application: Clone + Send + 'static {
    /// Broadcasts so often a payload of so many bytes.
    fn broadcast(&self, times: usize, bytes: usize) -> impl Future<Output = Result<()>> + Send;

    /// Has so many be present in the crowd.
    fn crowd(&self, members: usize) -> Result<()> {
        Err(format!("{members} can't be present here").into())
    }
}

/// Says where a server listens, and does what control connections ask for, each on a task of the runtime, as a
/// handler would. The listener for clients.
#[expect(clippy::print_stdout, reason = "says where it listens")]
pub(crate) async fn listen(application: impl Application) -> Result<tokio::net::TcpListener> {
    let data = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let control = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "listening on {} {}",
        data.local_addr()?,
        control.local_addr()?
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = control.accept().await {
            tokio::spawn(obey(stream, application.clone()));
        }
    });
    Ok(data)
}

async fn obey(stream: tokio::net::TcpStream, application: impl Application) -> Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        match line.parse()? {
            Command::Cpu => {
                let answer = format!("{}\n", cpu_ns()?);
                write.write_all(answer.as_bytes()).await?;
            }
            Command::Broadcast(times, bytes) | Command::Gather(times, bytes) => {
                application.broadcast(times, bytes).await?;
            }
            Command::Crowd(members) => application.crowd(members)?,
        }
    }
    Ok(())
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
        for command in [
            Command::Cpu,
            Command::Broadcast(1, 100),
            Command::Gather(32, 4096),
            Command::Crowd(10),
        ] {
            assert_eq!(command.line().parse(), Ok(command));
        }
        for line in ["", "explode 1", "broadcast 1", "crowd many"] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }
}
