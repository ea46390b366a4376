//! What every adapter promises, over a Redis Cluster of three servers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says so by panicking"
)]

#[path = "../../bennu-pubsub/tests/suite/server.rs"]
mod server;
#[path = "../../bennu-pubsub/tests/suite/mod.rs"]
mod suite;

use std::{sync::Arc, time::Duration};

use bennu_pubsub::{Adapter, Link, Subject, SubjectNames};
use bennu_redis::{RedisBus, RedisOptions};
use bytes::Bytes;
use server::Server;
use tokio::sync::mpsc;

const SLOTS: u16 = 16_384;
/// How often servers are asked whether they have agreed. They tell nobody by themselves.
const ASK_EVERY: Duration = Duration::from_millis(20);

struct Cluster(Vec<Server>);

impl Cluster {
    async fn start() -> Self {
        let args = |port: u16, folder: &str| {
            let (port, bus) = (port.to_string(), server::free_port().to_string());
            let args = [
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--dir",
                folder,
                "--save",
                "",
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "2000",
            ];
            args.map(str::to_owned).to_vec()
        };
        let start = |_| Server::start("redis-server", "Ready to accept connections", args);
        let cluster = Self((0..3).map(start).collect());
        for (nth, server) in (0_u16..).zip(&cluster.0) {
            let range = |nth: u16| (u32::from(nth) * u32::from(SLOTS) / 3).to_string();
            let last = (u32::from(nth + 1) * u32::from(SLOTS) / 3 - 1).to_string();
            command(server, &["CLUSTER", "ADDSLOTSRANGE", &range(nth), &last]).await;
            let first = &cluster.0[0];
            if nth > 0 {
                let (port, bus) = (first.port.to_string(), bus_port(first));
                command(server, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
            }
        }
        cluster.agreed().await;
        cluster
    }

    /// Waits until all servers know of each other.
    async fn agreed(&self) {
        for server in &self.0 {
            loop {
                let info = command(server, &["CLUSTER", "INFO"]).await;
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }

    fn client(&self) -> redis::Client {
        redis::Client::open(url(&self.0[0])).unwrap()
    }
}

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// Where the servers talk to each other.
fn bus_port(server: &Server) -> String {
    let at = server.args.iter().position(|it| it == "--cluster-port");
    server.args[at.unwrap() + 1].clone()
}

async fn command(server: &Server, words: &[&str]) -> String {
    let client = redis::Client::open(url(server)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await.unwrap()
}

impl suite::Bus for Cluster {
    fn adapter(&self) -> Arc<dyn Adapter> {
        // One of them is enough to find the others.
        Arc::new(RedisBus::cluster([url(&self.0[1])], RedisOptions::new()).unwrap())
    }

    async fn stop(&mut self) {
        self.0.iter_mut().for_each(Server::kill);
    }

    async fn start(&mut self) {
        self.0.iter_mut().for_each(|it| it.run().unwrap());
        self.agreed().await;
    }

    async fn publish(&self, subject: &Subject, message: &'static [u8]) {
        // Whoever has the slot takes it, and the others say MOVED.
        let name = SubjectNames::new("bennu").unwrap().name(subject);
        for server in &self.0 {
            let client = redis::Client::open(url(server)).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let mut publish = redis::cmd("SPUBLISH");
            publish.arg(&name).arg(message);
            let _ = publish.exec_async(&mut connection).await;
        }
    }
}

suite!(Cluster::start().await);

struct Heard(mpsc::UnboundedSender<Bytes>);

impl Link for Heard {
    fn receive(&self, _: &Subject, message: Bytes) {
        let _ = self.0.send(message);
    }
    fn connected(&self) {}
    fn disconnected(&self) {}
}

#[tokio::test]
async fn a_slot_that_moves_takes_its_subscribers_along() {
    use suite::Bus;
    let cluster = Cluster::start().await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (ada, ben) = (cluster.adapter(), cluster.adapter());
    ada.start(Arc::new(Heard(sender)));
    ben.start(Arc::new(Heard(mpsc::unbounded_channel().0)));
    let subject = Subject::Partition(7);
    ada.subscribe(&subject).await.unwrap();
    ben.subscribe(&subject).await.unwrap();
    // The slot goes from the server that has it to the next one.
    let name = SubjectNames::new("bennu").unwrap().name(&subject);
    let mut connection = cluster
        .client()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let mut slot = redis::cmd("CLUSTER");
    slot.arg("KEYSLOT").arg(&name);
    let slot: u16 = slot.query_async(&mut connection).await.unwrap();
    let holder = usize::from(slot) * 3 / usize::from(SLOTS);
    let target = &cluster.0[(holder + 1) % 3];
    let id = command(target, &["CLUSTER", "MYID"]).await;
    let slot = slot.to_string();
    for server in [target].into_iter().chain(&cluster.0) {
        command(server, &["CLUSTER", "SETSLOT", &slot, "NODE", &id]).await;
    }
    // What is published meanwhile may be lost; then it's heard again.
    loop {
        ben.publish(&subject, Bytes::from_static(b"hello"));
        let message = tokio::time::timeout(ASK_EVERY, heard.recv()).await;
        let moved = !is_heard_on(&cluster.0[holder], &name).await;
        if message.is_ok() && moved {
            break;
        }
    }
    assert!(is_heard_on(target, &name).await);
}

/// Whether somebody is subscribed there.
async fn is_heard_on(server: &Server, name: &str) -> bool {
    let client = redis::Client::open(url(server)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut channels = redis::cmd("PUBSUB");
    channels.arg("SHARDCHANNELS").arg(name);
    let channels: Vec<String> = channels.query_async(&mut connection).await.unwrap();
    !channels.is_empty()
}
