//! Presences of several nodes, over the bus.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bennu_pubsub::{
    PubSub,
    tracker::{Member, Meta, PresenceDiff, PresenceOptions, Presences, Roster},
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

use super::{Bus, PATIENCE, pubsub};

const TOPIC: &str = "room:1 *.>\r\n{é}";
/// So that a node that has missed something says so soon.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// Longer than a bus is away here.
const DOWN_AFTER: Duration = Duration::from_secs(60);

/// A node, somebody on it, and what its clients would be told.
struct Node {
    roster: Roster,
    member: Member,
    diffs: UnboundedReceiver<PresenceDiff>,
    /// What they add up to: refs and their keys.
    told: BTreeMap<String, String>,
    pubsub: PubSub,
}

impl Node {
    fn begin(bus: &impl Bus, name: &str) -> Self {
        let pubsub = pubsub(bus, name);
        let (sender, diffs) = unbounded_channel();
        let options = PresenceOptions::new()
            .heartbeat(HEARTBEAT)
            .down_after(DOWN_AFTER);
        let publish = move |diff| drop(sender.send(diff));
        let cluster = pubsub.cluster().unwrap();
        let roster = Roster::clustered(cluster, 1, "presence", &options, publish, |_| ());
        roster.begin();
        Self {
            member: roster.member(),
            roster,
            diffs,
            told: BTreeMap::new(),
            pubsub,
        }
    }

    fn track(&self, key: &str, meta: &Value) {
        let meta = Meta::new(meta).unwrap();
        self.member.track(&TOPIC.into(), key, &meta).unwrap();
    }

    fn list(&self) -> Value {
        serde_json::to_value(self.roster.list(&TOPIC.into())).unwrap()
    }

    /// Waits until the keys are these, by what was told and by the list.
    async fn shows(&mut self, keys: &[&str]) {
        let keys: BTreeSet<_> = keys.iter().map(|it| (*it).to_owned()).collect();
        let shown = async {
            loop {
                let told: BTreeSet<_> = self.told.values().cloned().collect();
                if told == keys && self.roster.count_keys(&TOPIC.into()) == keys.len() {
                    return;
                }
                let diff = self.diffs.recv().await.unwrap();
                // An update is both.
                for (gone, _) in refs(&diff.leaves) {
                    assert!(self.told.remove(&gone).is_some(), "{gone} was told of");
                }
                self.told.extend(refs(&diff.joins));
            }
        };
        let shown = timeout(PATIENCE, shown).await;
        shown.unwrap_or_else(|_| {
            panic!(
                "{keys:?} were expected, told of {:?}, found {}",
                self.told,
                self.list()
            )
        });
    }
}

/// Each meta's ref, and its key.
fn refs(presences: &Presences) -> Vec<(String, String)> {
    let mut refs = Vec::new();
    for (key, entry) in serde_json::to_value(presences)
        .unwrap()
        .as_object()
        .unwrap()
    {
        for meta in entry["metas"].as_array().unwrap() {
            refs.push((meta["phx_ref"].as_str().unwrap().to_owned(), key.clone()));
        }
    }
    refs
}

fn alike(nodes: &[Node]) {
    let lists: Vec<Value> = nodes.iter().map(Node::list).collect();
    assert!(
        lists.windows(2).all(|it| it.first() == it.last()),
        "{lists:#?}"
    );
}

pub(crate) async fn presences_are_those_of_all_nodes(mut bus: impl Bus) {
    let mut nodes: Vec<Node> = ["ada", "ben", "carl"]
        .map(|name| Node::begin(&bus, name))
        .into();
    for node in &nodes {
        assert!(node.pubsub.cluster().unwrap().ready().await);
    }
    // Somebody comes on each node, and one of them is there twice.
    for (node, key) in nodes.iter().zip(["1", "2", "3 *.>\r\n"]) {
        node.track(key, &json!({"status": "on"}));
    }
    let again = nodes[2].roster.member();
    let meta = Meta::new(&json!({"status": "phone"})).unwrap();
    again.track(&TOPIC.into(), "1", &meta).unwrap();
    for node in &mut nodes {
        node.shows(&["1", "2", "3 *.>\r\n"]).await;
    }
    drop(again);
    // Changes, and goes.
    let away = Meta::new(&json!({"status": "away"})).unwrap();
    nodes[1].member.update(&TOPIC.into(), "2", &away).unwrap();
    nodes[0].member.untrack(&TOPIC.into(), "1");
    for node in &mut nodes {
        node.shows(&["2", "3 *.>\r\n"]).await;
    }
    // The update has no key of its own that one could wait for; what comes after it has.
    nodes[1].track("5", &json!({}));
    for node in &mut nodes {
        node.shows(&["2", "3 *.>\r\n", "5"]).await;
        assert_eq!(node.list()["2"]["metas"][0]["status"], json!("away"));
    }
    nodes[1].member.untrack(&TOPIC.into(), "5");
    for node in &mut nodes {
        node.shows(&["2", "3 *.>\r\n"]).await;
    }
    alike(&nodes);
    // What happens while the bus is away is made good when it's back.
    bus.stop().await;
    nodes[0].track("4", &json!({}));
    nodes[2].member.untrack(&TOPIC.into(), "3 *.>\r\n");
    nodes[0].shows(&["2", "3 *.>\r\n", "4"]).await;
    nodes[2].shows(&["2"]).await;
    bus.start().await;
    for node in &mut nodes {
        node.shows(&["2", "4"]).await;
    }
    alike(&nodes);
    // A node that leaves takes its own along, at once.
    nodes[1].roster.leave();
    let left = nodes.remove(1);
    for node in &mut nodes {
        node.shows(&["4"]).await;
    }
    alike(&nodes);
    drop(left);
    // And one that comes late is told of what there is.
    let mut late = Node::begin(&bus, "dora");
    late.shows(&["4"]).await;
    nodes.push(late);
    alike(&nodes);
}
