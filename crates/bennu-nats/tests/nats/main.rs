//! What every adapter promises, over NATS: as it comes, and with TLS and a password.
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

use bennu_nats::NatsBus;
use bennu_pubsub::{Adapter, Subject, SubjectNames};
use server::Server;

mod secured;

struct Nats(Server);

impl Nats {
    fn start() -> Self {
        let args = |port: u16, _: &str| {
            let port = port.to_string();
            ["--addr", "127.0.0.1", "--port", &port]
                .map(str::to_owned)
                .to_vec()
        };
        Self(Server::start("nats-server", "Server is ready", args))
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.0.port)
    }
}

impl suite::Bus for Nats {
    fn adapter(&self) -> Arc<dyn Adapter> {
        Arc::new(NatsBus::new(self.url()).unwrap())
    }

    async fn stop(&mut self) {
        self.0.kill();
    }

    async fn start(&mut self) {
        self.0.run().unwrap();
    }

    async fn publish(&self, subject: &Subject, message: &'static [u8]) {
        let client = async_nats::connect(self.url()).await.unwrap();
        let name = SubjectNames::new("bennu").unwrap().name(subject);
        client.publish(name, message.into()).await.unwrap();
        client.flush().await.unwrap();
    }
}

suite!(Nats::start());

#[tokio::test]
async fn an_outage_is_told_of_now_and_then() {
    log::an_outage_is_told_of_now_and_then(Nats::start(), "NATS").await;
}
