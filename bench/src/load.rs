//! The load client: one thread, one epoll, the same for the server and for the floor.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Result,
    control::{Command, Control},
    frame,
};

/// Connections from one source address: the kernel has 28,000 ports for each, and slows down as they run out.
const CONNECTIONS_PER_SOURCE: usize = 4000;
/// Handshakes under way at once: a server's memory would else show how fast they came, not what they left.
const HANDSHAKES_AT_ONCE: usize = 100;
/// How long nothing may come before the bench gives up.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Whom to connect.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Clients {
    pub(crate) count: usize,
    pub(crate) hello: Hello,
}

/// What clients do when they connect.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Hello {
    /// Nothing: the other side is a floor.
    Silent,
    /// They join the same so many topics.
    Shared { topics: usize },
    /// They join a topic each of their own.
    Own,
    /// They are known by an id, and join one shared topic.
    Id,
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
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: mio::net::TcpStream,
    /// Bytes of a frame that is not complete yet.
    partial: usize,
}

impl Load {
    pub(crate) fn new(addr: SocketAddr, control: SocketAddr) -> Result<Self> {
        Ok(Self {
            addr,
            control: Control::connect(control)?,
            poll: Poll::new()?,
            connections: Vec::new(),
            buffer: vec![0; 64 * 1024],
        })
    }

    pub(crate) fn connect(&mut self, clients: Clients) -> Result<()> {
        let mut next = 0;
        while next < clients.count {
            let batch = next..clients.count.min(next + HANDSHAKES_AT_ONCE);
            next = batch.end;
            let streams: Vec<_> = batch
                .clone()
                .map(|it| open(self.addr, it))
                .collect::<Result<_>>()?;
            if !matches!(clients.hello, Hello::Silent) {
                greet(&streams, batch.start, clients.hello)?;
            }
            for stream in streams {
                stream.set_nonblocking(true)?;
                let mut stream = mio::net::TcpStream::from_std(stream);
                let token = Token(self.connections.len());
                self.poll
                    .registry()
                    .register(&mut stream, token, Interest::READABLE)?;
                self.connections.push(Connection { stream, partial: 0 });
            }
        }
        Ok(())
    }

    /// Resets all connections.
    pub(crate) fn close(&mut self) {
        self.connections.clear();
    }

    /// Has `depth` broadcasts made, waits until everybody got all of them, and again, for as long as `time`.
    pub(crate) fn fan_out(&mut self, depth: usize, gather: bool, time: Duration) -> Result<Run> {
        let command = if gather {
            Command::Gather(depth)
        } else {
            Command::Broadcast(depth)
        };
        self.broadcast(command, depth)?;
        let (cpu, start) = (self.control.cpu_ns()?, Instant::now());
        let mut messages = 0;
        while start.elapsed() < time {
            self.broadcast(command, depth)?;
            messages += (self.connections.len() * depth) as u64;
        }
        let wall_ns = start.elapsed().as_nanos() as u64;
        Ok(Run {
            messages,
            cpu_ns: self.control.cpu_ns()? - cpu,
            wall_ns,
        })
    }

    fn broadcast(&mut self, command: Command, depth: usize) -> Result<()> {
        let expected = frame::broadcast(frame::TOPIC);
        self.control.send(command)?;
        let mut left = self.connections.len() * depth;
        let mut events = Events::with_capacity(4096);
        while left > 0 {
            spin(&mut self.poll, &mut events)?;
            for event in &events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    left -= connection.read(&mut self.buffer, &expected)?;
                }
            }
        }
        Ok(())
    }

    /// Everybody keeps `depth` pushes in flight, for as long as `time`.
    pub(crate) fn echo(&mut self, depth: usize, time: Duration) -> Result<Run> {
        let pushes = frame::echo().repeat(depth);
        let (push_bytes, expected) = (frame::ECHO_BYTES, frame::echo_reply());
        for connection in &mut self.connections {
            connection.write(&pushes)?;
        }
        let mut left = self.connections.len() * depth;
        let mut events = Events::with_capacity(4096);
        let (cpu, start) = (self.control.cpu_ns()?, Instant::now());
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
                    let again = pushes.get(..replies * push_bytes);
                    connection.write(again.ok_or("more replies than pushes")?)?;
                }
            }
            if run.is_none() && start.elapsed() >= time {
                let wall_ns = start.elapsed().as_nanos() as u64;
                run = Some(Run {
                    messages,
                    cpu_ns: self.control.cpu_ns()? - cpu,
                    wall_ns,
                });
            }
        }
        run.ok_or_else(|| "nobody is connected".into())
    }
}

impl Connection {
    /// Reads what came, sees that every byte is as expected, and counts the frames that are complete.
    fn read(&mut self, buffer: &mut [u8], expected: &[u8]) -> Result<usize> {
        let mut frames = 0;
        loop {
            let n = match self.stream.read(buffer) {
                Ok(0) => return Err("a connection was closed".into()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(frames),
                Err(error) => return Err(error.into()),
            };
            let mut rest = buffer.get(..n).unwrap_or_default();
            while !rest.is_empty() {
                let missing = expected.get(self.partial..).unwrap_or_default();
                let (came, behind) = rest.split_at(missing.len().min(rest.len()));
                if !missing.starts_with(came) {
                    let came = String::from_utf8_lossy(came);
                    return Err(format!("expected another frame than {came:?}").into());
                }
                rest = behind;
                self.partial += came.len();
                if self.partial == expected.len() {
                    self.partial = 0;
                    frames += 1;
                }
            }
            // The socket was emptied: what comes from now on is told by another event.
            if n < buffer.len() {
                return Ok(frames);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stream.write(bytes)? {
            n if n == bytes.len() => Ok(()),
            n => Err(format!("a socket took {n} of {} bytes", bytes.len()).into()),
        }
    }
}

/// Waits for events without going to sleep: on loopback it would be the server's send that pays for waking this
/// client up, the more often the slower the server is. Over a network a server never does.
fn spin(poll: &mut Poll, events: &mut Events) -> Result<()> {
    let start = Instant::now();
    loop {
        match poll.poll(events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
            Ok(()) if !events.is_empty() => return Ok(()),
            Ok(()) if start.elapsed() > SILENCE_MAX => return Err("nothing came".into()),
            Ok(()) => std::hint::spin_loop(),
        }
    }
}

/// Connects the `n`th client. When it goes it leaves no port behind in TIME_WAIT.
fn open(addr: SocketAddr, n: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let host = u8::try_from(2 + n / CONNECTIONS_PER_SOURCE)?;
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0);
    socket.bind(&source.into())?;
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    Ok(socket.into())
}

/// Upgrades and joins, all streams in step.
fn greet(streams: &[TcpStream], first: usize, hello: Hello) -> Result<()> {
    let numbered = || streams.iter().zip(first..);
    for (mut stream, n) in numbered() {
        let user = matches!(hello, Hello::Id).then_some(n);
        stream.write_all(frame::upgrade(user).as_bytes())?;
    }
    for (stream, _) in numbered() {
        upgraded(stream)?;
    }
    let topics = |n| match hello {
        Hello::Shared { topics } => 0..topics,
        Hello::Own => n..n + 1,
        Hello::Silent | Hello::Id => 0..1,
    };
    for (mut stream, n) in numbered() {
        let joins: Vec<_> = topics(n)
            .flat_map(|it| frame::join(&frame::topic(it)))
            .collect();
        stream.write_all(&joins)?;
    }
    for (stream, n) in numbered() {
        for topic in topics(n) {
            expect(stream, &frame::join_reply(&frame::topic(topic)))?;
        }
    }
    Ok(())
}

/// Reads the response to an upgrade, and not a byte more: nothing follows it yet.
fn upgraded(mut stream: &TcpStream) -> Result<()> {
    let mut response = Vec::new();
    let mut piece = [0; 512];
    while !response.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut piece)?;
        response.extend_from_slice(piece.get(..n).unwrap_or_default());
        if n == 0 {
            break;
        }
    }
    if response.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    let response = String::from_utf8_lossy(&response);
    Err(format!("expected to be upgraded, found {response:?}").into())
}

fn expect(mut stream: &TcpStream, expected: &[u8]) -> Result<()> {
    let mut came = vec![0; expected.len()];
    stream.read_exact(&mut came)?;
    if came == expected {
        return Ok(());
    }
    let came = String::from_utf8_lossy(&came);
    Err(format!(
        "expected {:?}, found {came:?}",
        String::from_utf8_lossy(expected)
    )
    .into())
}
