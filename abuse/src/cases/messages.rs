//! Frames that are right, with messages in them that are not.

use super::frames::{Refused, refuse_each};
use crate::{
    Result,
    case::{Case, Stage},
    frame::{FIN, TEXT, binary, frame, message, push, text},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "json",
        sends: "text that is no JSON, no array, too short an array, or no UTF-8",
        must: "close 1007",
        options: &[],
        growth_mb_max: 8,
        waits: false,
        run: |stage| Box::pin(json(stage)),
    },
    Case {
        name: "nesting",
        sends: "JSON nested 129 to three million deep, closed and not",
        must: "close 1007",
        options: &[],
        // A frame may be 10 MB, its buffer doubles as it grows, and the allocator keeps what each thread had for a while.
        growth_mb_max: 40,
        waits: false,
        run: |stage| Box::pin(nesting(stage)),
    },
    Case {
        name: "names",
        sends: "topics, events and refs of 1,025 bytes to 2 MB",
        must: "close 1009",
        options: &[],
        growth_mb_max: 40,
        waits: false,
        run: |stage| Box::pin(names(stage)),
    },
    Case {
        name: "binary",
        sends: "binary messages of unknown kinds, cut off, and with lengths that lie",
        must: "close 1002",
        options: &[],
        growth_mb_max: 8,
        waits: false,
        run: |stage| Box::pin(binaries(stage)),
    },
];

const COUNTER: &str = "bennu_messages_undecodable_total";

async fn json(stage: &Stage) -> Result<String> {
    let texts = [
        "",
        " ",
        "{not json",
        "nul",
        "null",
        "0",
        "\"\"",
        "[]",
        "[",
        r#"["1","1","room:a","ping"]"#,
        r#"["1","1","room:a","ping",{}"#,
        r#"["1","1","room:a","ping",{}]]"#,
        r#"["1","1","room:a","ping",{"a":}]"#,
        r#"["1","1","room:a","ping",{"a":1e}]"#,
        r#"["1","1","room:a","ping","\ud8"]"#,
        r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}"#,
        "[null,\"1\",\"phoenix\",\"heartbeat\",{}\u{0}]",
    ];
    let mut cases: Vec<Refused> = texts
        .iter()
        .map(|it| Refused::new(1007, it, text(it)))
        .collect();
    for bytes in [
        &b"\xff\xfe"[..],
        b"[\"\xc0\xaf\"]",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        cases.push(Refused::new(1007, "no UTF-8", frame(FIN | TEXT, bytes)));
    }
    refuse_each(stage, COUNTER, cases, |it| it > 0).await
}

async fn nesting(stage: &Stage) -> Result<String> {
    let closed = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested = |depth| push(["1", "1"], "room:a", "ping", &closed(depth));
    let cases = vec![
        Refused::new(1007, "129 deep", nested(129)),
        Refused::new(1007, "5,000 deep", nested(5_000)),
        Refused::new(1007, "a million deep", nested(1_000_000)),
        Refused::new(1007, "three million brackets", text(&"[".repeat(3_000_000))),
        Refused::new(1007, "objects", text(&"{\"a\":".repeat(500_000))),
        Refused::new(
            1007,
            "after the payload",
            text(&format!(r#"["1","1","a","b",{{}},{}]"#, closed(5_000))),
        ),
        Refused::new(
            1007,
            "as a ref",
            text(&format!(r#"[{},"1","a","b",{{}}]"#, closed(5_000))),
        ),
    ];
    refuse_each(stage, COUNTER, cases, |it| it == 7).await
}

async fn names(stage: &Stage) -> Result<String> {
    let mut cases = Vec::new();
    for length in [1_025, 100_000, 2_000_000] {
        let long = "x".repeat(length);
        cases.push(Refused::new(
            1009,
            "a topic",
            push(["1", "1"], &long, "ping", "{}"),
        ));
        cases.push(Refused::new(
            1009,
            "an event",
            push(["1", "1"], "room:a", &long, "{}"),
        ));
        cases.push(Refused::new(
            1009,
            "a ref",
            push(["1", &long], "room:a", "ping", "{}"),
        ));
        cases.push(Refused::new(
            1009,
            "a join ref",
            push([&long, "1"], "room:a", "ping", "{}"),
        ));
        let number = "1".repeat(length);
        let numbers = message(["1", "1"], "room:a", "ping", "{}").replacen("\"1\"", &number, 1);
        cases.push(Refused::new(1009, "a number as a ref", text(&numbers)));
    }
    refuse_each(stage, COUNTER, cases, |it| it == 15).await
}

async fn binaries(stage: &Stage) -> Result<String> {
    let mut cases = Vec::new();
    for kind in [1, 2, 3, 9, 127, 255] {
        cases.push(Refused::new(
            1002,
            "an unknown kind",
            binary(&[kind, 0, 0, 0, 0]),
        ));
    }
    let whole = b"\x00\x01\x01\x06\x0411room:aping";
    for length in 0..whole.len() {
        let cut = whole.get(..length).unwrap_or_default();
        cases.push(Refused::new(1002, "cut off", binary(cut)));
    }
    for at in 1..5 {
        let mut lie = whole.to_vec();
        if let Some(length) = lie.get_mut(at) {
            *length = 255;
        }
        cases.push(Refused::new(1002, "a length that lies", binary(&lie)));
    }
    cases.push(Refused::new(
        1007,
        "a topic that is no UTF-8",
        binary(b"\x00\x01\x01\x02\x0411\xff\xfeping"),
    ));
    refuse_each(stage, COUNTER, cases, |it| it > 0).await
}
