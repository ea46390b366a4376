//! What every adapter promises: over a Redis, over several, and over one with TLS and a password.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says so by panicking"
)]

#[path = "../../../bennu-pubsub/tests/suite/log.rs"]
mod log;
#[path = "../../../bennu-pubsub/tests/suite/server.rs"]
mod server;
#[path = "../../../bennu-pubsub/tests/suite/mod.rs"]
mod suite;

use std::sync::Arc;

use bennu_pubsub::{Adapter, Subject, SubjectNames};
use bennu_redis::{RedisBus, RedisOptions};
use server::Server;

/// Independent servers that share the load.
struct Redis(Vec<Server>);

impl Redis {
    fn start(servers: usize) -> Self {
        Self((0..servers).map(|_| redis()).collect())
    }

    fn urls(&self) -> impl Iterator<Item = String> {
        let url = |it: &Server| format!("redis://127.0.0.1:{}", it.port);
        self.0.iter().map(url)
    }
}

fn redis() -> Server {
    redis_with(|port, _| format!("--port {port}"))
}

/// A Redis that is told more, by words without spaces: from its port and an empty folder.
fn redis_with(more: impl Fn(u16, &str) -> String) -> Server {
    Server::start(
        "redis-server",
        "Ready to accept connections",
        |port, folder| {
            let more = more(port, folder);
            let args = ["--bind", "127.0.0.1", "--dir", folder, "--save", ""];
            args.into_iter()
                .chain(more.split(' '))
                .map(str::to_owned)
                .collect()
        },
    )
}

impl suite::Bus for Redis {
    fn adapter(&self) -> Arc<dyn Adapter> {
        let options = RedisOptions::new();
        Arc::new(RedisBus::servers(self.urls(), options).unwrap())
    }

    async fn stop(&mut self) {
        self.0.iter_mut().for_each(Server::kill);
    }

    async fn start(&mut self) {
        self.0.iter_mut().for_each(|it| it.run().unwrap());
    }

    async fn publish(&self, subject: &Subject, message: &'static [u8]) {
        let names = SubjectNames::new("bennu").unwrap();
        for url in self.urls() {
            let client = redis::Client::open(url).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(names.name(subject)).arg(message);
            publish.exec_async(&mut connection).await.unwrap();
        }
    }
}

mod refused;
#[cfg(feature = "tls")]
mod tls;

mod one {
    use super::*;
    suite!(Redis::start(1));
}

mod several {
    use super::*;
    suite!(Redis::start(3));
}

#[tokio::test]
async fn an_outage_is_told_of_now_and_then() {
    log::an_outage_is_told_of_now_and_then(Redis::start(1), "Redis").await;
}
