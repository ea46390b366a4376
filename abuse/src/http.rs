//! HTTP as bytes: a request may be any, and what comes back is read without a library's help.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Result;

/// How long an answer may take: longer than the longest of the server's limits.
const WAIT: Duration = Duration::from_secs(45);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `null` where it's none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// HTTP's status, and where that's 200 and the body has one, the body's.
    pub(crate) fn said(&self) -> u64 {
        match (self.status, self.json()["status"].as_u64()) {
            (200, Some(status)) => status,
            (status, _) => u64::from(status),
        }
    }
}

/// A connection for requests.
#[derive(Debug)]
pub(crate) struct Http {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Http {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await;
        let stream = stream.map_err(|error| format!("can't connect: {error}"))?;
        let _ = stream.set_nodelay(true);
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Sends bytes; `false` when the server takes no more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next answer. `None` when the connection ends before one.
    pub(crate) async fn answer(&mut self) -> Result<Option<Answer>> {
        let answer = timeout(WAIT, self.read_answer()).await;
        answer.map_err(|_| format!("no answer for {} s", WAIT.as_secs()))
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let end = loop {
            let end = self.unread.windows(4).position(|it| it == b"\r\n\r\n");
            match end {
                Some(end) => break end,
                None => self.read().await?,
            }
        };
        let head = String::from_utf8_lossy(self.unread.get(..end)?).to_lowercase();
        self.unread.drain(..end + 4);
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let field = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|it| it.strip_prefix(name)?.strip_prefix(':'))
        };
        let length = field("content-length").and_then(|it| it.trim().parse::<usize>().ok());
        let body = match (length, field("transfer-encoding")) {
            (Some(length), _) => self.take(length).await?,
            (None, Some(_)) => self.chunks().await?,
            (None, None) => {
                while self.read().await.is_some() {}
                std::mem::take(&mut self.unread)
            }
        };
        Some(Answer { status, body })
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match self.unread.windows(2).position(|it| it == b"\r\n") {
                    Some(end) => break end,
                    None => self.read().await?,
                }
            };
            let line = self.take(end + 2).await?;
            let length = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(length.trim(), 16).ok()?;
            let chunk = self.take(length + 2).await?;
            body.extend_from_slice(chunk.get(..length)?);
            if length == 0 {
                return Some(body);
            }
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.read().await?;
        }
        Some(self.unread.drain(..length).collect())
    }

    async fn read(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await;
        matches!(read, Ok(1..)).then_some(())
    }
}

/// Sends one request on a connection of its own and reads the answer, also while the request is still being sent.
pub(crate) async fn request(server: SocketAddr, head: &str, body: &[u8]) -> Result<Answer> {
    let mut http = Http::open(server).await?;
    http.send(head.as_bytes()).await;
    http.send(body).await;
    let answer = http.answer().await?;
    answer.ok_or_else(|| "the connection ended without an answer".to_owned())
}

/// A GET of `path`.
pub(crate) async fn get(server: SocketAddr, path: &str) -> Result<Answer> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    request(server, &head, &[]).await
}

/// A POST of `body` to `path`. `headers` are whole lines.
pub(crate) async fn post(
    server: SocketAddr,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Result<Answer> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    request(server, &head, body).await
}
