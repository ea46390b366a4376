//! A Redis with TLS and a password.

#[path = "../../../bennu-pubsub/tests/suite/certificate.rs"]
mod certificate;

use std::{fs, sync::Arc};

use bennu_pubsub::{Adapter, Subject, SubjectNames};
use bennu_redis::{RedisBus, RedisOptions};
use certificate::certificate;
use redis::{Client, TlsCertificates, aio::MultiplexedConnection};
use tokio::sync::OnceCell;

use super::{
    redis_with,
    refused::{error, start},
    server::Server,
    suite,
};

struct Secured {
    server: Server,
    /// The certificate, which is its own authority.
    pem: String,
    /// Somebody else's.
    foreign: OnceCell<MultiplexedConnection>,
}

impl Secured {
    fn start() -> Self {
        let server = redis_with(|port, folder| {
            let (certificate, key) = certificate(folder);
            let (certificate, key) = (certificate.display(), key.display());
            format!(
                "--port 0 --tls-port {port} --tls-auth-clients no --requirepass secret --tls-cert-file {certificate} \
                 --tls-key-file {key} --tls-ca-cert-file {certificate}"
            )
        });
        let at = server.args.iter().position(|it| it == "--tls-cert-file");
        let pem = fs::read_to_string(&server.args[at.unwrap() + 1]).unwrap();
        let foreign = OnceCell::new();
        Self {
            server,
            pem,
            foreign,
        }
    }

    fn url(&self, host: &str) -> String {
        format!("rediss://:secret@{host}:{}", self.server.port)
    }
}

fn bus(url: String, pem: &str) -> RedisBus {
    let options = RedisOptions::new().root_certificates(pem);
    RedisBus::servers([url], options).unwrap()
}

impl suite::Bus for Secured {
    fn adapter(&self) -> Arc<dyn Adapter> {
        Arc::new(bus(self.url("localhost"), &self.pem))
    }

    async fn stop(&mut self) {
        self.server.kill();
    }

    async fn start(&mut self) {
        self.server.run().unwrap();
    }

    async fn publish(&self, subject: &Subject, message: &'static [u8]) {
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(self.pem.clone().into_bytes()),
        };
        let client = Client::build_with_tls(self.url("localhost"), certificates).unwrap();
        let connect = || client.get_multiplexed_async_connection();
        let connection = self.foreign.get_or_try_init(connect).await;
        let mut connection = connection.unwrap().clone();
        let mut publish = redis::cmd("PUBLISH");
        let name = SubjectNames::new("bennu").unwrap().name(subject);
        publish.arg(name).arg(message);
        publish.exec_async(&mut connection).await.unwrap();
    }
}

suite!(Secured::start());

#[tokio::test]
async fn a_certificate_nobody_trusts_or_of_another_name_is_refused() {
    let (server, other) = (Secured::start(), Secured::start());
    for (host, pem) in [("localhost", &other.pem), ("127.0.0.1", &server.pem)] {
        let bus = bus(server.url(host), pem);
        let _connected = start(&bus);
        let error = error(&bus).await;
        assert!(error.contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_over_tls_as_well() {
    let server = Secured::start();
    let url = server.url("localhost").replace("secret", "wrong");
    let bus = bus(url, &server.pem);
    let _connected = start(&bus);
    let error = error(&bus).await.to_lowercase();
    assert!(
        error.contains("auth") || error.contains("wrongpass"),
        "{error}"
    );
}
