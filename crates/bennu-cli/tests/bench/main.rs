//! `bennu bench`, run as a program against servers of this test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says so by panicking"
)]

mod server;

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Short, but with everything in it.
const SHORT: [&str; 8] = [
    "--connections",
    "20",
    "--duration",
    "300ms",
    "--warmup",
    "50ms",
    "--push-rate",
    "400",
];

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bennu"));
    command.arg("bench").args(args).kill_on_drop(true);
    command
}

async fn bench(addr: SocketAddr, args: &[&str]) -> Output {
    let url = format!("ws://{addr}/socket");
    let args = [&[url.as_str()], args].concat();
    command(&args).output().await.unwrap()
}

/// Runs with `--json`, and returns the figures.
async fn figures(addr: SocketAddr, args: &[&str]) -> Value {
    let output = bench(addr, &[&SHORT, args, &["--json"]].concat()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(row: &Value, path: &str) -> f64 {
    let value = row.pointer(path).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("{path} in {row}"))
}

/// What must hold for every scenario when nothing goes wrong.
fn is_sound(row: &Value, connections: f64) {
    assert_eq!(number(row, "/joined"), connections, "{row}");
    for none in ["/failed", "/dropped", "/refused", "/errors"] {
        assert_eq!(number(row, none), 0.0, "{none} in {row}");
    }
    assert!(row["causes"].as_object().unwrap().is_empty());
    let times = |name: &str| number(row, &format!("/times/latency/{name}"));
    assert!(times("count") > 0.0);
    assert!(0.0 < times("p50_us") && times("p50_us") <= times("p99_us"));
    assert!(times("p99_us") <= times("max_us"));
    assert!(!row["course"].as_array().unwrap().is_empty());
    assert!(number(row, "/times/connect/count") >= connections);
    assert!(number(row, "/server/rss_connected_bytes") > 1e6);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_is_measured() {
    let addr = server::serve().await;
    let pid = std::process::id().to_string();
    // Heartbeats are soon enough for `idle` to have some.
    let json = figures(addr, &["--pid", &pid, "--heartbeat", "100ms"]).await;
    assert_eq!(json["schema"], 1);
    assert_eq!(json["interrupted"], false);
    assert_eq!(json["settings"]["connections"], 20);
    let rows = json["scenarios"].as_array().unwrap();
    let names: Vec<_> = rows
        .iter()
        .map(|it| it["scenario"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["idle", "echo", "fan-out", "presence", "reconnect-storm"]
    );
    for row in rows {
        is_sound(row, 20.0);
    }
    let row = |name| &rows[names.iter().position(|it| *it == name).unwrap()];
    // By the schedule 120 pushes are due in 300 ms.
    assert_eq!(number(row("echo"), "/sent"), 120.0);
    assert_eq!(number(row("echo"), "/received"), 120.0);
    assert_eq!(number(row("echo"), "/skipped"), 0.0);
    assert_eq!(number(row("fan-out"), "/sent"), 120.0);
    assert_eq!(number(row("fan-out"), "/received"), 120.0 * 20.0);
    assert_eq!(number(row("fan-out"), "/topics"), 1.0);
    // On a busy machine somebody who left isn't back when it's due to leave again.
    let (sent, skipped) = (
        number(row("presence"), "/sent"),
        number(row("presence"), "/skipped"),
    );
    assert_eq!(sent + skipped, 120.0);
    assert!(number(row("presence"), "/received") > sent * 2.0);
    assert_eq!(number(row("reconnect-storm"), "/received"), 20.0);
    assert_eq!(number(row("idle"), "/sent"), 60.0);
    assert_eq!(number(row("idle"), "/received"), 60.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_work() {
    let addr = server::serve().await;
    let scenarios = ["--scenario", "echo,fan-out", "--processes", "2"];
    let json = figures(addr, &scenarios).await;
    assert_eq!(json["settings"]["processes"], 2);
    let rows = json["scenarios"].as_array().unwrap();
    for row in rows {
        assert_eq!(number(row, "/joined"), 20.0);
        assert_eq!(number(row, "/sent"), 120.0);
    }
    // Also those of the other process are heard, and timed by a clock that both have.
    assert_eq!(number(&rows[1], "/received"), 120.0 * 20.0);
    assert!(number(&rows[1], "/times/latency/max_us") < 10e6);
}

#[tokio::test(flavor = "multi_thread")]
async fn serializer_v1_topics_and_a_closed_loop_do_too() {
    let addr = server::serve().await;
    let args = [
        "--vsn",
        "1.0.0",
        "--scenario",
        "echo,fan-out",
        "--topics-per-connection",
        "3",
        "--push-rate",
        "max",
        "--depth",
        "2",
    ];
    let url = format!("ws://{addr}/socket");
    let short = ["-c", "10", "-d", "200ms", "--warmup", "10ms", "--json"];
    let mut command = command(&[&[url.as_str()], &short[..], &args].concat());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for row in json["scenarios"].as_array().unwrap() {
        assert_eq!(number(row, "/joined"), 30.0);
        assert_eq!(number(row, "/received"), number(row, "/expected"));
        assert!(number(row, "/sent") > 20.0, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_has_every_plot_and_loads_nothing() {
    let addr = server::serve().await;
    let folder = std::env::temp_dir().join(format!("bennu-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (page, before) = (folder.join("report.html"), folder.join("before.json"));
    let scenario = ["--scenario", "echo"];
    let pid = std::process::id().to_string();
    let json = figures(addr, &scenario).await;
    std::fs::write(&before, json.to_string()).unwrap();
    let args = [
        "--scenario",
        "echo",
        "--pid",
        &pid,
        "--report",
        page.to_str().unwrap(),
        "--compare",
        before.to_str().unwrap(),
    ];
    // Long enough for CPU over time.
    let long = ["-c", "20", "-d", "1500ms", "--push-rate", "100"];
    let output = bench(addr, &[&long[..], &args].concat()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(
        table.contains("echo") && table.contains("  before"),
        "{table}"
    );
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    for title in [
        "Latency by percentile",
        "Messages a second",
        "Latency over time",
        "Connections",
        "Server CPU, % of a core",
        "Server memory",
    ] {
        let (_, plot) = html.split_once(&format!("<figcaption>{title}")).unwrap();
        let (plot, _) = plot.split_once("</figure>").unwrap();
        assert!(plot.contains("<path class=\"line "), "{title}: {plot}");
        assert!(
            !plot.contains("NaN") && !plot.contains("inf"),
            "{title}: {plot}"
        );
    }
    assert!(html.contains("99 % within") && html.contains("class=\"line c1 dashed\""));
    assert!(!html.contains("{{"), "something is left to fill in");
    for outside in ["src=", "href=\"http", "url(", "@import", "<script"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let open = html.matches("<figure>").count();
    assert_eq!((open, html.matches("</svg></figure>").count()), (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_needs_insecure() {
    let addr = server::serve_tls().await;
    let url = format!("wss://localhost:{}/socket", addr.port());
    let args = [&[url.as_str(), "--scenario", "echo", "--json"], &SHORT[..]].concat();
    let refused = command(&args).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("--insecure"),
        "{}",
        text(&refused.stderr)
    );
    let mut insecure = command(&[&args[..], &["--insecure"]].concat());
    let taken = insecure.output().await.unwrap();
    assert!(taken.status.success(), "{}", text(&taken.stderr));
    let json: Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert_eq!(number(&json, "/scenarios/0/received"), 120.0);
}

/// Runs, and expects one line of error with these words in it, and that exit code, soon.
async fn fails(url: &str, args: &[&str], code: i32, words: &[&str]) {
    let began = Instant::now();
    let timeout = ["--timeout", "400ms"];
    let mut command = command(&[&[url], &timeout[..], &SHORT, args].concat());
    let output = command.output().await.unwrap();
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    assert!(line.starts_with("error: "), "{line}");
    for word in words {
        assert!(line.contains(word), "{word} in {line}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_ends_in_a_line_that_says_what_to_do() {
    let addr = server::serve().await;
    let url = &format!("ws://{addr}/socket");
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("ws://{}/socket", free.local_addr().unwrap());
    drop(free);
    fails(&nobody, &[], 1, &["nothing listens", "start the server"]).await;
    let params = ["--params", r#"{"token":"bad"}"#];
    fails(url, &params, 1, &["403", "--params"]).await;
    let elsewhere = format!("ws://{addr}/elsewhere");
    fails(&elsewhere, &[], 1, &["404", "/socket"]).await;
    let topic = ["--scenario", "echo", "--topic", "attic:{n}"];
    fails(url, &topic, 1, &["no channel", "--topic"]).await;
    let private = ["--scenario", "echo", "--topic", "room:private"];
    fails(url, &private, 1, &["unauthorized", "--join-params"]).await;
    let unknown = ["--scenario", "echo", "--event", "nonsense"];
    fails(url, &unknown, 1, &["nonsense", "error", "--event"]).await;
    let hush = ["--scenario", "echo", "--event", "hush"];
    fails(url, &hush, 1, &["hush", "--timeout"]).await;
    let hush = ["--scenario", "fan-out", "--broadcast-event", "hush"];
    fails(url, &hush, 1, &["hush", "--broadcast-event"]).await;
    fails("localhost:4000", &[], 2, &["ws://localhost:4000/socket"]).await;
    fails(url, &["--pid", "4294967295"], 2, &["no process"]).await;
    fails(url, &["--compare", "/nowhere/to.json"], 2, &["--json"]).await;
    fails(url, &["--payload", "{body}"], 2, &["no JSON"]).await;
    fails(url, &["--payload", "{}"], 2, &["{body}"]).await;
    fails(url, &["--source", "::1"], 2, &["same kind"]).await;
    let header = ["--header", "x: a\u{1}b"];
    fails(url, &header, 1, &["can't be sent"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_means_no_good_ends_a_run_in_bounded_time() {
    let addr = server::serve().await;
    fails(
        &format!("ws://{addr}/babel"),
        &[],
        1,
        &["no message of the protocol"],
    )
    .await;
    let check = async |bytes, hangs_up, word: &str| {
        let addr = server::answer(bytes, hangs_up).await;
        fails(&format!("ws://{addr}/socket"), &[], 1, &[word]).await;
    };
    check(b"", true, "hung up").await;
    check(b"", false, "--timeout").await;
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true, "200").await;
    check(b"SSH-2.0-OpenSSH\r\n", false, "no WebSocket").await;
    let wrong = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";
    check(wrong, false, "sec-websocket-accept").await;
}

/// Runs with `--json`, expects that it ends with 1 and a line with these words, and returns the figures all the same.
async fn falls_short(addr: SocketAddr, args: &[&str], words: &[&str]) -> Value {
    let output = bench(addr, &[&SHORT, args, &["--json"]].concat()).await;
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    for word in words {
        assert!(line.contains(word), "{word} in {line}");
    }
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_early_are_counted_with_their_cause_and_fail_the_run() {
    let addr = server::serve().await;
    let args = ["--scenario", "echo", "--event", "trip"];
    let short = ["--timeout", "400ms", "--depth", "4"];
    let words = ["error: echo lost 20 of 20 connections", "the channel ended"];
    let json = falls_short(addr, &[args, short].concat(), &words).await;
    let row = &json["scenarios"][0];
    // Every connection is pushed to often enough to trip.
    assert_eq!(number(row, "/dropped"), 20.0, "{row}");
    assert_eq!(number(row, "/lost_connections"), 20.0, "{row}");
    assert_eq!(row["causes"], serde_json::json!({"the channel ended": 20}));
    assert!(number(row, "/received") < number(row, "/expected"), "{row}");
    assert!(number(row, "/skipped") > 0.0, "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_come_about_fail_the_run() {
    let addr = server::serve_few(15).await;
    let words = ["error: echo lost ", " of 20 connections", "503"];
    let json = falls_short(addr, &["--scenario", "echo"], &words).await;
    let row = &json["scenarios"][0];
    let (lost, joined) = (number(row, "/lost_connections"), number(row, "/joined"));
    // The one that tried whether it works may still be leaving.
    assert!(lost == 5.0 || lost == 6.0, "{row}");
    assert_eq!(lost + joined, 20.0, "{row}");
    assert!(number(row, "/received") > 0.0, "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_that_measures_nothing_fails_the_run() {
    let addr = server::serve().await;
    // The next push would be due after the end.
    let args = ["--scenario", "echo,idle", "--push-rate", "0.001"];
    let words = ["error: echo measured nothing: 0 pushes and no replies"];
    let url = format!("ws://{addr}/socket");
    let short = ["-c", "5", "-d", "100ms", "--warmup", "50ms", "--json"];
    let mut command = command(&[&[url.as_str()], &short[..], &args].concat());
    let output = command.output().await.unwrap();
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    for word in words {
        assert!(line.contains(word), "{line}");
    }
    // Who is idle is measured by being there.
    assert!(!line.contains("idle"), "{line}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["scenarios"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_that_fails_ends_the_run_with_what_was_measured_before_it() {
    let (addr, mut pushes, serving) = server::serve_for_a_while().await;
    let goes = async {
        // Those who try whether it works are fewer.
        pushes.wait_for(|it| *it > 20).await.unwrap();
        serving.abort();
    };
    let words = ["error: fan-out failed: no connection came about"];
    let args = ["--scenario", "echo,fan-out"];
    let (json, ()) = tokio::join!(falls_short(addr, &args, &words), goes);
    assert_eq!(json["scenarios"].as_array().unwrap().len(), 1);
    assert!(number(&json, "/scenarios/0/received") > 0.0);
    assert_eq!(json["interrupted"], true);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_prints_what_was_measured() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    for processes in ["1", "2"] {
        let (addr, mut pushes) = server::serve_counting().await;
        let url = format!("ws://{addr}/socket");
        let args = [
            url.as_str(),
            "--scenario",
            "echo,idle",
            "--processes",
            processes,
            "--json",
        ];
        let long = ["-c", "10", "--warmup", "0s", "--duration", "1h"];
        let mut command = command(&[&args[..], &long].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The probe makes one push only, so it's being measured.
        pushes.wait_for(|it| *it > 20).await.unwrap();
        let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut json = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            json.push_str(&line);
        }
        assert!(child.wait().await.unwrap().success());
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["interrupted"], true);
        assert_eq!(json["scenarios"].as_array().unwrap().len(), 1);
        assert!(number(&json, "/scenarios/0/received") > 0.0);
        assert_eq!(number(&json, "/scenarios/0/dropped"), 0.0);
    }
}
