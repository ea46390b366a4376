//! Servers that don't let us in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bennu_pubsub::{Adapter, Link, Subject};
use bennu_redis::{RedisBus, RedisOptions};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    time::timeout,
};

use super::{redis, redis_with, suite::PATIENCE};

/// Knows whether it's connected.
pub(crate) struct Connected(watch::Sender<bool>);

impl Link for Connected {
    fn receive(&self, _: &Subject, _: Bytes) {}
    fn connected(&self) {
        self.0.send_replace(true);
    }
    fn disconnected(&self) {
        self.0.send_replace(false);
    }
}

pub(crate) fn start(bus: &RedisBus) -> watch::Receiver<bool> {
    let (sender, connected) = watch::channel(false);
    bus.start(Arc::new(Connected(sender)));
    connected
}

/// Waits until it's known why there is no connection.
pub(crate) async fn error(bus: &RedisBus) -> String {
    let known = async {
        // A subscription ends when an attempt has failed.
        bus.subscribe(&Subject::Gossip).await.unwrap_err();
        bus.health()
    };
    let health = timeout(PATIENCE, known).await.unwrap();
    assert!(!health.connected);
    health.error.expect("why").to_string()
}

#[tokio::test]
async fn a_wrong_password_is_said_in_the_health_until_it_is_right() {
    let server = redis_with(|port, _| format!("--port {port} --requirepass secret"));
    let url = |password| format!("redis://{password}127.0.0.1:{}", server.port);
    for password in ["", ":wrong@", "nobody:secret@"] {
        let bus = RedisBus::new(url(password)).unwrap();
        let _connected = start(&bus);
        let error = error(&bus).await;
        let address = format!("127.0.0.1:{}: ", server.port);
        assert!(error.starts_with(&address), "{error}");
        let lower = error.to_lowercase();
        assert!(
            lower.contains("auth") || lower.contains("wrongpass"),
            "{error}"
        );
        assert!(
            !error.contains("secret") && !error.contains("wrong@"),
            "{error}"
        );
    }
    let bus = RedisBus::new(url(":changed@")).unwrap();
    let mut connected = start(&bus);
    error(&bus).await;
    let client = redis::Client::open(url(":secret@")).unwrap();
    let mut admin = client.get_multiplexed_async_connection().await.unwrap();
    let mut change = redis::cmd("CONFIG");
    change.arg("SET").arg("requirepass").arg("changed");
    change.exec_async(&mut admin).await.unwrap();
    let came = timeout(PATIENCE, connected.wait_for(|it| *it)).await;
    came.unwrap().unwrap();
    let health = bus.health();
    assert_eq!((health.connected, health.error), (true, None));
}

#[tokio::test]
async fn a_server_that_is_gone_is_said_in_the_health() {
    let mut server = redis();
    let bus = RedisBus::new(format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let mut connected = start(&bus);
    let came = timeout(PATIENCE, connected.wait_for(|it| *it)).await;
    came.unwrap().unwrap();
    server.kill();
    let went = timeout(PATIENCE, connected.wait_for(|it| !*it)).await;
    went.unwrap().unwrap();
    let error = error(&bus).await;
    assert!(error.contains("onnection"), "{error}");
}

#[tokio::test]
async fn a_server_that_refuses_is_not_asked_all_the_time() {
    const ATTEMPTS: u32 = 7;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = RedisOptions::new().backoff_max(Duration::from_millis(400));
    let bus = RedisBus::servers([format!("redis://:wrong@127.0.0.1:{port}")], options).unwrap();
    let _connected = start(&bus);
    let mut began = None;
    for _ in 0..ATTEMPTS {
        let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        began.get_or_insert_with(Instant::now);
        let mut asked = [0; 1024];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        let answer = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        // To all that was asked at once; it hangs up when it has seen the first.
        let _ = stream.write_all(&answer.repeat(4)).await;
    }
    // Pauses of 50, 100, 200, and thrice 400 ms, of which a half is at random.
    let least = Duration::from_millis(50 + 100 + 200 + 3 * 400) / 2;
    let took = began.unwrap().elapsed();
    assert!(took >= least, "{ATTEMPTS} attempts in {took:?}");
    let error = error(&bus).await;
    assert!(
        error.to_lowercase().contains("auth") || error.contains("WRONGPASS"),
        "{error}"
    );
}
