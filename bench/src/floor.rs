//! The floor: a program that moves the same bytes over the same number of sockets, and knows no protocol.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
};

use mio::{Events, Interest, Poll, Registry, Token};

use crate::{
    Result,
    control::{Command, cpu_ns},
    frame,
};

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
}

/// Serves until it's killed. Everything that comes is taken for pushes of one length, each of which is answered
/// with one reply; broadcasts are written when the control connection asks for them.
#[expect(clippy::print_stdout, reason = "says where it listens")]
pub(crate) fn serve(threads: usize, knows: Knows) -> Result<()> {
    let data = TcpListener::bind("127.0.0.1:0")?;
    let control = TcpListener::bind("127.0.0.1:0")?;
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
            reply: frame::echo_reply(),
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
        let (writes, frames) = match line?.parse()? {
            Command::Cpu => {
                writeln!(write, "{}", cpu_ns()?)?;
                continue;
            }
            Command::Broadcast(n) => (n, 1),
            Command::Gather(n) => (1, n),
        };
        for other in &others {
            other.send((writes, frames))?;
        }
        own.broadcast(writes, frames)?;
    }
    Ok(())
}

/// A thread that writes broadcasts to a share, so many times so many frames.
fn publisher(share: &Arc<Share>) -> Sender<(usize, usize)> {
    let (sender, orders) = mpsc::channel();
    let share = share.clone();
    thread::spawn(move || {
        for (writes, frames) in orders {
            share.broadcast(writes, frames)?;
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
        self.registry
            .register(&mut stream, Token(connections.len()), Interest::READABLE)?;
        connections.push(Connection {
            stream,
            partial: Vec::new(),
        });
        Ok(())
    }

    fn broadcast(&self, writes: usize, frames: usize) -> io::Result<()> {
        let bytes = frame::broadcast(frame::TOPIC).repeat(frames);
        let mut connections = self.lock();
        for _ in 0..writes {
            for connection in &mut *connections {
                write_at_once(&mut connection.stream, &bytes)?;
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
                loop {
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
                    write_at_once(&mut connection.stream, &replies)?;
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

/// The bench never has so much in flight that the kernel wouldn't take it.
fn write_at_once(stream: &mut mio::net::TcpStream, bytes: &[u8]) -> io::Result<()> {
    match stream.write(bytes)? {
        n if n == bytes.len() => Ok(()),
        n => Err(io::Error::other(format!(
            "a socket took {n} of {} bytes",
            bytes.len()
        ))),
    }
}
