//! A broker's process, on a free port.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

use super::Kind;
use crate::{Result, prepare};

/// A broker that runs while this lives, and no longer than the bench.
#[derive(Debug)]
pub(crate) struct Broker {
    process: Child,
    pub(crate) url: String,
}

impl Broker {
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        // The port may be taken by somebody else before the broker has it.
        for _ in 0..5 {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let number = port.to_string();
            let mut process = Command::new(std::env::current_exe()?)
                .args(["bus-child", "broker", kind.name(), &number])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()?;
            let log = process.stdout.take().ok_or("a broker has no pipe")?;
            let mut broker = Self {
                process,
                url: format!("{}://127.0.0.1:{port}", kind.name()),
            };
            if broker.is_ready(log, kind)? {
                return Ok(broker);
            }
        }
        Err(format!("{} doesn't start: is it installed?", program(kind)).into())
    }

    fn is_ready(&mut self, log: ChildStdout, kind: Kind) -> Result<bool> {
        let ready = match kind {
            Kind::Redis => "Ready to accept connections",
            Kind::Nats => "Server is ready",
        };
        let mut lines = BufReader::new(log).lines();
        let found = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|it| it.contains(ready));
        if found {
            // It's read to the end: nobody waits for room in a pipe.
            thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        } else {
            self.process.wait()?;
        }
        Ok(found)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Becomes the broker's program. That it ends with its parent is kept.
pub(super) fn become_one(kind: Kind, port: u16) -> Result<()> {
    prepare()?;
    let port = port.to_string();
    let mut command = Command::new(program(kind));
    let command = match kind {
        Kind::Redis => command
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--dir", &std::env::temp_dir().to_string_lossy()]),
        Kind::Nats => command.args(["--addr", "127.0.0.1", "--port", &port]),
    };
    // Redis logs to the one, NATS to the other.
    let out = std::io::stdout().as_fd().try_clone_to_owned()?;
    Err(command.stderr(out).exec().into())
}

fn program(kind: Kind) -> &'static str {
    match kind {
        Kind::Redis => "redis-server",
        Kind::Nats => "nats-server",
    }
}
