//! `bennu listen`

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::server::Server;

/// `bennu listen`, whose lines are read as they come.
struct Listening {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Listening {
    fn start(server: &Server, topic: &str, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bennu"));
        command.args(["listen", &server.url(), topic]).args(options);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line, without its time.
    fn line(&mut self) -> String {
        let line = self.lines.next().unwrap().unwrap();
        let (time, said) = line.split_once(' ').unwrap();
        assert!(
            time.len() == "12:34:56.789".len() && time.contains('.'),
            "{line}"
        );
        said.to_owned()
    }

    /// The next line of `--json`, without its time.
    fn json(&mut self) -> Value {
        let mut line: Value = serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap();
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().contains('T'), "{time}");
        line
    }

    /// How it ends: its code, the lines that were left, and what it complained of.
    fn end(mut self) -> (i32, Vec<String>, String) {
        let left = self.lines.map_while(Result::ok).collect();
        let (mut stderr, mut errors) = (self.child.stderr.take().unwrap(), String::new());
        std::io::Read::read_to_string(&mut stderr, &mut errors).unwrap();
        (
            self.child.wait().unwrap().code().unwrap_or(-1),
            left,
            errors,
        )
    }
}

#[test]
fn events_are_printed_a_line_each_until_there_were_enough() {
    let server = Server::start();
    for options in [&["--count", "3"][..], &["--count", "3", "--longpoll"]] {
        let mut listening = Listening::start(&server, "room:1", options);
        assert_eq!(listening.line(), "room:1 joined {\"welcome\":\"\"}");
        server
            .endpoint
            .broadcast("room:1", "new_msg", &json!({"body": "hi"}));
        server
            .endpoint
            .broadcast("room:2", "new_msg", &json!({"body": "not here"}));
        assert_eq!(listening.line(), "room:1 new_msg {\"body\":\"hi\"}");
        // A terminal is shown nothing that moves it.
        server
            .endpoint
            .broadcast("room:1", "\u{1b}[2J", &"\u{9b}31m");
        assert_eq!(listening.line(), "room:1 \\u001b[2J \"\\u009b31m\"");
        let long = "x".repeat(100);
        server
            .endpoint
            .broadcast("room:1", "long", &json!({"a": [1], "b": long}));
        let (code, left, errors) = listening.end();
        assert_eq!((code, &*errors), (0, ""));
        let left: Vec<_> = left.iter().map(|it| it.trim_end()).collect();
        assert!(left[0].ends_with("room:1 long"), "{left:?}");
        let b = format!("    \"b\": \"{long}\"");
        assert_eq!(
            left[1..],
            ["  {", "    \"a\": [", "      1", "    ],", &b, "  }"]
        );
    }
}

#[test]
fn as_json_each_line_is_an_object() {
    let server = Server::start();
    let options = ["--json", "--count", "2", "--token", "ada"];
    let mut listening = Listening::start(&server, "room:1", &options);
    let joined = json!({"topic": "room:1", "kind": "joined", "response": {"welcome": "ada"}});
    assert_eq!(listening.json(), joined);
    server
        .endpoint
        .broadcast("room:1", "new_msg", &json!({"body": "a\nb"}));
    let event = json!({"topic": "room:1", "kind": "event", "event": "new_msg", "payload": {"body": "a\nb"}});
    assert_eq!(listening.json(), event);
    server
        .endpoint
        .broadcast("room:1", "bytes", &bennu::Bytes::from_static(b"\x00\xff"));
    let event = json!({"topic": "room:1", "kind": "event", "event": "bytes", "payload": {"base64": "AP8="}});
    assert_eq!(listening.json(), event);
    assert_eq!(listening.end().0, 0);
}

#[test]
fn who_comes_and_goes_is_printed() {
    let server = Server::start();
    let options = ["--presence", "--token", "ada", "--count", "3"];
    let mut listening = Listening::start(&server, "room:there", &options);
    assert_eq!(listening.line(), "room:there joined {\"welcome\":\"ada\"}");
    assert!(
        listening
            .line()
            .starts_with("room:there + ada {\"as\":\"guest\",")
    );
    let other = Listening::start(&server, "room:there", &["--token", "bob", "--count", "1"]);
    assert!(
        listening
            .line()
            .starts_with("room:there + bob {\"as\":\"guest\",")
    );
    // The state is an event to who doesn't ask for presence, and ends the other one.
    assert_eq!(other.end().0, 0);
    let (code, left, _) = listening.end();
    assert!(
        code == 0 && left[0].contains(" room:there - bob {\"as\""),
        "{left:?}"
    );
}

#[test]
fn a_lost_connection_is_made_again() {
    let server = Server::start();
    let mut listening = Listening::start(&server, "room:there", &["--token", "ada", "--json"]);
    assert_eq!(listening.json()["kind"], "joined");
    server.endpoint.broadcast("user:ada", "disconnect", &());
    let mut until = |kind: &str| loop {
        let line = listening.json();
        if line["kind"] == kind {
            break line;
        }
    };
    let lost = until("status");
    assert!(
        lost["status"].as_str().unwrap().contains("code 1001"),
        "{lost}"
    );
    assert_eq!(until("status")["status"], "connected again");
    // It has joined again by itself: the server says who is there.
    assert_eq!(until("event")["topic"], "room:there");
    listening.child.kill().unwrap();
    listening.end();
}

#[test]
fn a_channel_that_the_server_ends_is_a_failure() {
    let server = Server::start();
    let mut listening = Listening::start(&server, "room:1", &[]);
    listening.line();
    server.endpoint.broadcast("room:1", "end", &());
    let (code, left, errors) = listening.end();
    assert_eq!((code, left), (1, Vec::new()));
    assert_eq!(
        errors,
        "error: room:1 has ended: the server closed the channel\n"
    );
}

#[test]
fn who_reads_no_more_ends_it() {
    let server = Server::start();
    let mut listening = Listening::start(&server, "room:1", &[]);
    listening.line();
    let Listening { mut child, lines } = listening;
    drop(lines);
    server.endpoint.broadcast("room:1", "hi", &());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    use nix::sys::signal::{Signal, kill};
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, Signal::SIGINT).unwrap();
}

/// Listens to a channel that answers nothing any more, not its leave either, and would be waited for ten minutes.
#[cfg(unix)]
fn listening_to_who_is_stuck(server: &Server) -> Listening {
    let mut listening = Listening::start(server, "room:stuck", &["--timeout", "600"]);
    listening.line();
    server.endpoint.broadcast("room:stuck", "end", &());
    listening
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_though_the_channel_does_not_answer() {
    let server = Server::start();
    let listening = listening_to_who_is_stuck(&server);
    let asked = std::time::Instant::now();
    interrupt(&listening.child);
    assert_eq!(listening.end(), (0, Vec::new(), String::new()));
    assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
}

#[cfg(unix)]
#[test]
fn ctrl_c_twice_ends_it_at_once() {
    let server = Server::start();
    let mut listening = listening_to_who_is_stuck(&server);
    // Two that come together are one to the system, so it gets more.
    while listening.child.try_wait().unwrap().is_none() {
        interrupt(&listening.child);
        std::thread::yield_now();
    }
    let (code, left, errors) = listening.end();
    assert_eq!((code, left), (1, Vec::new()));
    assert_eq!(
        errors,
        "error: interrupted twice: the channel may not be left\n"
    );
}
