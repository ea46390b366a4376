//! `bennu push`

use std::path::Path;

use crate::server::Server;
use crate::support::{bennu, bennu_fed};

/// `bennu push` with the server's URL put in for `URL`.
fn push(server: &Server, args: &[&str]) -> crate::support::Ran {
    let url = server.url();
    let args = args.iter().map(|it| if *it == "URL" { &*url } else { *it });
    bennu(
        Path::new("."),
        &[&["push"], &*args.collect::<Vec<_>>()].concat(),
    )
}

#[test]
fn the_reply_is_printed() {
    let server = Server::start();
    let check = |args: &[&str], stdout: &str| {
        let ran = push(&server, args);
        assert_eq!(
            (ran.code, &*ran.stdout, &*ran.stderr),
            (0, stdout, ""),
            "{args:?}"
        );
    };
    check(
        &[
            "URL",
            "room:1",
            "ping",
            r#"{"b": 1, "a": 2.50}"#,
            "--token",
            "ada",
        ],
        "ok {\"join\":{},\"name\":\"ada\",\"said\":{\"a\":2.5,\"b\":1}}\n",
    );
    check(
        &[
            "URL",
            "room:1",
            "ping",
            "--json",
            "--auth-token",
            "bob",
            "--join-params",
            "[1, 2]",
        ],
        "{\"status\":\"ok\",\"response\":{\"join\":[1,2],\"name\":\"bob\",\"said\":{}}}\n",
    );
    check(
        &[
            "URL",
            "room:1",
            "ping",
            "7",
            "--longpoll",
            "--params",
            r#"{"token": "eve"}"#,
        ],
        "ok {\"join\":{},\"name\":\"eve\",\"said\":7}\n",
    );
    check(&["URL", "room:1", "queue"], "queued 7\n");
    check(&["URL", "room:1", "silence", "--no-reply"], "");
}

#[test]
fn a_payload_is_read_from_standard_input() {
    let server = Server::start();
    let args = ["push", &server.url(), "room:1", "ping", "-", "--json"];
    let ran = bennu_fed(&args, "{\"a\":\n \"b\"}\n");
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
    assert!(ran.stdout.contains(r#""said":{"a":"b"}"#), "{ran:?}");
    let ran = bennu_fed(&args, "");
    assert!(
        ran.code == 2 && ran.stderr.contains("the payload is no JSON"),
        "{ran:?}"
    );
}

/// Ends with a code and one line that says why.
fn fails(server: &Server, args: &[&str], code: i32, stdout: &str, part: &str) {
    let ran = push(server, args);
    let (ended, told) = ((ran.code, &*ran.stdout), ran.stderr.contains(part));
    assert_eq!(ended, (code, stdout), "{args:?}: {ran:?}");
    assert!(ran.stderr.starts_with("error: ") && told, "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn what_the_server_refuses_is_a_failure() {
    let server = Server::start();
    let check = |args: &[&str], stdout: &str, part: &str| fails(&server, args, 1, stdout, part);
    check(
        &["URL", "room:1", "fail", r#""a\nb""#],
        "error {\"reason\":\"a\\nb\"}\n",
        "failed to push fail to room:1: the server replied with an error",
    );
    check(
        &["URL", "room:1", "fail", "--json"],
        "{\"status\":\"error\",\"response\":{}}\n",
        "replied with an error",
    );
    let slow = ["URL", "room:1", "silence", "--timeout", "1"];
    check(&slow, "", "no reply came within 1 s");
    let crash = ["URL", "room:1", "crash"];
    check(&crash, "", "the channel crashed before an answer came;");
    let stop = ["URL", "room:1", "stop"];
    let stopped =
        "failed to push stop to room:1: the server closed the channel before an answer came";
    check(&stop, "", stopped);
    let kick = ["URL", "room:1", "kick", "--token", "ada"];
    check(&kick, "", "closed with code 1001");
    let refused = "failed to join room:private: the server says error: unauthorized";
    check(&["URL", "room:private", "ping"], "", refused);
    check(&["URL", "hall:1", "ping"], "", "unmatched topic");
    let bad = ["URL", "room:1", "ping", "--token", "bad"];
    check(&bad, "", "403; say who you are by --token");
    let elsewhere = format!("{}s", server.url());
    check(
        &[&elsewhere, "room:1", "ping"],
        "",
        "is this where the socket is mounted",
    );
    let nowhere = ["ws://127.0.0.1:9/socket", "room:1", "ping"];
    check(&nowhere, "", "is the server running");
}

#[test]
fn what_cannot_be_meant_is_a_mistake() {
    let server = Server::start();
    let check = |args: &[&str], part: &str| fails(&server, args, 2, "", part);
    let address = "a socket's address is like ws://localhost:4000/socket";
    check(&["localhost", "room:1", "ping"], address);
    check(&["URL", "room:1", "ping", "{a}"], "the payload is no JSON");
}

#[test]
fn options_that_are_no_json_are_refused() {
    let server = Server::start();
    for args in [
        &["--params", "[1]"][..],
        &["--params", "{a"],
        &["--join-params", "{a"],
        &["--header", "no colon"],
        &["--timeout", "0"],
    ] {
        let ran = push(&server, &[&["URL", "room:1", "ping"], args].concat());
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{args:?}: {ran:?}");
        assert!(
            ran.stderr.starts_with("error: invalid value"),
            "{args:?}: {ran:?}"
        );
    }
}
