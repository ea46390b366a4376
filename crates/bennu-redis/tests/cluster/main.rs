//! What every adapter promises, over a Redis Cluster of three servers; and what only such a cluster can do.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says so by panicking"
)]

#[path = "../../../bennu-pubsub/tests/suite/redis_cluster.rs"]
mod redis_cluster;
#[path = "../../../bennu-pubsub/tests/suite/server.rs"]
mod server;
#[path = "../../../bennu-pubsub/tests/suite/mod.rs"]
mod suite;

use std::sync::Arc;

use bennu_pubsub::{Adapter, Link, Subject, SubjectNames};
use bennu_redis::{RedisBus, RedisOptions};
use bytes::Bytes;
use redis_cluster::{ASK_EVERY, PRIMARIES, RedisCluster, SLOTS, command, meet};
use server::Server;
use tokio::sync::mpsc;

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

impl suite::Bus for RedisCluster {
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

suite!(RedisCluster::start().await);

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
    let cluster = RedisCluster::start().await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (ada, ben) = (cluster.adapter(), cluster.adapter());
    ada.start(Arc::new(Heard(sender)));
    ben.start(Arc::new(Heard(mpsc::unbounded_channel().0)));
    let subject = Subject::Partition(7);
    ada.subscribe(&subject).await.unwrap();
    ben.subscribe(&subject).await.unwrap();
    // The slot goes from the server that has it to the next one.
    let name = SubjectNames::new("bennu").unwrap().name(&subject);
    let holder = first_holder(&cluster, &name).await;
    let target = &cluster.0[(holder + 1) % 3];
    let id = command(target, "CLUSTER MYID").await;
    let slot = command(target, &format!("CLUSTER KEYSLOT {name}")).await;
    for server in [target].into_iter().chain(&cluster.0) {
        command(server, &format!("CLUSTER SETSLOT {slot} NODE {id}")).await;
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

#[tokio::test]
async fn a_replica_that_takes_over_is_published_to_and_heard() {
    let mut cluster = RedisCluster::start().await;
    let subject = Subject::Partition(7);
    let name = SubjectNames::new("bennu").unwrap().name(&subject);
    let holder = first_holder(&cluster, &name).await;
    add_replica(&mut cluster, holder).await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    // The one that will be gone is the only one they were told of.
    let node = || RedisBus::cluster([url(&cluster.0[holder])], RedisOptions::new()).unwrap();
    let (ada, ben) = (node(), node());
    ada.start(Arc::new(Heard(sender)));
    ben.start(Arc::new(Heard(mpsc::unbounded_channel().0)));
    ada.subscribe(&subject).await.unwrap();
    ben.subscribe(&subject).await.unwrap();
    ben.publish(&subject, Bytes::from_static(b"before"));
    assert_eq!(heard.recv().await.unwrap(), "before");
    cluster.0[holder].kill();
    let back = async {
        loop {
            ben.publish(&subject, Bytes::from_static(b"after"));
            let message = tokio::time::timeout(ASK_EVERY, heard.recv()).await;
            if message.is_ok() && ada.health().connected && ben.health().connected {
                return;
            }
        }
    };
    // Redis takes its time to be sure, and more of it on a busy machine.
    let time_max = 3 * suite::PATIENCE;
    tokio::time::timeout(time_max, back).await.unwrap();
    assert!(is_heard_on(&cluster.0[3], &name).await);
    assert!(ben.health().lost > 0);
}

/// Which of the first servers has a channel, as it was in the beginning.
async fn first_holder(cluster: &RedisCluster, channel: &str) -> usize {
    let slot = command(&cluster.0[0], &format!("CLUSTER KEYSLOT {channel}")).await;
    (slot.parse::<u32>().unwrap() * PRIMARIES / SLOTS) as usize
}

/// Adds a server that has what another one has, and takes over when that one is gone.
async fn add_replica(cluster: &mut RedisCluster, of: usize) {
    let replica = redis_cluster::server();
    meet(&replica, &cluster.0[of]).await;
    cluster.0.push(replica);
    cluster.agreed().await;
    let id = command(&cluster.0[of], "CLUSTER MYID").await;
    let replica = cluster.0.last().unwrap();
    command(replica, &format!("CLUSTER REPLICATE {id}")).await;
    while !command(replica, "INFO replication")
        .await
        .contains("master_link_status:up")
    {
        tokio::time::sleep(ASK_EVERY).await;
    }
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
