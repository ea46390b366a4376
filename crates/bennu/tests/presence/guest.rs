//! A lobby whose channels do as they are told, and somebody who joins it.

use std::{collections::HashMap, sync::Arc};

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, PresenceError, Reason, Reply, Result, Routes,
    Socket, Topic,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::Client;

pub(crate) struct User;

impl Socket for User {
    type App = ();
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Lobby>("lobby:*")
    }

    async fn connect(_: &Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }
}

struct Lobby;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    Track(String, Value),
    Update(String, Value),
    Untrack(String),
    List,
    State,
    Stop,
    Fail,
    Crash,
}

impl Channel for Lobby {
    type Socket = User;
    /// Keys to track in the join.
    type Params = Vec<String>;
    type In = In;
    type Info = ();

    async fn join(topic: &Topic, keys: Vec<String>, cx: &Context<Self>) -> Result<Joined<Self>> {
        for key in &keys {
            cx.track(key, &json!({"n": 1}))?;
        }
        if topic.subtopic() == "again" {
            let again = cx.track(&keys[0], &json!({}));
            assert_eq!(again, Err(PresenceError::AlreadyTracked));
            assert_eq!(
                cx.update("nobody", &json!({})),
                Err(PresenceError::NotTracked)
            );
            cx.untrack(&keys[0]);
            cx.track(&keys[0], &json!({"n": 2}))?;
            cx.update(&keys[0], &json!({"n": 3}))?;
        }
        if topic.subtopic() == "refused" {
            return Err(bennu::refuse("no"));
        }
        cx.push_presence_state();
        cx.push("welcome", &());
        Ok(Self.into())
    }

    #[expect(clippy::panic, reason = "to see what becomes of presences")]
    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        let done = match event {
            In::Track(key, meta) => cx.track(key, &meta),
            In::Update(key, meta) => cx.update(key, &meta),
            In::Untrack(key) => {
                cx.untrack(key);
                Ok(())
            }
            In::List => return Ok(Reply::with(cx.presences().await)),
            In::State => {
                cx.push_presence_state();
                Ok(())
            }
            In::Stop => {
                cx.stop();
                Ok(())
            }
            In::Fail => {
                cx.fail();
                Ok(())
            }
            In::Crash => panic!("asked to crash"),
        };
        match done {
            Ok(()) => Ok(Reply::ok()),
            Err(error) => Ok(Reply::error(error.to_string())),
        }
    }

    async fn terminate(&mut self, _: Reason, cx: &Context<Self>) {
        cx.push("bye", &());
    }
}

pub(crate) fn endpoint() -> Endpoint<()> {
    Endpoint::new(()).socket::<User>("/socket")
}

/// One client in one topic, which names refs `1`, `2`... in the order in which it hears of them.
pub(crate) struct Guest {
    client: Client,
    topic: &'static str,
    join_ref: u32,
    names: HashMap<String, String>,
}

impl Guest {
    /// Joins and returns what follows the reply up to the push `welcome`.
    pub(crate) async fn join(
        endpoint: &Endpoint<()>,
        topic: &'static str,
        keys: &[&str],
    ) -> (Self, Vec<Value>) {
        let client = Client::connect(endpoint, 1 << 20).await;
        let mut guest = Self {
            client,
            topic,
            join_ref: 0,
            names: HashMap::new(),
        };
        let told = guest.rejoin(keys).await;
        (guest, told)
    }

    pub(crate) async fn rejoin(&mut self, keys: &[&str]) -> Vec<Value> {
        self.join_ref += 1;
        let join_ref = self.join_ref.to_string();
        let join = json!([join_ref, join_ref, self.topic, "phx_join", keys]);
        self.client.send(join).await;
        let mut told = Vec::new();
        loop {
            match self.event().await {
                (event, _) if event == "welcome" => return told,
                (event, payload) => told.push(json!([event, payload])),
            }
        }
    }

    pub(crate) async fn send(&mut self, event: &str, payload: Value) {
        let join_ref = self.join_ref.to_string();
        self.client
            .send(json!([join_ref, "9", self.topic, event, payload]))
            .await;
    }

    /// The next event and its payload, with refs by name.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        let mut message = self.client.recv().await;
        let event = message[3].as_str().unwrap_or_default().to_owned();
        let mut payload = message[4].take();
        if event == "presence_state" {
            self.name(&mut payload);
        } else if event == "presence_diff" {
            self.name(&mut payload["joins"]);
            self.name(&mut payload["leaves"]);
        }
        (event, payload)
    }

    fn name(&mut self, presences: &mut Value) {
        let metas = presences.as_object_mut().unwrap().values_mut();
        for meta in metas.flat_map(|it| it["metas"].as_array_mut().unwrap()) {
            for field in ["phx_ref", "phx_ref_prev"] {
                let Some(phx_ref) = meta.get_mut(field) else {
                    continue;
                };
                let known = self.names.len() + 1;
                let text = phx_ref.as_str().unwrap().to_owned();
                assert_eq!(text.len(), 16);
                let name = self.names.entry(text).or_insert_with(|| known.to_string());
                *phx_ref = json!(name);
            }
        }
    }

    pub(crate) async fn expect(&mut self, event: &str, payload: Value) {
        assert_eq!(self.event().await, (event.to_owned(), payload));
    }

    pub(crate) async fn expect_diff(&mut self, joins: Value, leaves: Value) {
        self.expect("presence_diff", json!({"joins": joins, "leaves": leaves}))
            .await;
    }

    pub(crate) async fn expect_reply(&mut self, status: &str, response: Value) {
        self.expect("phx_reply", json!({"status": status, "response": response}))
            .await;
    }
}

pub(crate) fn ok() -> Value {
    json!(["phx_reply", {"status": "ok", "response": {}}])
}

/// An entry with one meta.
pub(crate) fn one(meta: &Value) -> Value {
    json!({"metas": [meta]})
}
