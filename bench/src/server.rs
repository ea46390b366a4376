//! The server that is measured: an axum application on Bennu's public API.

use std::sync::Arc;

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, Payload, Reply, Result, Routes, Socket,
    SocketOptions, Topic,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    control::{Command, cpu_ns},
    frame,
};

/// Long enough that nobody is closed for being as idle as the bench wants it.
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3600);

/// What the bare server reads at once.
const READ_BYTES: usize = 4096;

/// The endpoint of all sections.
pub(crate) fn endpoint() -> Endpoint<()> {
    Endpoint::new(())
        .options(SocketOptions::new().idle_timeout(IDLE_TIMEOUT))
        .socket::<UserSocket>("/socket")
}

pub(crate) struct UserSocket {
    user: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct Login {
    user: Option<u64>,
}

impl Socket for UserSocket {
    type App = ();
    type Params = Login;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(_: &Arc<()>, login: Login, _: &ConnectInfo) -> Result<Self> {
        Ok(Self { user: login.user })
    }

    fn id(&self) -> Option<String> {
        self.user.map(|it| format!("user:{it}"))
    }
}

struct Room {
    echoed: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    Echo(Payload),
}

impl Channel for Room {
    type Socket = UserSocket;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Self { echoed: 0 }.into())
    }

    async fn handle_in(&mut self, In::Echo(payload): In, _: &Context<Self>) -> Result {
        self.echoed = self.echoed.wrapping_add(1);
        Ok(Reply::with(payload))
    }
}

/// What is broadcast.
#[derive(Serialize)]
pub(crate) struct NewMsg {
    body: String,
}

impl NewMsg {
    pub(crate) fn new() -> Self {
        Self {
            body: frame::broadcast_body(),
        }
    }
}

/// Serves until it's killed.
#[expect(clippy::print_stdout, reason = "says where it listens")]
pub(crate) async fn serve() -> crate::Result<()> {
    let endpoint = endpoint();
    let data = TcpListener::bind("127.0.0.1:0").await?;
    let control = TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "listening on {} {}",
        data.local_addr()?,
        control.local_addr()?
    );
    let router = endpoint.router();
    tokio::spawn(async move {
        while let Ok((stream, _)) = control.accept().await {
            tokio::spawn(obey(stream, endpoint.clone()));
        }
    });
    axum::serve(data, router).await?;
    Ok(())
}

/// Does what one control connection asks for. Broadcasts are made on a task of the runtime, as by a handler.
async fn obey(stream: TcpStream, endpoint: Endpoint<()>) -> crate::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let message = NewMsg::new();
    while let Some(line) = lines.next_line().await? {
        match line.parse()? {
            Command::Cpu => {
                write
                    .write_all(format!("{}\n", cpu_ns()?).as_bytes())
                    .await?
            }
            Command::Broadcast(n) | Command::Gather(n) => {
                for _ in 0..n {
                    endpoint.broadcast(frame::TOPIC, frame::EVENT, &message);
                }
            }
        }
    }
    Ok(())
}

/// The least that a connection costs on tokio: a task that waits for a stream to become readable, and echoes.
#[expect(clippy::print_stdout, reason = "says where it listens")]
pub(crate) async fn serve_bare() -> crate::Result<()> {
    let data = TcpListener::bind("127.0.0.1:0").await?;
    let control = TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "listening on {} {}",
        data.local_addr()?,
        control.local_addr()?
    );
    tokio::spawn(async move {
        let endpoint = Endpoint::new(());
        while let Ok((stream, _)) = control.accept().await {
            tokio::spawn(obey(stream, endpoint.clone()));
        }
    });
    loop {
        let (stream, _) = data.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

/// Answers each push with a reply, and knows no protocol.
async fn echo(stream: TcpStream) -> crate::Result<()> {
    let mut partial = 0;
    loop {
        stream.readable().await?;
        partial = answer(&stream, partial)?;
    }
}

/// Reads once, and answers the pushes that end in what came. How many bytes of a push are left over.
fn answer(stream: &TcpStream, partial: usize) -> crate::Result<usize> {
    thread_local! {
        static REPLIES: Vec<u8> = frame::echo_reply().repeat(READ_BYTES / 64);
    }
    let mut buffer = [0; READ_BYTES];
    let read = match stream.try_read(&mut buffer) {
        Ok(0) => return Err("the client left".into()),
        Ok(read) => partial + read,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(partial),
        Err(error) => return Err(error.into()),
    };
    let (push_bytes, reply_bytes) = (frame::ECHO_BYTES, frame::ECHO_REPLY_BYTES);
    let bytes = read / push_bytes * reply_bytes;
    let written = REPLIES.with(|it| stream.try_write(it.get(..bytes).unwrap_or_default()))?;
    if written < bytes {
        return Err(format!("a socket took {written} of {bytes} bytes").into());
    }
    Ok(read % push_bytes)
}
