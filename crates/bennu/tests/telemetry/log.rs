//! Log lines and spans.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bennu::{FilterParameters, Level, SocketOptions};
use serde_json::json;
use tracing::{
    Dispatch,
    dispatcher::{DefaultGuard, set_default},
};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::server::{Client, endpoint, refused};

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

impl Log {
    fn new(level: Level, spans: FmtSpan) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(move || writer.clone())
            .with_span_events(spans)
            .without_time()
            .with_ansi(false)
            .finish();
        (log, set_default(&Dispatch::new(subscriber)))
    }

    /// The lines since the last call, without what pads them.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(|it| it.trim().to_owned()).collect()
    }

    /// Those of the framework, without the spans they stand in.
    fn own_lines(&self) -> Vec<String> {
        let lines = self.lines().into_iter();
        let own = lines.filter_map(|line| {
            let (level, _) = line.split_once(' ')?;
            let (_, text) = line.split_once("bennu: ")?;
            Some(format!("{level} {text}"))
        });
        own.collect()
    }
}

const CHANNEL: &str = "telemetry::server::Room";

#[tokio::test(start_paused = true)]
async fn connects_joins_and_events_are_logged_in_phoenixs_words() {
    let (log, _guard) = Log::new(Level::DEBUG, FmtSpan::NONE);
    let endpoint = endpoint(SocketOptions::new());
    let path = "/socket/websocket?vsn=2.0.0&token=x&name=ana";
    let mut client = Client::connect_to(&endpoint, path, &[]).await;
    assert_eq!(
        log.own_lines(),
        [concat!(
            "INFO CONNECTED TO telemetry::server::User in 0µs mount=\"/socket\" transport=\"websocket\" ",
            "serializer=\"2.0.0\" params={\"name\":\"ana\",\"token\":\"[FILTERED]\",\"vsn\":\"2.0.0\"}"
        )]
    );
    let message = json!(["1", "1", "room:a", "phx_join", {"password": "hunter2", "n": 1}]);
    client.ask(message).await;
    client
        .ask(json!(["1", "2", "room:a", "ping", {"secret": 7}]))
        .await;
    client
        .ask(json!(["3", "3", "room:private", "phx_join", {}]))
        .await;
    client
        .ask(json!(["4", "4", "room:\n\u{1b}[2J", "phx_join", {}]))
        .await;
    assert_eq!(
        log.own_lines(),
        [
            format!(
                r#"INFO JOINED room:a in 0µs channel="{CHANNEL}" params={{"n":1,"password":"[FILTERED]"}}"#
            ),
            format!(
                r#"DEBUG HANDLED ping INCOMING ON room:a ({CHANNEL}) in 0µs params={{"secret":"[FILTERED]"}}"#
            ),
            format!(r#"INFO REFUSED JOIN room:private in 0µs channel="{CHANNEL}" params={{}}"#),
            format!(r#"INFO JOINED room:\n\u{{1b}}[2J in 0µs channel="{CHANNEL}" params={{}}"#),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn refused_connects_are_logged_with_the_reason() {
    let (log, _guard) = Log::new(Level::INFO, FmtSpan::NONE);
    let endpoint = endpoint(SocketOptions::new());
    refused(&endpoint, "/socket/websocket?token=bad").await;
    refused(&endpoint, "/socket/websocket?token=fail").await;
    refused(&endpoint, "/socket/websocket?vsn=9.0.0").await;
    let begin = |why: &str| {
        format!(
            "INFO REFUSED CONNECTION TO telemetry::server::User in 0µs mount=\"/socket\" \
             transport=\"websocket\" serializer=\"1.0.0\" params={{\"token\":\"[FILTERED]\"}} why={why}"
        )
    };
    let lines = log.own_lines();
    assert_eq!(lines[0], begin(r#"refused with {"reason":"bad token"}"#));
    assert_eq!(lines[1], begin("no database"));
    assert_eq!(lines.len(), 2);
}

/// What is logged at debug of a connect, a join and an event.
async fn logged(options: SocketOptions, topic: &str) -> Vec<String> {
    let (log, _guard) = Log::new(Level::DEBUG, FmtSpan::NONE);
    let endpoint = endpoint(options);
    let mut client = Client::connect(&endpoint).await;
    client.join(topic).await;
    client.ask(json!(["1", "2", topic, "ping", {"a": 1}])).await;
    let lines = log.own_lines().into_iter();
    let beginnings = lines.map(|it| it.split(' ').take(2).collect::<Vec<_>>().join(" "));
    beginnings.collect()
}

#[tokio::test(start_paused = true)]
async fn levels_can_be_chosen_for_each_mount_and_channel() {
    let options = SocketOptions::new;
    assert_eq!(
        logged(options(), "room:a").await,
        ["INFO CONNECTED", "INFO JOINED", "DEBUG HANDLED"]
    );
    assert_eq!(
        logged(options().log(Level::WARN), "quiet:a").await,
        ["WARN CONNECTED", "WARN HANDLED"]
    );
    // The framework's own topics never are.
    assert_eq!(
        logged(options().log(None), "phoenix:a").await,
        Vec::<String>::new()
    );
}

#[tokio::test(start_paused = true)]
async fn the_filter_of_a_mount_is_used_for_all_its_lines() {
    let (log, _guard) = Log::new(Level::DEBUG, FmtSpan::NONE);
    let endpoint = endpoint(SocketOptions::new().filter_parameters(FilterParameters::keep(["id"])));
    let mut client = Client::connect(&endpoint).await;
    client
        .ask(json!(["1", "1", "room:a", "phx_join", {"id": 1, "b": 2}]))
        .await;
    client
        .ask(json!(["1", "2", "room:a", "ping", {"id": [3], "b": 4}]))
        .await;
    let lines = log.lines();
    let shown = lines.iter().filter_map(|it| it.split("params=").nth(1));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            r#"{"vsn":"[FILTERED]"}"#,
            r#"{"b":"[FILTERED]","id":1}"#,
            r#"{"b":"[FILTERED]","id":[3]}"#
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn draining_is_logged_in_rounds() {
    let (log, _guard) = Log::new(Level::INFO, FmtSpan::NONE);
    let drainer = bennu::Drainer {
        batch_size: 2,
        ..bennu::Drainer::default()
    };
    let endpoint = endpoint(SocketOptions::new().log(None).drainer(drainer));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(&endpoint).await);
    }
    let drained = tokio::spawn(async move { endpoint.drain().await });
    for mut client in clients {
        assert_eq!(client.recv().await[1], 1012);
        assert_eq!(client.recv().await, json!(null));
    }
    drained.await.unwrap();
    assert_eq!(
        log.own_lines(),
        [
            "INFO DRAINING 2 of 3 total connection(s) for socket /socket every 2000ms - round 1 of 2",
            "INFO DRAINING 1 of 3 total connection(s) for socket /socket every 2000ms - round 2 of 2",
        ]
    );
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(start_paused = true)]
async fn callbacks_run_in_spans_that_carry_the_handshakes_trace() {
    let (log, _guard) = Log::new(Level::DEBUG, FmtSpan::NONE);
    let endpoint = endpoint(SocketOptions::new());
    let path = "/socket/websocket?vsn=2.0.0";
    let headers = [("traceparent", TRACE), ("tracestate", "vendor=1")];
    let mut client = Client::connect_to(&endpoint, path, &headers).await;
    let lines = log.lines();
    let trace = format!("traceparent=\"{TRACE}\" tracestate=\"vendor=1\"");
    assert!(lines[0].contains(&trace), "{lines:?}");
    client.join("room:a").await;
    client.ask(json!(["1", "2", "room:a", "ping", {}])).await;
    let lines = log.lines();
    // What a handler logs itself stands in its span.
    let own: Vec<_> = lines
        .iter()
        .filter(|it| it.contains("in handle_in"))
        .collect();
    assert_eq!(
        own,
        [&format!(
            "INFO handle_in{{channel=\"{CHANNEL}\" topic=room:a event=ping {trace}}}: test: in handle_in"
        )]
    );

    // A client without a trace has spans without one.
    let mut client = Client::connect(&endpoint).await;
    client.join("room:a").await;
    client.ask(json!(["1", "2", "room:a", "ping", {}])).await;
    let lines = log.lines();
    let own = lines.iter().find(|it| it.contains("in handle_in")).unwrap();
    assert!(!own.contains("traceparent"), "{own}");
}

#[tokio::test(start_paused = true)]
async fn spans_have_levels_too() {
    let (log, _guard) = Log::new(Level::INFO, FmtSpan::CLOSE);
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint).await;
    client.join("room:a").await;
    client.ask(json!(["1", "2", "room:a", "ping", {}])).await;
    let lines = log.lines();
    let closed = lines.iter().filter(|it| it.contains("close"));
    let names: Vec<_> = closed
        .filter_map(|it| it.strip_prefix("INFO ")?.split('{').next())
        .collect();
    assert_eq!(names, ["connect", "join"]);
}
