//! One client: it's in a room, where some speak, and in a lobby, where it sees who is there. It comes back by itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json, value::RawValue};
use tokio::{
    net::TcpStream,
    time::{Instant, interval, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::crowd::{Crowd, Loss, Member};

/// Those of the official client, in milliseconds.
const PAUSES: [u64; 10] = [10, 50, 100, 150, 200, 250, 500, 1_000, 2_000, 5_000];
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long connecting and joining may take before it's tried elsewhere.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Lives on: connects, and comes back when its connection ends.
pub(crate) async fn live(crowd: Arc<Crowd>, id: usize) {
    let mut pauses = PAUSES.into_iter();
    for tries in 0.. {
        let node = (id + tries) % crowd.addresses.len();
        let connecting = timeout(CONNECT_TIME_MAX, Client::connect(crowd.clone(), id, node));
        if let Ok(Some(mut client)) = connecting.await {
            pauses = PAUSES.into_iter();
            client.run().await;
            client.end();
        }
        let pause = pauses.next().unwrap_or(PAUSES[PAUSES.len() - 1]);
        sleep(Duration::from_millis(pause)).await;
    }
}

struct Client {
    crowd: Arc<Crowd>,
    id: usize,
    node: usize,
    stream: WebSocketStream<TcpStream>,
    /// Who is there, by their refs; nobody knows before the state has come.
    present: Option<BTreeMap<usize, Vec<String>>>,
    heard: HashMap<usize, Heard>,
    joins: usize,
    /// When it learned that it's in its room.
    in_room: Option<Instant>,
    /// Its connections before this one.
    life: usize,
}

/// What was heard of a sender, who speaks over one connection after the other.
struct Heard {
    first: u64,
    /// The last number over each of them.
    last: HashMap<usize, u64>,
    highest: u64,
    missing: BTreeSet<u64>,
}

impl Client {
    async fn connect(crowd: Arc<Crowd>, id: usize, node: usize) -> Option<Self> {
        let address = crowd.addresses[node];
        let stream = TcpStream::connect(address).await.ok()?;
        let key = Crowd::key(id);
        let url = format!("ws://{address}/socket/websocket?vsn=2.0.0&user_id={key}");
        let config = WebSocketConfig::default()
            .read_buffer_size(4_096)
            .write_buffer_size(0);
        let connected = client_async_with_config(url, stream, Some(config)).await;
        let mut client = Self {
            stream: connected.ok()?.0,
            crowd,
            id,
            node,
            present: None,
            heard: HashMap::new(),
            joins: 0,
            in_room: None,
            life: 0,
        };
        client.life = client.me().closes.load(Ordering::Relaxed);
        for (join_ref, kind) in [("1", "room"), ("2", "lobby")] {
            let topic = client.topic(kind);
            client
                .send(json!([join_ref, "join", topic, "phx_join", {}]))
                .await?;
        }
        Some(client)
    }

    /// Until the connection ends.
    async fn run(&mut self) {
        let mut heartbeats = interval(HEARTBEAT);
        let mut speaks = interval(self.crowd.scale.speaks_every);
        let is_speaker = self.crowd.is_speaker(self.id);
        loop {
            let going_on = tokio::select! {
                message = self.stream.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        self.receive(&text);
                        Some(())
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => None,
                    Some(Ok(_)) => Some(()),
                },
                _ = heartbeats.tick() => {
                    self.send(json!([null, "beat", "phoenix", "heartbeat", {}])).await
                }
                _ = speaks.tick(), if is_speaker && self.has_joined() => self.speak().await,
            };
            if going_on.is_none() {
                return;
            }
        }
    }

    /// Says something, and asks for a reply that shows that it was heard by the server.
    async fn speak(&mut self) -> Option<()> {
        let n = self.me().say();
        let room = self.topic("room");
        let shout = json!(["1", null, room, "shout", {"from": self.id, "n": n, "life": self.life}]);
        self.send(shout).await?;
        self.send(json!(["1", n.to_string(), room, "ping", {}]))
            .await
    }

    async fn send(&mut self, message: Value) -> Option<()> {
        self.stream
            .send(Message::text(message.to_string()))
            .await
            .ok()
    }

    fn receive(&mut self, text: &str) {
        let Frame(join_ref, reference, _, event, payload) = serde_json::from_str(text).unwrap();
        let payload = payload.get();
        match event {
            "phx_reply" if !payload.contains(r#""status":"ok""#) => {
                self.complain(&format!("was told {text}"));
            }
            "phx_reply" => match reference {
                Some("join") => {
                    self.joins += 1;
                    if join_ref == Some("1") {
                        self.in_room = Some(Instant::now());
                    }
                }
                Some("beat") | None => {}
                Some(n) => self.me().acknowledge(n.parse().unwrap()),
            },
            "shout" => {
                let said = serde_json::from_str(payload).unwrap();
                self.hear(&said);
            }
            "presence_state" => {
                self.present = Some(BTreeMap::new());
                self.come(&serde_json::from_str(payload).unwrap());
            }
            "presence_diff" => {
                let diff: Diff<'_> = serde_json::from_str(payload).unwrap();
                self.come(&diff.joins);
                self.go(&diff.leaves);
            }
            _ => self.complain(&format!("was told {text}")),
        }
        self.report();
    }

    /// Looks for what came twice, out of order or from nowhere, and for what didn't come.
    ///
    /// Who moves to another node may be overtaken there by what they say next: only over one connection there is an order.
    fn hear(&mut self, &Said { from, n, life }: &Said) {
        let sender = &self.crowd.members[from];
        if n >= sender.next.load(Ordering::Relaxed)
            || self.crowd.group(from) != self.crowd.group(self.id)
        {
            self.complain(&format!("heard {n} of {from}, which wasn't sent"));
        }
        let heard = self.heard.entry(from).or_insert_with(|| Heard {
            first: n,
            last: HashMap::new(),
            highest: n,
            missing: BTreeSet::new(),
        });
        let last = heard.last.insert(life, n);
        let is_late = heard.missing.remove(&n);
        let newly_missing = heard.highest + 1..n;
        heard.missing.extend(newly_missing.clone());
        let is_new = last.is_none() && heard.highest == n || n > heard.highest;
        let is_of_before = n < heard.first;
        heard.highest = heard.highest.max(n);
        if last.is_some_and(|last| n <= last) || !(is_new || is_late || is_of_before) {
            self.complain(&format!("heard {n} of {from} after {last:?}"));
        }
        if is_late {
            self.crowd.found(from, self.id, n);
        }
        let is_local = sender.node.load(Ordering::Relaxed) == self.node;
        for lost in newly_missing {
            // What was said before this client was in the room wasn't for it, also where something older came behind it,
            // from the node that the sender has left.
            if self.in_room.is_none_or(|it| sender.said_at(lost) < it) {
                continue;
            }
            self.crowd.lose(Loss {
                from,
                to: self.id,
                n: lost,
                is_local,
            });
        }
        self.me().hear(from);
    }

    fn come(&mut self, joins: &Presences<'_>) {
        let Some(present) = &mut self.present else {
            return;
        };
        let me = &self.crowd.members[self.id];
        for (key, reference) in metas(joins) {
            let Some(member) = self.crowd.member(key, self.id) else {
                self.crowd.complain(self.id, &format!("sees {key}"));
                continue;
            };
            if member == self.id {
                me.begin(reference);
            }
            let references = present.entry(member).or_default();
            if !references.iter().any(|it| it == reference) {
                references.push(reference.to_owned());
                me.joins_seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn go(&mut self, leaves: &Presences<'_>) {
        let Some(present) = &mut self.present else {
            return;
        };
        let me = &self.crowd.members[self.id];
        for (key, reference) in metas(leaves) {
            self.crowd.gone(reference);
            let Some(member) = self.crowd.member(key, self.id) else {
                continue;
            };
            if let Some(references) = present.get_mut(&member) {
                let before = references.len();
                references.retain(|it| it != reference);
                let left = before - references.len();
                me.leaves_seen.fetch_add(left, Ordering::Relaxed);
                if references.is_empty() {
                    present.remove(&member);
                }
            }
        }
    }

    /// Shows the crowd what this client knows.
    fn report(&self) {
        let me = self.me();
        let keys = self.present.as_ref().map_or(0, BTreeMap::len);
        let metas: usize = self.present.iter().flatten().map(|(_, it)| it.len()).sum();
        me.present.store(keys, Ordering::Relaxed);
        me.doubled.store(metas - keys, Ordering::Relaxed);
        me.node.store(self.node, Ordering::Relaxed);
        me.joined.store(self.has_joined(), Ordering::Relaxed);
    }

    fn has_joined(&self) -> bool {
        self.joins == 2 && self.present.is_some()
    }

    fn end(&self) {
        let me = self.me();
        me.joined.store(false, Ordering::Relaxed);
        me.closes.fetch_add(1, Ordering::Relaxed);
        me.end();
    }

    fn me(&self) -> &Member {
        &self.crowd.members[self.id]
    }

    fn topic(&self, kind: &str) -> String {
        format!("{kind}:{}", self.crowd.group(self.id))
    }

    fn complain(&self, what: &str) {
        self.crowd.complain(self.id, what);
    }
}

/// What is read of a message. Thousands of clients share this process, so nothing is read that isn't looked at.
#[derive(Deserialize)]
struct Frame<'a>(
    Option<&'a str>,
    Option<&'a str>,
    IgnoredAny,
    &'a str,
    #[serde(borrow)] &'a RawValue,
);

#[derive(Deserialize)]
struct Said {
    from: usize,
    n: u64,
    /// Over which of its connections.
    life: usize,
}

#[derive(Deserialize)]
struct Diff<'a> {
    #[serde(borrow)]
    joins: Presences<'a>,
    #[serde(borrow)]
    leaves: Presences<'a>,
}

type Presences<'a> = HashMap<&'a str, Entry<'a>>;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    metas: Vec<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    phx_ref: &'a str,
}

/// The keys of a list of presences, each with the refs of its metas.
fn metas<'a>(presences: &'a Presences<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    presences
        .iter()
        .flat_map(|(key, entry)| entry.metas.iter().map(move |meta| (*key, meta.phx_ref)))
}
