//! A NATS with TLS and a password, and servers that don't let us in.

#[path = "../../../bennu-pubsub/tests/suite/certificate.rs"]
mod certificate;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bennu_nats::{ConnectOptions, NatsBus, NatsOptions};
use bennu_pubsub::{Adapter, Link, Subject, SubjectNames};
use bytes::Bytes;
use certificate::certificate;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::OnceCell,
    time::timeout,
};

use super::{server::Server, suite, suite::PATIENCE};

struct Secured {
    server: Server,
    /// The certificate, which is its own authority.
    certificate: PathBuf,
    /// Somebody else's.
    foreign: OnceCell<async_nats::Client>,
}

impl Secured {
    fn start() -> Self {
        let server = Server::start("nats-server", "Server is ready", |port, folder| {
            let (certificate, key) = certificate(folder);
            let port = port.to_string();
            let args = [
                "--addr",
                "127.0.0.1",
                "--port",
                &port,
                "--user",
                "bennu",
                "--pass",
                "secret",
                "--tls",
                "--tlskey",
                &key.to_string_lossy(),
                "--tlscert",
                &certificate.to_string_lossy(),
            ];
            args.map(str::to_owned).to_vec()
        });
        let certificate = server.args.last().unwrap().into();
        Self {
            server,
            certificate,
            foreign: OnceCell::new(),
        }
    }

    fn url(&self, host: &str) -> String {
        format!("tls://{host}:{}", self.server.port)
    }

    fn options(&self, password: &str) -> ConnectOptions {
        ConnectOptions::new()
            .user_and_password("bennu".to_owned(), password.to_owned())
            .add_root_certificates(self.certificate.clone())
    }
}

fn bus(url: String, options: ConnectOptions) -> NatsBus {
    NatsBus::with([url], options, NatsOptions::new()).unwrap()
}

impl suite::Bus for Secured {
    fn adapter(&self) -> Arc<dyn Adapter> {
        Arc::new(bus(self.url("localhost"), self.options("secret")))
    }

    async fn stop(&mut self) {
        self.server.kill();
    }

    async fn start(&mut self) {
        self.server.run().unwrap();
    }

    async fn publish(&self, subject: &Subject, message: &'static [u8]) {
        let options = self.options("secret");
        let connect = || options.connect(self.url("localhost"));
        let client = self.foreign.get_or_try_init(connect).await.unwrap();
        let name = SubjectNames::new("bennu").unwrap().name(subject);
        client.publish(name, message.into()).await.unwrap();
        client.flush().await.unwrap();
    }
}

suite!(Secured::start());

/// What a server says first.
const INFO: &[u8] = b"INFO {\"server_id\":\"a\",\"server_name\":\"a\",\"version\":\"2.9.10\",\"proto\":1,\"host\":\"a\",\
                      \"port\":4222,\"headers\":true,\"max_payload\":1048576}\r\n";

struct Deaf;

impl Link for Deaf {
    fn receive(&self, _: &Subject, _: Bytes) {}
    fn connected(&self) {}
    fn disconnected(&self) {}
}

/// Starts it, and waits until it's known why there is no connection.
async fn error(bus: &NatsBus) -> String {
    bus.start(Arc::new(Deaf));
    let refused = timeout(PATIENCE, bus.subscribe(&Subject::Gossip)).await;
    refused.unwrap().unwrap_err();
    let health = bus.health();
    assert!(!health.connected);
    health.error.expect("why").to_string()
}

/// A server without TLS, with a user of this name and password.
fn with_user(user: &str, password: &str, more: &'static str) -> Server {
    let users = format!("{{user: {user:?}, password: {password:?}, {more}}}");
    Server::start("nats-server", "Server is ready", |port, folder| {
        let config = format!("{folder}/nats.conf");
        let text = format!("listen: \"127.0.0.1:{port}\"\nauthorization {{ users = [{users}] }}\n");
        std::fs::write(&config, text).unwrap();
        vec!["--config".to_owned(), config]
    })
}

#[tokio::test]
async fn the_user_of_a_url_is_let_in() {
    let server = with_user("ben nu", "p@ss:word", "");
    let url = format!("nats://ben%20nu:p%40ss%3Aword@127.0.0.1:{}", server.port);
    let bus = NatsBus::new(url).unwrap();
    bus.start(Arc::new(Deaf));
    timeout(PATIENCE, bus.subscribe(&Subject::Gossip))
        .await
        .unwrap()
        .unwrap();
    assert!(bus.health().connected, "{:?}", bus.health());
}

#[tokio::test]
async fn what_is_not_allowed_is_said_in_the_health_and_counted() {
    let deny = "permissions: {publish: {deny: \"bennu.p.>\"}}";
    let server = with_user("bennu", "secret", deny);
    let bus = NatsBus::new(format!("nats://bennu:secret@127.0.0.1:{}", server.port)).unwrap();
    bus.start(Arc::new(Deaf));
    timeout(PATIENCE, bus.subscribe(&Subject::Gossip))
        .await
        .unwrap()
        .unwrap();
    assert!(bus.health().connected);
    bus.publish(&Subject::Partition(7), Bytes::from_static(b"hi"));
    let degraded = async {
        while bus.health().connected {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, degraded).await.unwrap();
    let health = bus.health();
    let error = health.error.expect("why").to_lowercase();
    assert!(
        error.contains("permissions violation for publish"),
        "{error}"
    );
    assert_eq!(health.lost, 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_counts_as_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let options = NatsOptions::new().answer_time_max(Duration::from_millis(300));
    let bus = NatsBus::with([url], ConnectOptions::new(), options).unwrap();
    bus.start(Arc::new(Deaf));
    let mut silent = Vec::new();
    for _ in 0..2 {
        let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        stream.write_all(INFO).await.unwrap();
        let mut asked = [0; 1024];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        stream.write_all(b"PONG\r\n").await.unwrap();
        // It stays open, and nothing comes.
        silent.push(stream);
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_in_the_health() {
    let server = Secured::start();
    let bus = bus(server.url("localhost"), server.options("wrong"));
    let error = error(&bus).await;
    assert!(error.contains("authorization violation"), "{error}");
}

#[tokio::test]
async fn a_certificate_nobody_trusts_or_of_another_name_is_refused() {
    let (server, other) = (Secured::start(), Secured::start());
    for (host, options) in [
        ("localhost", other.options("secret")),
        ("127.0.0.1", server.options("secret")),
    ] {
        let bus = bus(server.url(host), options);
        let error = error(&bus).await;
        // The library says no more than that; its own log has the rest.
        assert_eq!(error, "nats: IO error");
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_not_asked_all_the_time() {
    const ATTEMPTS: u32 = 8;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = NatsOptions::new().backoff_max(Duration::from_millis(400));
    let url = format!("nats://127.0.0.1:{port}");
    let bus = NatsBus::with([url], ConnectOptions::new(), options).unwrap();
    bus.start(Arc::new(Deaf));
    let mut began = None;
    for _ in 0..ATTEMPTS {
        let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        began.get_or_insert_with(Instant::now);
        stream.write_all(INFO).await.unwrap();
        let mut asked = [0; 1024];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        let _ = stream
            .write_all(b"-ERR 'Authorization Violation'\r\n")
            .await;
    }
    // The second comes at once; then pauses of 50, 100, 200 and thrice 400 ms, of which a half is at random.
    let least = Duration::from_millis(50 + 100 + 200 + 3 * 400) / 2;
    let took = began.unwrap().elapsed();
    assert!(took >= least, "{ATTEMPTS} attempts in {took:?}");
}
