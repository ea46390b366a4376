//! Presences of channels, as clients see them. Cases follow Phoenix's `presence_test`.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, Presence, PresenceDiff, PresenceError,
    PresenceHandler, PresenceOptions, Presences, Reason, Reply, Result, Routes, Socket, Topic,
};
use serde::Deserialize;
use serde_json::{Value, json};
use support::Client;
use tokio::sync::{Semaphore, mpsc};

struct User;

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
            In::Untrack(key) => Ok(cx.untrack(key)),
            In::List => return Ok(Reply::with(cx.presences().await)),
            In::State => Ok(cx.push_presence_state()),
            In::Stop => Ok(cx.stop()),
            In::Fail => Ok(cx.fail()),
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

fn endpoint() -> Endpoint<()> {
    Endpoint::new(()).socket::<User>("/socket")
}

/// One client in one topic, which names refs `1`, `2`... in the order in which it hears of them.
struct Guest {
    client: Client,
    topic: &'static str,
    join_ref: u32,
    names: HashMap<String, String>,
}

impl Guest {
    /// Joins and returns what follows the reply up to the push `welcome`.
    async fn join(
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

    async fn rejoin(&mut self, keys: &[&str]) -> Vec<Value> {
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

    async fn send(&mut self, event: &str, payload: Value) {
        let join_ref = self.join_ref.to_string();
        self.client
            .send(json!([join_ref, "9", self.topic, event, payload]))
            .await;
    }

    /// The next event and its payload, with refs by name.
    async fn event(&mut self) -> (String, Value) {
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

    async fn expect(&mut self, event: &str, payload: Value) {
        assert_eq!(self.event().await, (event.to_owned(), payload));
    }

    async fn expect_diff(&mut self, joins: Value, leaves: Value) {
        self.expect("presence_diff", json!({"joins": joins, "leaves": leaves}))
            .await;
    }

    async fn expect_reply(&mut self, status: &str, response: Value) {
        self.expect("phx_reply", json!({"status": status, "response": response}))
            .await;
    }
}

fn ok() -> Value {
    json!(["phx_reply", {"status": "ok", "response": {}}])
}

/// An entry with one meta.
fn one(meta: Value) -> Value {
    json!({"metas": [meta]})
}

#[tokio::test]
async fn who_joins_gets_the_reply_its_own_diff_the_state_and_then_the_rest_in_order() {
    let endpoint = endpoint();
    let ana = json!({"ana": one(json!({"n": 1, "phx_ref": "1"}))});
    let (mut first, told) = Guest::join(&endpoint, "lobby:a", &["ana"]).await;
    let diff = json!(["presence_diff", {"joins": ana, "leaves": {}}]);
    assert_eq!(told, [ok(), diff, json!(["presence_state", ana])]);

    let (_second, told) = Guest::join(&endpoint, "lobby:a", &["bob"]).await;
    let both = json!({"bob": one(json!({"n": 1, "phx_ref": "1"})), "ana": one(json!({"n": 1, "phx_ref": "2"}))});
    assert_eq!(told[2], json!(["presence_state", both]));
    let bob = json!({"bob": one(json!({"n": 1, "phx_ref": "2"}))});
    first.expect_diff(bob, json!({})).await;
}

#[tokio::test]
async fn what_a_join_does_to_its_presences_happens_in_order_after_its_reply() {
    let endpoint = endpoint();
    let (_guest, told) = Guest::join(&endpoint, "lobby:again", &["ana"]).await;
    let entry = |n: u32, r: u32| json!({"ana": one(json!({"n": n, "phx_ref": r.to_string()}))});
    let last = json!({"ana": one(json!({"n": 3, "phx_ref": "3", "phx_ref_prev": "2"}))});
    let diff =
        |joins: Value, leaves: Value| json!(["presence_diff", {"joins": joins, "leaves": leaves}]);
    assert_eq!(
        told,
        [
            ok(),
            diff(entry(1, 1), json!({})),
            diff(json!({}), entry(1, 1)),
            diff(entry(2, 2), json!({})),
            diff(last.clone(), entry(2, 2)),
            json!(["presence_state", last]),
        ]
    );
}

#[tokio::test]
async fn a_refused_join_was_never_present() {
    let endpoint = endpoint();
    let mut watcher = endpoint.subscribe("lobby:refused");
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client
        .send(json!(["1", "1", "lobby:refused", "phx_join", ["ana"]]))
        .await;
    assert_eq!(client.recv().await[4]["response"], json!({"reason": "no"}));
    assert!(watcher.try_recv().is_none());
    assert_eq!(endpoint.presence().count("lobby:refused"), 0);
}

#[tokio::test]
async fn track_update_and_untrack_tell_everybody_and_then_reply() {
    let endpoint = endpoint();
    let (mut guest, _) = Guest::join(&endpoint, "lobby:b", &[]).await;
    guest.send("track", json!(["42", {"s": "on"}])).await;
    let on = json!({"42": one(json!({"s": "on", "phx_ref": "1"}))});
    guest.expect_diff(on.clone(), json!({})).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("track", json!(["42", {}])).await;
    guest
        .expect_reply("error", json!("the key is tracked already"))
        .await;
    guest.send("update", json!(["42", {"s": "off"}])).await;
    let off = json!({"42": one(json!({"s": "off", "phx_ref": "2", "phx_ref_prev": "1"}))});
    guest.expect_diff(off.clone(), on).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("update", json!(["43", {}])).await;
    guest
        .expect_reply("error", json!("the key isn't tracked"))
        .await;
    guest.send("untrack", json!("43")).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("track", json!(["44", "no object"])).await;
    guest
        .expect_reply(
            "error",
            json!("the meta is no JSON object: expected an object"),
        )
        .await;
    guest.send("state", json!({})).await;
    guest.expect("presence_state", off.clone()).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("untrack", json!("42")).await;
    guest.expect_diff(json!({}), off).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("list", json!({})).await;
    guest.expect_reply("ok", json!({})).await;
}

#[tokio::test]
async fn any_text_is_a_key() {
    let endpoint = endpoint();
    let keys = [
        "__proto__",
        "constructor",
        "",
        "\"}],",
        "ключ\u{0}\u{2028}😀",
    ];
    let (_guest, told) = Guest::join(&endpoint, "lobby:keys", &keys).await;
    let state = told.last().unwrap()[1].as_object().unwrap();
    assert_eq!(state.len(), keys.len());
    assert!(keys.iter().all(|it| state[*it]["metas"][0]["n"] == 1));
    for key in keys {
        let entry = endpoint
            .presence()
            .get_by_key("lobby:keys", key)
            .await
            .unwrap();
        assert_eq!(entry.metas().len(), 1);
        assert_eq!(endpoint.presence().count_key("lobby:keys", key), 1);
    }
    assert!(
        endpoint
            .presence()
            .get_by_key("lobby:keys", "x")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_channel_leaves_whatever_ends_it_and_does_not_hear_of_it() {
    for end in [
        "phx_leave",
        "stop",
        "fail",
        "crash",
        "phx_join",
        "disconnect",
    ] {
        let endpoint = endpoint();
        let (mut stays, _) = Guest::join(&endpoint, "lobby:c", &["stays"]).await;
        let (mut goes, _) = Guest::join(&endpoint, "lobby:c", &["goes", "goes too"]).await;
        for key in ["goes", "goes too"] {
            let joined = stays.event().await.1;
            assert!(joined["joins"].get(key).is_some(), "{end}: {joined}");
        }
        assert_eq!(endpoint.presence().count("lobby:c"), 3);
        match end {
            "disconnect" => drop(goes),
            "phx_join" => {
                let told = goes.rejoin(&[]).await;
                let state = told.last().unwrap()[1].as_object().unwrap();
                assert_eq!(
                    state.keys().collect::<Vec<_>>(),
                    ["stays"],
                    "the old self is gone"
                );
            }
            event => {
                goes.send(event, json!({})).await;
                loop {
                    let (event, payload) = goes.event().await;
                    assert_ne!(event, "presence_diff", "{end}: {payload}");
                    if event == "phx_close" || event == "phx_error" {
                        break;
                    }
                }
            }
        }
        let left = stays.event().await.1;
        let left: Vec<_> = left["leaves"].as_object().unwrap().keys().collect();
        assert_eq!(left, ["goes", "goes too"], "{end}");
        assert_eq!(endpoint.presence().count("lobby:c"), 1, "{end}");
    }
}

#[tokio::test]
async fn members_track_in_any_topic_and_presences_are_apart() {
    let endpoint = endpoint();
    let other = Presence::new("other", endpoint.pubsub(), PresenceOptions::new());
    let (mut guest, _) = Guest::join(&endpoint, "lobby:d", &[]).await;
    let robot = other.member();
    robot.track("lobby:d", 7, &json!({})).unwrap();
    guest
        .expect_diff(json!({"7": one(json!({"phx_ref": "1"}))}), json!({}))
        .await;
    assert_eq!(
        (other.count("lobby:d"), other.count_keys("lobby:d")),
        (1, 1)
    );
    assert_eq!(endpoint.presence().count("lobby:d"), 0);
    robot.update("lobby:d", 7, &json!({"a": 1})).unwrap();
    guest.event().await;
    drop(robot);
    let left = json!({"7": one(json!({"a": 1, "phx_ref": "2", "phx_ref_prev": "1"}))});
    guest.expect_diff(json!({}), left).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_topic_is_told_once_a_window() {
    let options = PresenceOptions::new()
        .window(Duration::from_millis(250))
        .window_members_min(2);
    let endpoint = Endpoint::new(())
        .presence_options(options)
        .socket::<User>("/socket");
    let (mut guest, _) = Guest::join(&endpoint, "lobby:e", &["a"]).await;
    let robots: Vec<_> = (0..10).map(|_| endpoint.presence().member()).collect();
    for (n, robot) in robots.iter().enumerate() {
        robot.track("lobby:e", n, &json!({})).unwrap();
    }
    let (_, first) = guest.event().await;
    assert_eq!(first["joins"].as_object().unwrap().len(), 1);
    let (_, rest) = guest.event().await;
    assert_eq!(rest["joins"].as_object().unwrap().len(), 9);
}

/// A handler that waits for permits, counts its calls, and may fail.
struct Names {
    permits: Arc<Semaphore>,
    calls: Arc<Mutex<Vec<String>>>,
    metas: mpsc::UnboundedSender<Value>,
}

impl PresenceHandler for Names {
    #[expect(clippy::panic, reason = "to see what becomes of the diff")]
    async fn fetch(&self, topic: &Topic, presences: &mut Presences) -> Result<()> {
        let keys: Vec<_> = presences.keys().collect();
        self.calls.lock().unwrap().push(keys.join("+"));
        self.permits.acquire().await?.forget();
        for (key, entry) in presences.iter_mut() {
            entry.put("name", &key.to_uppercase())?;
            assert!(entry.put("metas", &1).is_err());
        }
        match topic.subtopic() {
            "panics" => panic!("asked to panic"),
            "fails" => Err(bennu::refuse("asked to fail")),
            "hangs" => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn handle_metas(&self, diff: &PresenceDiff) -> Result<()> {
        let keys = |it: &Presences| it.keys().map(str::to_owned).collect::<Vec<_>>();
        let counts: HashMap<_, _> = diff
            .after
            .iter()
            .map(|(key, it)| (key, it.metas().len()))
            .collect();
        let told = json!([keys(&diff.joins), keys(&diff.leaves), counts]);
        self.metas.send(told)?;
        Ok(())
    }
}

struct Handled {
    endpoint: Endpoint<()>,
    permits: Arc<Semaphore>,
    calls: Arc<Mutex<Vec<String>>>,
    metas: mpsc::UnboundedReceiver<Value>,
}

fn handled(permits: usize) -> Handled {
    let (sender, metas) = mpsc::unbounded_channel();
    let permits = Arc::new(Semaphore::new(permits));
    let calls = Arc::<Mutex<Vec<_>>>::default();
    let names = Names {
        permits: permits.clone(),
        calls: calls.clone(),
        metas: sender,
    };
    let endpoint = Endpoint::new(())
        .presence_handler(names)
        .socket::<User>("/socket");
    Handled {
        endpoint,
        permits,
        calls,
        metas,
    }
}

#[tokio::test]
async fn fetch_adds_to_lists_and_to_joins_and_leaves_of_diffs() {
    let Handled {
        endpoint, calls, ..
    } = handled(1000);
    let mut told = endpoint.subscribe("t");
    let robot = endpoint.presence().member();
    robot.track("t", "ana", &json!({})).unwrap();
    robot.track("t", "bob", &json!({})).unwrap();
    for key in ["ana", "bob"] {
        let diff: Value = told.recv().await.decode().unwrap();
        assert_eq!(diff["joins"][key]["name"], key.to_uppercase());
    }
    robot.update("t", "ana", &json!({})).unwrap();
    let diff: Value = told.recv().await.decode().unwrap();
    assert_eq!(
        [
            &diff["joins"]["ana"]["name"],
            &diff["leaves"]["ana"]["name"]
        ],
        ["ANA", "ANA"]
    );
    let list = endpoint.presence().list("t").await;
    assert_eq!(
        list.get("bob").unwrap().field::<String>("name").unwrap(),
        "BOB"
    );
    let entry = endpoint.presence().get_by_key("t", "ana").await.unwrap();
    assert_eq!(entry.field::<String>("name").unwrap(), "ANA");
    let called = calls.lock().unwrap().join(" ");
    assert_eq!(called, "ana bob ana ana ana+bob ana");

    let mut guest = Client::connect(&endpoint, 1 << 20).await;
    guest
        .send(json!(["1", "1", "lobby:x", "phx_join", ["eve"]]))
        .await;
    let mut events = HashMap::new();
    for _ in 0..4 {
        let mut message = guest.recv().await;
        events.insert(message[3].as_str().unwrap().to_owned(), message[4].take());
    }
    assert_eq!(events["presence_state"]["eve"]["name"], "EVE");
    assert_eq!(events["presence_diff"]["joins"]["eve"]["name"], "EVE");
}

#[tokio::test]
async fn diffs_wait_for_a_slow_fetch_in_order_and_nobody_else_does() {
    let Handled {
        endpoint,
        permits,
        mut metas,
        ..
    } = handled(0);
    let mut told = endpoint.subscribe("t");
    let robot = endpoint.presence().member();
    for n in 0..200 {
        robot.track("t", n, &json!({})).unwrap();
    }
    assert_eq!(endpoint.presence().count("t"), 200);
    assert!(told.try_recv().is_none());
    permits.add_permits(1000);
    let mut seen = Vec::new();
    let mut diffs = 0;
    while seen.len() < 100 {
        let diff: Value = told.recv().await.decode().unwrap();
        seen.extend(
            diff["joins"]
                .as_object()
                .unwrap()
                .keys()
                .map(|it| it.parse::<u32>().unwrap()),
        );
        diffs += 1;
    }
    // What a full queue merged comes last, in one diff, whose keys are sorted as text.
    assert_eq!(seen[..64], (0..64).collect::<Vec<_>>());
    assert_eq!(diffs, 65);
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() >= 100);
    assert_eq!(metas.recv().await.unwrap(), json!([["0"], [], {"0": 1}]));
}

#[tokio::test]
async fn handle_metas_follows_with_what_each_key_has_now() {
    let Handled {
        endpoint,
        mut metas,
        ..
    } = handled(1000);
    let (ana, anas_phone) = (endpoint.presence().member(), endpoint.presence().member());
    ana.track("t", "ana", &json!({})).unwrap();
    assert_eq!(
        metas.recv().await.unwrap(),
        json!([["ana"], [], {"ana": 1}])
    );
    anas_phone.track("t", "ana", &json!({})).unwrap();
    assert_eq!(
        metas.recv().await.unwrap(),
        json!([["ana"], [], {"ana": 2}])
    );
    ana.update("t", "ana", &json!({})).unwrap();
    assert_eq!(
        metas.recv().await.unwrap(),
        json!([["ana"], ["ana"], {"ana": 2}])
    );
    drop(ana);
    assert_eq!(
        metas.recv().await.unwrap(),
        json!([[], ["ana"], {"ana": 1}])
    );
    drop(anas_phone);
    assert_eq!(metas.recv().await.unwrap(), json!([[], ["ana"], {}]));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_fails_or_hangs_holds_no_diff_back() {
    for topic in ["t:panics", "t:fails", "t:hangs"] {
        let Handled {
            endpoint,
            mut metas,
            ..
        } = handled(1000);
        let mut told = endpoint.subscribe(topic);
        let robot = endpoint.presence().member();
        for key in ["a", "b"] {
            robot.track(topic, key, &json!({})).unwrap();
            let diff: Value = told.recv().await.decode().unwrap();
            assert_eq!(
                diff["joins"][key]["metas"].as_array().unwrap().len(),
                1,
                "{topic}"
            );
            assert!(metas.recv().await.is_some());
        }
        assert_eq!(endpoint.presence().list(topic).await.len(), 2);
    }
}
