//! The floor: a program that moves the same bytes over the same number of sockets, and knows no protocol.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
};

use mio::{Events, Interest, Poll, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Result,
    control::{Command, cpu_ns},
    frame::{self, Dialect},
};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// How much the floor knows of what it echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knows {
    /// Nothing but the length of a push.
    Bytes,
    /// WebSocket frames: each is unmasked and checked to be UTF-8, and answered one by one.
    Frames,
}

/// What one thread serves.
struct Share {
    knows: Knows,
    reply: Vec<u8>,
    registry: Registry,
    connections: Mutex<Vec<Connection>>,
}

struct Connection {
    stream: mio::net::TcpStream,
    /// A push that is not complete yet.
    partial: Vec<u8>,
    /// What the kernel had no room for.
    unsent: Vec<u8>,
}

/// Serves until it's killed. Everything that comes is taken for pushes of one length, each of which is answered
/// with one reply; broadcasts are written when the control connection asks for them.
#[expect(clippy::print_stdout, reason = "says where it listens")]
pub(crate) fn serve(threads: usize, knows: Knows) -> Result<()> {
    let data = listener()?;
    let control = listener()?;
    println!(
        "listening on {} {}",
        data.local_addr()?,
        control.local_addr()?
    );

    let mut shares = Vec::new();
    for _ in 0..threads {
        let poll = Poll::new()?;
        let share = Arc::new(Share {
            knows,
            reply: Dialect::Channels.echo_reply(),
            registry: poll.registry().try_clone()?,
            connections: Mutex::default(),
        });
        let echoing = share.clone();
        thread::spawn(move || echoing.echo(poll));
        shares.push(share);
    }
    let accepting = shares.clone();
    thread::spawn(move || accept(&data, &accepting));
    let (stream, _) = control.accept()?;
    obey(stream, &shares)
}

/// With room for as many clients as connect at once: the library's own has it for 128.
fn listener() -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener, shares: &[Arc<Share>]) -> Result<()> {
    for share in shares.iter().cycle() {
        let (stream, _) = listener.accept()?;
        share.add(stream)?;
    }
    Ok(())
}

/// Does what the control connection asks for. The first share is this thread's, each other one has a thread.
fn obey(stream: TcpStream, shares: &[Arc<Share>]) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut write = stream.try_clone()?;
    let Some((own, others)) = shares.split_first() else {
        return Ok(());
    };
    let others: Vec<_> = others.iter().map(publisher).collect();
    for line in BufReader::new(stream).lines() {
        let broadcast = match line?.parse()? {
            Command::Cpu => {
                writeln!(write, "{}", cpu_ns()?)?;
                continue;
            }
            Command::Broadcast(times, bytes) => Broadcast::new(times, 1, bytes),
            Command::Gather(times, bytes) => Broadcast::new(1, times, bytes),
            Command::Crowd(_) => return Err("nobody is present at a floor".into()),
        };
        for other in &others {
            other.send(broadcast.clone())?;
        }
        own.broadcast(&broadcast)?;
    }
    Ok(())
}

/// What is written to every socket, and how often.
#[derive(Clone)]
struct Broadcast {
    times: usize,
    bytes: Arc<[u8]>,
}

impl Broadcast {
    fn new(times: usize, frames: usize, payload_bytes: usize) -> Self {
        let frame = Dialect::Channels.broadcast(payload_bytes);
        Self {
            times,
            bytes: frame.repeat(frames).into(),
        }
    }
}

/// A thread that writes broadcasts to a share.
fn publisher(share: &Arc<Share>) -> Sender<Broadcast> {
    let (sender, orders) = mpsc::channel();
    let share = share.clone();
    thread::spawn(move || {
        for broadcast in orders {
            share.broadcast(&broadcast)?;
        }
        Ok::<_, io::Error>(())
    });
    sender
}

impl Share {
    fn add(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        let mut connections = self.lock();
        self.registry.register(
            &mut stream,
            Token(connections.len()),
            // Nobody is woken by the latter but where a write came to nothing.
            Interest::READABLE | Interest::WRITABLE,
        )?;
        connections.push(Connection {
            stream,
            partial: Vec::new(),
            unsent: Vec::new(),
        });
        Ok(())
    }

    fn broadcast(&self, broadcast: &Broadcast) -> io::Result<()> {
        let mut connections = self.lock();
        for _ in 0..broadcast.times {
            for connection in &mut *connections {
                connection.write(&broadcast.bytes)?;
            }
        }
        Ok(())
    }

    fn echo(&self, mut poll: Poll) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 64 * 1024];
        let mut replies = Vec::new();
        loop {
            match poll.poll(&mut events, None) {
                // By a debugger or a profiler.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            let mut connections = self.lock();
            for event in &events {
                let Some(connection) = connections.get_mut(event.token().0) else {
                    continue;
                };
                connection.flush()?;
                while event.is_readable() {
                    let n = match connection.stream.read(&mut buffer) {
                        Ok(0) => {
                            self.registry.deregister(&mut connection.stream)?;
                            break;
                        }
                        Ok(n) => n,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    };
                    let bytes = buffer.get_mut(..n).unwrap_or_default();
                    replies.clear();
                    self.answer(&mut connection.partial, bytes, &mut replies)?;
                    connection.write(&replies)?;
                    if n < buffer.len() {
                        break;
                    }
                }
            }
        }
    }

    /// Answers the pushes that end in `bytes`.
    fn answer(&self, partial: &mut Vec<u8>, bytes: &mut [u8], replies: &mut Vec<u8>) -> Result<()> {
        let mut joined = std::mem::take(partial);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &mut *joined
        };
        let mut pushes = bytes.chunks_exact_mut(frame::ECHO_BYTES);
        for push in &mut pushes {
            if self.knows == Knows::Frames {
                let ([_, _, a, b, c, d], text) = push.split_first_chunk_mut().ok_or("no header")?;
                let mask = [*a, *b, *c, *d];
                text.iter_mut()
                    .zip(mask.iter().cycle())
                    .for_each(|(it, mask)| *it ^= mask);
                std::str::from_utf8(text)?;
            }
            replies.extend_from_slice(&self.reply);
        }
        partial.extend_from_slice(pushes.into_remainder());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Writes as much as the kernel takes. The rest follows when it has room again.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = if self.unsent.is_empty() {
            taken(self.stream.write(bytes))?
        } else {
            0
        };
        self.unsent
            .extend_from_slice(bytes.get(written..).unwrap_or_default());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match taken(self.stream.write(&self.unsent))? {
                0 => break,
                written => drop(self.unsent.drain(..written)),
            }
        }
        Ok(())
    }
}

/// How many bytes a write took: none where there is no room.
fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
