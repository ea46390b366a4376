//! The load client: one thread, one epoll, the same for the servers and for the floors.

mod connection;
mod crowd;
mod greeting;
mod polling;

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    control::{Command, Control},
    frame::Dialect,
};
use connection::{Connection, spin};
pub(crate) use crowd::Crowded;
use greeting::greeting;
pub(crate) use greeting::{Hello, Joins};

/// Handshakes under way at once: a server's memory would else show how fast they came, not what they left.
const HANDSHAKES_AT_ONCE: usize = 100;
/// A server has settled when it uses no more CPU than this from one look to the next.
const SETTLED_CPU_NS: u64 = 1_000_000;
const SETTLING_STEP: Duration = Duration::from_millis(20);
const SETTLING_TIME_MAX: Duration = Duration::from_secs(10);

/// Whom to connect.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Clients {
    pub(crate) count: usize,
    pub(crate) hello: Hello,
}

/// What is broadcast, and for how long.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct FanOut {
    /// Broadcasts made in a row before everybody has got them.
    pub(crate) depth: usize,
    pub(crate) payload_bytes: usize,
    /// Whether a floor may write all of them to a socket at once.
    pub(crate) gather: bool,
    pub(crate) time: Duration,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) messages: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) wall_ns: u64,
}

impl Run {
    /// Microseconds of the other side's CPU for each message.
    pub(crate) fn cpu_us(self) -> f64 {
        self.cpu_ns as f64 / self.messages as f64 / 1e3
    }

    /// Cores that the other side kept busy: as many as it has threads, unless this client was too slow for it, or the machine
    /// had something else to do.
    pub(crate) fn cores(self) -> f64 {
        self.cpu_ns as f64 / self.wall_ns as f64
    }

    /// Messages each second.
    pub(crate) fn rate(self) -> f64 {
        self.messages as f64 / self.wall_ns as f64 * 1e9
    }
}

/// Many clients in one thread.
#[derive(Debug)]
pub(crate) struct Load {
    addr: SocketAddr,
    control: Control,
    poll: Poll,
    connections: Vec<Connection>,
    /// What those connections speak.
    dialect: Dialect,
    /// Depth and payload of the broadcasts that were made last.
    warm: Option<(usize, usize)>,
    buffer: Vec<u8>,
}

/// The time and the other side's CPU, from when it's made.
#[derive(Clone, Copy, Debug)]
struct Stopwatch {
    cpu_ns: u64,
    start: Instant,
}

impl Stopwatch {
    fn start(control: &mut Control) -> Result<Self> {
        let cpu_ns = control.cpu_ns()?;
        let start = Instant::now();
        Ok(Self { cpu_ns, start })
    }

    fn stop(self, control: &mut Control, messages: u64) -> Result<Run> {
        let wall_ns = self.start.elapsed().as_nanos() as u64;
        let cpu_ns = control.cpu_ns()? - self.cpu_ns;
        Ok(Run {
            messages,
            cpu_ns,
            wall_ns,
        })
    }
}

impl Load {
    pub(crate) fn new(addr: SocketAddr, control: SocketAddr) -> Result<Self> {
        Ok(Self {
            addr,
            control: Control::connect(control)?,
            poll: Poll::new()?,
            connections: Vec::new(),
            dialect: Dialect::Channels,
            warm: None,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Connects clients beside those that are there. Nothing may come to those meanwhile.
    pub(crate) fn connect(&mut self, Clients { count, hello }: Clients) -> Result<()> {
        self.dialect = hello.dialect;
        let mut events = Events::with_capacity(4096);
        let (mut begun, mut greeted) = (0, 0);
        while greeted < count {
            while begun < count && begun - greeted < HANDSHAKES_AT_ONCE {
                let n = self.connections.len();
                let mut connection = Connection::open(self.addr, n, greeting(hello, n))?;
                self.poll.registry().register(
                    &mut connection.stream,
                    Token(n),
                    Interest::READABLE,
                )?;
                begun += 1;
                greeted += usize::from(!connection.is_greeting());
                self.connections.push(connection);
            }
            if greeted == begun {
                continue;
            }
            spin(&mut self.poll, &mut events).map_err(|error| {
                let waits = self.connections.iter().filter_map(Connection::awaits);
                let waits: Vec<_> = waits.collect();
                format!(
                    "{error} to {} clients, the first of which awaits {:?}",
                    waits.len(),
                    waits.first()
                )
            })?;
            for event in &events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    connection.greet(&mut self.buffer)?;
                    greeted += usize::from(!connection.is_greeting());
                }
            }
        }
        Ok(())
    }

    /// Resets all connections.
    pub(crate) fn close(&mut self) {
        self.connections.clear();
    }

    /// Connects clients, which is what is measured, and closes them; then waits until the server has done with that.
    pub(crate) fn handshakes(&mut self, clients: Clients) -> Result<Run> {
        let watch = Stopwatch::start(&mut self.control)?;
        self.connect(clients)?;
        let run = watch.stop(&mut self.control, clients.count as u64)?;
        self.close();
        self.settle()?;
        Ok(run)
    }

    /// Waits until the server has nothing to do any more.
    fn settle(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut before = self.control.cpu_ns()?;
        loop {
            thread::sleep(SETTLING_STEP);
            let now = self.control.cpu_ns()?;
            if now - before <= SETTLED_CPU_NS || start.elapsed() > SETTLING_TIME_MAX {
                return Ok(());
            }
            before = now;
        }
    }

    /// Has broadcasts made, waits until everybody got all of them, and again.
    pub(crate) fn fan_out(&mut self, order: FanOut) -> Result<Run> {
        let expected = self.dialect.broadcast(order.payload_bytes);
        // The first time brings memory that later ones find.
        let kind = (order.depth, order.payload_bytes);
        if self.warm != Some(kind) {
            self.broadcast(order, &expected)?;
            self.warm = Some(kind);
        }
        let watch = Stopwatch::start(&mut self.control)?;
        let mut messages = 0;
        while messages == 0 || watch.start.elapsed() < order.time {
            self.broadcast(order, &expected)?;
            messages += (self.connections.len() * order.depth) as u64;
        }
        watch.stop(&mut self.control, messages)
    }

    fn broadcast(&mut self, order: FanOut, expected: &[u8]) -> Result<()> {
        self.control.send(if order.gather {
            Command::Gather(order.depth, order.payload_bytes)
        } else {
            Command::Broadcast(order.depth, order.payload_bytes)
        })?;
        let mut left = self.connections.len() * order.depth;
        let mut events = Events::with_capacity(4096);
        while left > 0 {
            spin(&mut self.poll, &mut events)?;
            for event in &events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    let frames = connection.read(&mut self.buffer, expected)?;
                    left = left.checked_sub(frames).ok_or("more came than was sent")?;
                }
            }
        }
        Ok(())
    }

    /// Everybody keeps `depth` pushes in flight, for as long as `time`.
    pub(crate) fn echo(&mut self, depth: usize, time: Duration) -> Result<Run> {
        let (push, expected) = (self.dialect.echo(), self.dialect.echo_reply());
        let pushes = push.repeat(depth);
        for connection in &mut self.connections {
            connection.write(&pushes)?;
        }
        let mut left = self.connections.len() * depth;
        let mut events = Events::with_capacity(4096);
        let watch = Stopwatch::start(&mut self.control)?;
        let (mut messages, mut run) = (0, None);
        while left > 0 {
            spin(&mut self.poll, &mut events)?;
            for event in &events {
                let Some(connection) = self.connections.get_mut(event.token().0) else {
                    continue;
                };
                let replies = connection.read(&mut self.buffer, &expected)?;
                messages += replies as u64;
                if run.is_some() {
                    left -= replies;
                } else {
                    let again = pushes.get(..replies * push.len());
                    connection.write(again.ok_or("more replies than pushes")?)?;
                }
            }
            if run.is_none() && watch.start.elapsed() >= time {
                run = Some(watch.stop(&mut self.control, messages)?);
            }
        }
        run.ok_or_else(|| "nobody is connected".into())
    }
}
