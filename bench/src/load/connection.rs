//! One of the load client's sockets, and how the client waits for all of them.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    time::{Duration, Instant},
};

use mio::{Events, Poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::greeting::{Awaits, Step};
use crate::Result;

/// Connections from one source address: the kernel has 28,000 ports for each, and slows down as they run out.
const CONNECTIONS_PER_SOURCE: usize = 4000;
/// How long nothing may come before the bench gives up.
const SILENCE_MAX: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: mio::net::TcpStream,
    /// Bytes of a frame that is not complete yet.
    partial: usize,
    /// Until everything of it has been said and heard.
    greeting: Option<Box<Greeting>>,
}

#[derive(Debug)]
struct Greeting {
    steps: std::vec::IntoIter<Step>,
    awaits: Awaits,
    came: Vec<u8>,
}

impl Connection {
    /// Connects the `n`th client, which says the first of `steps`.
    pub(super) fn open(addr: SocketAddr, n: usize, steps: Vec<Step>) -> Result<Self> {
        let mut connection = Self {
            stream: mio::net::TcpStream::from_std(open(addr, n)?),
            partial: 0,
            greeting: None,
        };
        let mut steps = steps.into_iter();
        if let Some(Step { send, awaits }) = steps.next() {
            connection.write(&send)?;
            connection.greeting = Some(Box::new(Greeting {
                steps,
                awaits,
                came: Vec::new(),
            }));
        }
        Ok(connection)
    }

    pub(super) fn is_greeting(&self) -> bool {
        self.greeting.is_some()
    }

    /// What has to come before its greeting goes on.
    pub(super) fn awaits(&self) -> Option<&Awaits> {
        self.greeting.as_ref().map(|it| &it.awaits)
    }

    /// Reads what came, and says what follows on it.
    pub(super) fn greet(&mut self, buffer: &mut [u8]) -> Result<()> {
        let Some(mut greeting) = self.greeting.take() else {
            return Err("something came that nobody awaits".into());
        };
        self.read_all(buffer, |bytes| {
            greeting.came.extend_from_slice(bytes);
            Ok(())
        })?;
        while let Some(len) = greeting.awaits.met(&greeting.came)? {
            greeting.came.drain(..len);
            match greeting.steps.next() {
                Some(Step { send, awaits }) => {
                    self.write(&send)?;
                    greeting.awaits = awaits;
                }
                None if greeting.came.is_empty() => return Ok(()),
                None => return Err("more came than a greeting's answer".into()),
            }
        }
        self.greeting = Some(greeting);
        Ok(())
    }

    /// Reads what came, sees that every byte is as expected, and counts the frames that are complete.
    pub(super) fn read(&mut self, buffer: &mut [u8], expected: &[u8]) -> Result<usize> {
        let (mut frames, mut partial) = (0, self.partial);
        self.read_all(buffer, |mut rest| {
            while !rest.is_empty() {
                let missing = expected.get(partial..).unwrap_or_default();
                let (came, behind) = rest.split_at(missing.len().min(rest.len()));
                if !missing.starts_with(came) {
                    let came = String::from_utf8_lossy(came);
                    return Err(format!("expected another frame than {came:?}").into());
                }
                rest = behind;
                partial += came.len();
                if partial == expected.len() {
                    partial = 0;
                    frames += 1;
                }
            }
            Ok(())
        })?;
        self.partial = partial;
        Ok(frames)
    }

    /// Gives what each read brings to `take`, until nothing is left.
    pub(super) fn read_all(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("a connection was closed".into()),
                Ok(n) => {
                    take(buffer.get(..n).unwrap_or_default())?;
                    // The socket was emptied: what comes from now on is told by another event.
                    if n < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.stream.write(bytes)? {
            n if n == bytes.len() => Ok(()),
            n => Err(format!("a socket took {n} of {} bytes", bytes.len()).into()),
        }
    }
}

/// Waits for events without going to sleep: on loopback it would be the server's send that pays for waking this
/// client up, the more often the slower the server is. Over a network a server never does.
pub(super) fn spin(poll: &mut Poll, events: &mut Events) -> Result<()> {
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

/// When it goes it leaves no port behind in TIME_WAIT.
fn open(addr: SocketAddr, n: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let host = u8::try_from(2 + n / CONNECTIONS_PER_SOURCE)?;
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0);
    socket.bind(&source.into())?;
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
