//! One place among the sockets: who sits there changes.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    Result,
    frame::{CLOSE, FIN, frame, push},
    http,
    socket::{Closed, Socket},
};

/// Members of a topic.
const TOPIC_MEMBERS: u64 = 10;
/// Names that come and go with one deed.
const NAMES: u64 = 16;
/// Less than half of what a client may be silent.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// What a socket is told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    /// Shouts to its topic, and hears itself.
    Shout,
    /// Joins topics that nobody else has ever joined, pushes events that nobody has ever heard of, and leaves.
    Names,
    /// Users who have never been there come, one after the other, are present in a lobby, and vanish.
    Guests,
    /// Leaves its topic and joins again.
    Leave,
    /// Has its channel panic and joins again.
    Crash,
    /// Closes, and another user comes.
    Close,
    /// Vanishes, and another user comes.
    Reset,
    /// Is disconnected by the server, and another user comes.
    Disconnect,
}

/// What was done by all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    deeds: [AtomicU64; 8],
    /// Distinct ones; each number is used once.
    users: AtomicU64,
    topics: AtomicU64,
}

/// A socket and the place it has.
#[derive(Debug)]
pub(crate) struct Life {
    server: SocketAddr,
    tally: Arc<Tally>,
    number: u64,
    /// How many come with one deed.
    guests: u64,
    user: u64,
    socket: Socket,
    /// The last one that was used.
    reference: u64,
}

impl Deed {
    const ALL: [Self; 8] = [
        Self::Shout,
        Self::Names,
        Self::Guests,
        Self::Leave,
        Self::Crash,
        Self::Close,
        Self::Reset,
        Self::Disconnect,
    ];

    pub(crate) fn any(random: &mut fastrand::Rng) -> Self {
        random.choice(Self::ALL).unwrap_or(Self::Shout)
    }
}

impl Life {
    /// The first user of a place connects.
    pub(crate) async fn begin(
        number: u64,
        guests: u64,
        server: SocketAddr,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let (user, socket) = connect(number, server, &tally).await?;
        let mut life = Self {
            server,
            tally,
            number,
            guests,
            user,
            socket,
            reference: 0,
        };
        life.enter().await?;
        Ok(life)
    }

    /// Does what it's told until there is nobody who tells.
    pub(crate) async fn run(mut self, mut deeds: mpsc::Receiver<Deed>) -> Result<()> {
        let mut heartbeats = interval(HEARTBEAT);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let failed = |life: &Self, what: &dyn fmt::Debug, why| {
            format!("{what:?} of socket {}: {why}", life.number)
        };
        loop {
            tokio::select! {
                deed = deeds.recv() => {
                    let Some(deed) = deed else {
                        return Ok(());
                    };
                    self.act(deed).await.map_err(|why| failed(&self, &deed, why))?;
                    if let Some(count) = self.tally.deeds.get(deed as usize) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
                _ = heartbeats.tick() => {
                    let heartbeat = push(["0", "0"], "phoenix", "heartbeat", "{}");
                    self.socket.send(&heartbeat).await.map_err(|why| failed(&self, &"a heartbeat", why))?;
                }
                // What others shout.
                frame = self.socket.wait_frame() => {
                    let frame = frame.map_err(|why| failed(&self, &"waiting", why))?;
                    if frame.opcode == CLOSE {
                        return Err(failed(&self, &"waiting", "it's closed".to_owned()));
                    }
                }
            }
        }
    }

    async fn act(&mut self, deed: Deed) -> Result<()> {
        match deed {
            Deed::Shout => self.shout().await,
            Deed::Names => self.names().await,
            Deed::Guests => self.guests().await,
            Deed::Leave => {
                let topic = self.topic();
                self.ask(&topic, "phx_leave", "{}").await?;
                self.enter().await
            }
            Deed::Crash => {
                let topic = self.topic();
                self.send(&topic, "crash", "{}").await?;
                self.socket
                    .message(|it| it[3] == "phx_error" && it[2] == *topic)
                    .await?;
                self.enter().await
            }
            Deed::Close => {
                self.socket
                    .send(&frame(FIN | CLOSE, &1000_u16.to_be_bytes()))
                    .await?;
                let closed = self.socket.closed().await?;
                check(&closed, 1000)?;
                self.again().await
            }
            Deed::Reset => self.again().await,
            Deed::Disconnect => {
                let path = format!("/disconnect/u{}", self.user);
                let answer = http::post(self.server, &path, "", b"").await?;
                if answer.status != 204 {
                    return Err(format!("a disconnect gets status {}", answer.status));
                }
                let closed = self.socket.closed().await?;
                check(&closed, 1001)?;
                self.again().await
            }
        }
    }

    async fn shout(&mut self) -> Result<()> {
        let topic = self.topic();
        self.send(
            &topic,
            "shout",
            &format!(r#"{{"from":{},"n":{}}}"#, self.number, self.reference),
        )
        .await?;
        let (from, n) = (self.number, self.reference - 1);
        let own = |it: &Value| it[3] == "shout" && it[4]["from"] == from && it[4]["n"] == n;
        self.socket.message(own).await?;
        Ok(())
    }

    /// Everything is sent at once, and the last answer waited for.
    async fn names(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        let first = self.tally.topics.fetch_add(NAMES, Ordering::Relaxed);
        for number in first..first + NAMES {
            let topic = format!("room:t{number}");
            for (event, payload) in [
                ("phx_join", "{}"),
                (&*format!("e{number}"), r#"{"a":1}"#),
                ("phx_leave", "{}"),
            ] {
                self.reference += 1;
                bytes.extend(push(
                    ["1", &self.reference.to_string()],
                    &topic,
                    event,
                    payload,
                ));
            }
        }
        self.socket.send(&bytes).await?;
        let last = self.reference.to_string();
        self.socket.reply(&last).await?;
        Ok(())
    }

    /// A lobby of their own: what they come and go with is told to those of them who are still there.
    async fn guests(&self) -> Result<()> {
        let lobby = format!("lobby:guests-{}", self.number);
        for _ in 0..self.guests {
            let (_, mut guest) = connect(self.number, self.server, &self.tally).await?;
            guest.join(&lobby).await?;
            guest.reset();
        }
        Ok(())
    }

    /// Another user takes the place.
    async fn again(&mut self) -> Result<()> {
        let (user, socket) = connect(self.number, self.server, &self.tally).await?;
        let gone = std::mem::replace(&mut self.socket, socket);
        gone.reset();
        self.user = user;
        self.enter().await
    }

    /// Joins the topic of the place; every tenth is present in a lobby as well.
    async fn enter(&mut self) -> Result<()> {
        let topic = self.topic();
        self.ask(&topic, "phx_join", "{}").await?;
        if self.number.is_multiple_of(10) {
            let lobby = format!("lobby:{}", self.number % 100);
            self.ask(&lobby, "phx_join", "{}").await?;
        }
        Ok(())
    }

    fn topic(&self) -> String {
        format!("room:{}", self.number / TOPIC_MEMBERS)
    }

    async fn send(&mut self, topic: &str, event: &str, payload: &str) -> Result<()> {
        self.reference += 1;
        let reference = self.reference.to_string();
        self.socket
            .send(&push(["1", &reference], topic, event, payload))
            .await
    }

    /// Sends and waits for the answer, which is to be `ok`.
    async fn ask(&mut self, topic: &str, event: &str, payload: &str) -> Result<()> {
        self.send(topic, event, payload).await?;
        let reply = self.socket.reply(&self.reference.to_string()).await?;
        match reply.pointer("/4/status").and_then(Value::as_str) {
            Some("ok") => Ok(()),
            _ => Err(format!("{event} is answered with {reply}")),
        }
    }
}

fn check(closed: &Closed, code: u16) -> Result<()> {
    match closed.code == code {
        true => Ok(()),
        false => Err(format!("expected a close with {code}, found {closed:?}")),
    }
}

async fn connect(number: u64, server: SocketAddr, tally: &Tally) -> Result<(u64, Socket)> {
    let user = tally.users.fetch_add(1, Ordering::Relaxed);
    let socket = Socket::open_from(number, server, &format!("&user_id=u{user}")).await?;
    Ok((user, socket))
}

impl Tally {
    pub(crate) fn deeds(&self) -> u64 {
        self.deeds.iter().map(|it| it.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn crashes(&self) -> u64 {
        self.deeds
            .get(Deed::Crash as usize)
            .map_or(0, |it| it.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} deeds:", self.deeds())?;
        for (deed, count) in Deed::ALL.iter().zip(&self.deeds) {
            write!(f, " {} {deed:?}", count.load(Ordering::Relaxed))?;
        }
        let (users, topics) = (
            self.users.load(Ordering::Relaxed),
            self.topics.load(Ordering::Relaxed),
        );
        write!(
            f,
            "; {users} users, {topics} topics and as many events came and went"
        )
    }
}
