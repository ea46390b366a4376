//! Presences with a handler: what it adds, and what becomes of it when it fails.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bennu::{Endpoint, PresenceDiff, PresenceHandler, Presences, Result, Topic};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::{guest::User, support::Client};

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

#[test]
fn what_waits_for_a_handler_is_told_when_its_runtime_ends() {
    let Handled { endpoint, .. } = handled(0);
    let robot = endpoint.presence().member();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        for key in ["a", "b", "c"] {
            robot.track("t", key, &json!({})).unwrap();
        }
    });
    assert_eq!(endpoint.presence().count("t"), 3);
    let mut told = endpoint.subscribe("t");
    robot.track("t", "d", &json!({})).unwrap();
    let diff: Value = told.try_recv().unwrap().decode().unwrap();
    assert_eq!(diff["joins"]["d"]["metas"].as_array().unwrap().len(), 1);
    let second = runtime();
    second.block_on(async {
        robot.track("t", "e", &json!({})).unwrap();
        robot.track("t", "f", &json!({})).unwrap();
    });
    drop(second);
    let diff: Value = told.try_recv().unwrap().decode().unwrap();
    assert!(
        diff["joins"].get("f").is_some(),
        "the first one went with its fetch"
    );
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
