//! The server that is measured: an axum application on Bennu's public API. And the least that tokio costs.

use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{self, Poll, ready},
};

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, LongPoll, Payload, PresenceMember, RawEvent,
    Reply, Result, Routes, Socket, SocketOptions, Topic,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

use crate::{
    control::{Application, listen},
    frame,
};

/// Long enough that nobody is closed for being as idle as the bench wants it.
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3600);

/// What the bare server reads at once.
const READ_BYTES: usize = 4096;

/// The endpoint of all sections.
pub(crate) fn endpoint() -> Endpoint<()> {
    Endpoint::new(())
        .options(
            SocketOptions::new()
                .idle_timeout(IDLE_TIMEOUT)
                .longpoll(LongPoll::default()),
        )
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
        routes.channel::<Room>("room:*").channel::<Crowd>("crowd:*")
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
        Ok(payload.into())
    }
}

/// Where many are present.
struct Crowd;

#[derive(Deserialize)]
struct Joining {
    /// Who only watches isn't present, and isn't told who is.
    #[serde(default)]
    watch: bool,
}

/// What is known of who is present.
#[derive(Serialize)]
struct Meta {
    online_at: u64,
}

const META: Meta = Meta {
    online_at: 1_700_000_000,
};

/// How many have become present by joining, so that each has a key of its own.
static JOINERS: AtomicU64 = AtomicU64::new(0);

impl Channel for Crowd {
    type Socket = UserSocket;
    type Params = Joining;
    type In = RawEvent;
    type Info = ();

    async fn join(_: &Topic, joining: Joining, cx: &Context<Self>) -> Result<Joined<Self>> {
        if !joining.watch {
            let n = JOINERS.fetch_add(1, Ordering::Relaxed);
            cx.track(format!("joiner:{n:07}"), &META)?;
            cx.push_presence_state();
        }
        Ok(Self.into())
    }

    async fn handle_in(&mut self, _: RawEvent, _: &Context<Self>) -> Result {
        Ok(Reply::none())
    }
}

/// What is broadcast.
#[derive(Serialize)]
pub(crate) struct NewMsg {
    body: String,
}

impl NewMsg {
    pub(crate) fn new(payload_bytes: usize) -> Self {
        Self {
            body: frame::body(payload_bytes),
        }
    }
}

/// The endpoint, and who is present without being connected.
#[derive(Clone)]
struct Bennu {
    endpoint: Endpoint<()>,
    members: Arc<Mutex<Vec<PresenceMember>>>,
}

impl Application for Bennu {
    async fn broadcast(&self, times: usize, bytes: usize) -> crate::Result<()> {
        let message = NewMsg::new(bytes);
        for _ in 0..times {
            self.endpoint
                .broadcast(frame::TOPIC, frame::EVENT, &message);
        }
        Ok(())
    }

    fn crowd(&self, count: usize) -> crate::Result<()> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        for n in 0..count {
            let member = self.endpoint.presence().member();
            member.track(frame::CROWD, format!("member:{n:07}"), &META)?;
            members.push(member);
        }
        Ok(())
    }
}

/// Serves until it's killed.
pub(crate) async fn serve() -> crate::Result<()> {
    let endpoint = endpoint();
    let router = endpoint.router();
    let members = Arc::default();
    let data = listen(Bennu { endpoint, members }).await?;
    bennu::serve(data, router).await?;
    Ok(())
}

/// Knows no broadcasts.
#[derive(Clone)]
struct Bare;

impl Application for Bare {
    async fn broadcast(&self, _: usize, _: usize) -> crate::Result<()> {
        Err("this floor only echoes".into())
    }
}

/// The least that a connection costs on tokio: a task that waits for a stream to become readable, and echoes.
pub(crate) async fn serve_bare() -> crate::Result<()> {
    let data = listen(Bare).await?;
    loop {
        let (stream, _) = data.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

/// Answers each push with a reply, and knows no protocol.
async fn echo(mut stream: TcpStream) -> crate::Result<()> {
    let mut partial = 0;
    poll_fn(|cx| {
        loop {
            partial = ready!(poll_answer(&mut stream, partial, cx))?;
        }
    })
    .await
}

/// Reads once, and answers the pushes that end in what came. How many bytes of a push are left over.
///
/// It reads by `poll_read` as Bennu does, not by `try_read`: where less came than there was room for, that knows that the
/// socket is empty, and asks the kernel no second time.
fn poll_answer(
    stream: &mut TcpStream,
    partial: usize,
    cx: &mut task::Context<'_>,
) -> Poll<crate::Result<usize>> {
    thread_local! {
        static REPLIES: Vec<u8> = frame::Dialect::Channels.echo_reply().repeat(READ_BYTES / 64);
    }
    // On the stack and not in the task: an idle stream is measured, too.
    let mut buffer = [const { MaybeUninit::uninit() }; READ_BYTES];
    let mut buffer = ReadBuf::uninit(&mut buffer);
    ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
    let read = match buffer.filled().len() {
        0 => return Poll::Ready(Err("the client left".into())),
        read => partial + read,
    };
    let (push_bytes, reply_bytes) = (frame::ECHO_BYTES, frame::ECHO_REPLY_BYTES);
    let bytes = read / push_bytes * reply_bytes;
    let written = REPLIES.with(|it| stream.try_write(it.get(..bytes).unwrap_or_default()))?;
    if written < bytes {
        let why = format!("a socket took {written} of {bytes} bytes");
        return Poll::Ready(Err(why.into()));
    }
    Poll::Ready(Ok(read % push_bytes))
}
