//! What an adapter says of a bus that is away.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bennu_pubsub::{Link, Subject};
use bytes::Bytes;
use tokio::{sync::watch, time::timeout};
use tracing::{Dispatch, Level, dispatcher::set_default};

use super::suite::{Bus, PATIENCE};

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Knows whether it's connected.
struct Connected(watch::Sender<bool>);

impl Link for Connected {
    fn receive(&self, _: &Subject, _: Bytes) {}
    fn connected(&self) {
        self.0.send_replace(true);
    }
    fn disconnected(&self) {
        self.0.send_replace(false);
    }
}

/// A bus that is away for a hundred seconds is said to be so at once and once in thirty, and that it's back.
///
/// The clock goes by itself while it's away.
pub(crate) async fn an_outage_is_told_of_now_and_then(mut bus: impl Bus, name: &str) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_writer(move || writer.clone())
        .without_time()
        .with_ansi(false)
        .finish();
    let _guard = set_default(&Dispatch::new(subscriber));

    let adapter = bus.adapter();
    let (sender, mut connected) = watch::channel(false);
    adapter.start(Arc::new(Connected(sender)));
    let mut turns = async |to: bool| {
        let turned = timeout(PATIENCE, connected.wait_for(|it| *it == to)).await;
        turned.unwrap().unwrap();
    };
    turns(true).await;
    bus.stop().await;
    turns(false).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(100)).await;
    tokio::time::resume();
    bus.start().await;
    turns(true).await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // The library may have something to say as well.
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|it| it.contains(" bennu_"));
    let said: Vec<_> = lines.filter_map(|it| it.split_once(": ")).collect();
    let level = |(place, _): &(&str, &str)| place.split(' ').next().map(str::to_owned);
    let levels: Vec<_> = said.iter().filter_map(level).collect();
    assert_eq!(
        levels,
        ["INFO", "WARN", "WARN", "WARN", "WARN", "INFO"],
        "{text}"
    );
    let begins = |at: usize, with: String| assert!(said[at].1.starts_with(&with), "{text}");
    begins(0, format!("connected to {name}"));
    begins(1, format!("lost the connection to {name}"));
    begins(5, format!("connected to {name} after 10"));
    assert!(said[1].1.contains(" times=1"), "{text}");
    // Hundreds of attempts in between.
    let times = said[2].1.rsplit_once(" times=").unwrap().1;
    let times: u64 = times.split(' ').next().unwrap().parse().unwrap();
    assert!(times > 50, "{text}");
}
