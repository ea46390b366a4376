//! A WebSocket client over a bare TCP stream, which sends whatever it's told to.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{Result, frame};

/// How long a client waits for what must come.
const WAIT: Duration = Duration::from_secs(15);
/// What one read asks for at least: there may be thousands of sockets.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Any key will do: nobody here checks what is made of it.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Where in `unread` the next frame begins.
    at: usize,
}

/// A frame from the server, which doesn't mask.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// How the server closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// The request that becomes a WebSocket. `query` and `headers` (whole lines) are added.
pub(crate) fn handshake(query: &str, headers: &str) -> String {
    format!(
        "GET /socket/websocket?vsn=2.0.0{query} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{headers}\r\n"
    )
}

impl Socket {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        Self::open_with(server, "", "").await
    }

    pub(crate) async fn open_with(server: SocketAddr, query: &str, headers: &str) -> Result<Self> {
        let stream = TcpStream::connect(server).await;
        let stream = stream.map_err(|error| format!("can't connect: {error}"))?;
        Self::over(stream, query, headers).await
    }

    /// From one of eight loopback addresses: each has ports of its own, which ten thousands of closed connections use up.
    pub(crate) async fn open_from(number: u64, server: SocketAddr, query: &str) -> Result<Self> {
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from(([127, 0, 0, 2 + (number % 8) as u8], 0)))?;
            socket.connect(server).await
        };
        let stream = connect
            .await
            .map_err(|error| format!("can't connect: {error}"))?;
        Self::over(stream, query, "").await
    }

    async fn over(stream: TcpStream, query: &str, headers: &str) -> Result<Self> {
        // The time of a small message shall be the server's.
        let _ = stream.set_nodelay(true);
        let mut socket = Self {
            stream,
            unread: Vec::new(),
            at: 0,
        };
        socket.send(handshake(query, headers).as_bytes()).await?;
        let end = loop {
            let end = socket.unread.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            socket.read().await?;
        };
        let head =
            String::from_utf8_lossy(socket.unread.get(..end).unwrap_or_default()).into_owned();
        if !head.starts_with("HTTP/1.1 101") {
            return Err(format!(
                "expected status 101, found {:?}",
                head.lines().next()
            ));
        }
        socket.at = end;
        Ok(socket)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|error| format!("can't send: {error}"))
    }

    /// Sends what the server may refuse halfway.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends without waiting until the kernel takes all of it: `false` where it takes nothing for so long.
    pub(crate) async fn send_within(&mut self, bytes: &[u8], time: Duration) -> bool {
        matches!(
            tokio::time::timeout(time, self.stream.write_all(bytes)).await,
            Ok(Ok(()))
        )
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(frame);
            }
            self.read().await?;
        }
    }

    /// The next frame, however long that takes. Given up, it loses nothing.
    pub(crate) async fn wait_frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(frame);
            }
            self.read_some().await?;
        }
    }

    /// The next message, as JSON.
    pub(crate) async fn json(&mut self) -> Result<Value> {
        let Frame { opcode, payload } = self.frame().await?;
        match opcode {
            frame::TEXT => {
                serde_json::from_slice(&payload).map_err(|error| format!("not JSON: {error}"))
            }
            frame::CLOSE => Err(format!("expected a message, found {:?}", closed(&payload))),
            _ => Err(format!("expected a message, found opcode {opcode}")),
        }
    }

    /// Reads on until the server closes.
    pub(crate) async fn closed(&mut self) -> Result<Closed> {
        loop {
            let frame = self.frame().await?;
            if frame.opcode == frame::CLOSE {
                return Ok(closed(&frame.payload));
            }
        }
    }

    /// Reads on until nothing comes any more.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        let mut buffer = vec![0; READ_BYTES_MIN];
        let end = async { while !matches!(self.stream.read(&mut buffer).await, Ok(0) | Err(_)) {} };
        let end = tokio::time::timeout(WAIT, end).await;
        end.map_err(|_| "the server keeps the connection".to_owned())
    }

    /// Joins `topic` under the ref `1` and reads until that is answered: with `ok`, or it fails.
    pub(crate) async fn join(&mut self, topic: &str) -> Result<()> {
        self.send(&frame::push(["1", "1"], topic, "phx_join", "{}"))
            .await?;
        let reply = self.reply("1").await?;
        match reply.pointer("/4/status").and_then(Value::as_str) {
            Some("ok") => Ok(()),
            _ => Err(format!("{topic} can't be joined: {reply}")),
        }
    }

    /// Reads until there is the reply to `reference`.
    pub(crate) async fn reply(&mut self, reference: &str) -> Result<Value> {
        self.message(|it| it[3] == "phx_reply" && it[1] == reference)
            .await
    }

    /// Reads until a message is as wanted.
    pub(crate) async fn message(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let message = self.json().await?;
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    /// Says no more, and goes on reading.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Vanishes with a reset.
    pub(crate) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    async fn read(&mut self) -> Result<()> {
        let read = tokio::time::timeout(WAIT, self.read_some()).await;
        read.unwrap_or_else(|_| Err(format!("nothing came for {} s", WAIT.as_secs())))
    }

    async fn read_some(&mut self) -> Result<()> {
        self.unread.drain(..self.at);
        self.at = 0;
        self.unread.reserve(READ_BYTES_MIN);
        match self.stream.read_buf(&mut self.unread).await {
            Err(error) => Err(format!("the connection broke: {error}")),
            Ok(0) => Err("the connection ended without a close".to_owned()),
            Ok(_) => Ok(()),
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let unread = self.unread.get(self.at..)?;
        let (&first, &second) = (unread.first()?, unread.get(1)?);
        let (length, start): (usize, usize) = match second & 0x7f {
            126 => (
                usize::from(u16::from_be_bytes(*unread.get(2..)?.first_chunk()?)),
                4,
            ),
            127 => (
                u64::from_be_bytes(*unread.get(2..)?.first_chunk()?) as usize,
                10,
            ),
            short => (usize::from(short), 2),
        };
        let payload = unread.get(start..start.checked_add(length)?)?.to_vec();
        self.at += start + length;
        Some(Frame {
            opcode: first & 0x0f,
            payload,
        })
    }
}

fn closed(payload: &[u8]) -> Closed {
    let code = payload
        .first_chunk()
        .map_or(1005, |it| u16::from_be_bytes(*it));
    let reason = payload.get(2..).unwrap_or_default();
    Closed {
        code,
        reason: String::from_utf8_lossy(reason).into_owned(),
    }
}
