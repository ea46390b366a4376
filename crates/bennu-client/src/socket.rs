//! A socket as its owner holds it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bennu_wire::{Payload, Topic};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{
    Changes, ConnectionError, Joining, PushError, Status, channel,
    machine::{ChannelId, Input, Reply},
    options::Options,
};

/// A connection to a socket, kept up by a task of its own: lost, it is made again after a while. Made by
/// [`Client`](crate::Client).
///
/// Clones are the same socket. It is disconnected when the last of them and of its channels is dropped. A program that is
/// about to end calls [`disconnect`](Self::disconnect), so that what it has pushed is written first.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); fn main() { run(async {
/// # use bennu_client::{Client, Status, Transport};
/// # let url = serve().await;
/// let socket = Client::connect(&url).start()?;
/// socket.opened().await?;
/// assert_eq!(socket.status(), Status::Open { transport: Transport::WebSocket });
/// println!("the server is {:?} away", socket.ping().await?);
/// socket.disconnect().await;
/// assert!(matches!(socket.status(), Status::Closed { .. }));
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Socket {
    pub(crate) shared: Arc<Shared>,
}

impl Socket {
    /// A channel of this topic, to be joined. A topic is joined once in a socket: joining it again closes the earlier one.
    pub fn channel(&self, topic: impl Into<Topic>) -> Joining {
        Joining::new(&self.shared, topic.into())
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// How it is, and how it will be.
    #[must_use]
    pub fn changes(&self) -> Changes<Status> {
        let mut watched = self.shared.status.clone();
        watched.mark_unchanged();
        Changes {
            watched,
            is_last: |it| matches!(it, Status::Closed { .. }),
        }
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    /// When there will be none: see [`Status::Closed`].
    pub async fn opened(&self) -> Result<(), ConnectionError> {
        let mut changes = self.changes();
        loop {
            match changes.get() {
                Status::Open { .. } => return Ok(()),
                Status::Closed { error } => return Err(error),
                Status::Connecting | Status::Waiting { .. } => {}
            }
            if changes.next().await.is_none() {
                return Err(ConnectionError::Disconnected);
            }
        }
    }

    /// Waits until it has ended for good, and says why.
    pub async fn closed(&self) -> ConnectionError {
        let mut changes = self.changes();
        loop {
            if let Status::Closed { error } = changes.get() {
                return error;
            }
            if changes.next().await.is_none() {
                return ConnectionError::Disconnected;
            }
        }
    }

    /// How long the server takes to answer.
    ///
    /// # Errors
    /// [`PushError::Disconnected`] when there is no connection or it is lost meanwhile, [`PushError::Timeout`], or
    /// [`PushError::Closed`].
    pub async fn ping(&self) -> Result<Duration, PushError> {
        let asked = Instant::now();
        let deadline = (asked + self.shared.options.timeout).into_std();
        self.shared
            .ask(|token| Input::Ping { deadline, token })
            .await?;
        Ok(asked.elapsed())
    }

    /// Ends it for good, for all clones and channels: writes what was pushed, closes the connection, and returns when
    /// that is done or took five seconds. What isn't answered by then is [`PushError::Closed`].
    pub async fn disconnect(&self) {
        let _ = self.shared.commands.send(Command::Input(Input::Disconnect));
        self.shared.commands.closed().await;
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// To whom an answer goes.
pub(crate) type Token = oneshot::Sender<Result<Reply, PushError>>;

/// What handles say to the driver. There's one queue, so that what a caller does is done in that order. It has no bound
/// of its own: pushes are admitted by `room`, and the rest is as many as there are calls and handles.
pub(crate) enum Command {
    Input(Input<Token>),
    /// A join, and where its events go.
    Join(Arc<channel::Shared>, Input<Token>),
}

/// What the driver and the handles have in common.
pub(crate) struct Shared {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    /// Bytes that may still be pushed. A push gives its bytes back when it's answered, a cast when it's written.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) options: Options,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) channels: AtomicU64,
}

/// What a push costs besides its payload and its event.
const PUSH_BYTES: usize = 256;

impl Shared {
    pub(crate) fn next_channel(&self) -> ChannelId {
        ChannelId(self.channels.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn ask(
        &self,
        input: impl FnOnce(Token) -> Input<Token>,
    ) -> Result<Reply, PushError> {
        self.command(|token| Command::Input(input(token))).await
    }

    pub(crate) async fn ask_join(
        &self,
        channel: &Arc<channel::Shared>,
        input: impl FnOnce(Token) -> Input<Token>,
    ) -> Result<Reply, PushError> {
        self.command(|token| Command::Join(channel.clone(), input(token)))
            .await
    }

    async fn command(&self, command: impl FnOnce(Token) -> Command) -> Result<Reply, PushError> {
        let (token, answer) = oneshot::channel();
        self.commands
            .send(command(token))
            .map_err(|_| PushError::Closed)?;
        answer.await.map_err(|_| PushError::Closed)?
    }

    /// A push larger than the whole room takes all of it.
    fn cost(&self, event: &str, payload: &Payload) -> u32 {
        let bytes = (PUSH_BYTES + event.len() + payload.len()).min(self.options.queue_bytes_max);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    pub(crate) async fn push(
        &self,
        id: ChannelId,
        event: &str,
        payload: Payload,
        timeout: Duration,
    ) -> Result<Reply, PushError> {
        let deadline = Instant::now() + timeout;
        let cost = self.cost(event, &payload);
        timeout_at(deadline, self.room.acquire_many(cost))
            .await
            .map_err(|_| PushError::Timeout)?
            .map_err(|_| PushError::Closed)?
            .forget();
        self.ask(|token| Input::Push {
            id,
            event: event.to_owned(),
            payload,
            deadline: deadline.into_std(),
            bytes: cost as usize,
            token: Some(token),
        })
        .await
    }

    pub(crate) fn cast(
        &self,
        id: ChannelId,
        event: &str,
        payload: Payload,
    ) -> Result<(), PushError> {
        let cost = self.cost(event, &payload);
        match self.room.try_acquire_many(cost) {
            Ok(room) => room.forget(),
            Err(tokio::sync::TryAcquireError::NoPermits) => return Err(PushError::Full),
            Err(tokio::sync::TryAcquireError::Closed) => return Err(PushError::Closed),
        }
        let deadline = (Instant::now() + self.options.timeout).into_std();
        let push = Input::Push {
            id,
            event: event.to_owned(),
            payload,
            deadline,
            bytes: cost as usize,
            token: None,
        };
        self.commands
            .send(Command::Input(push))
            .map_err(|_| PushError::Closed)
    }

    pub(crate) fn leave(&self, id: ChannelId) {
        let leave = Input::Leave { id, token: None };
        let _ = self.commands.send(Command::Input(leave));
    }
}
