//! Messages in pieces: too large, empty without end, of very many at once, and very many pieces of one byte, which are allowed.

use super::frames::{Refused, refuse_each};
use crate::{
    Result,
    case::{Case, Stage},
    frame::{CONTINUATION, FIN, TEXT, frame, message},
    socket::Socket,
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "fragments",
        sends: "fragments that add up to more than 8 MB; half a million empty ones",
        must: "close 1009; 1008",
        options: &[],
        // What is gathered of a message, 8 MB, doubles as it grows, on either thread.
        growth_mb_max: 64,
        waits: false,
        run: |stage| Box::pin(bombs(stage)),
    },
    Case {
        name: "crumbs",
        sends: "a message in half a million fragments of one byte and none",
        must: "it's one message, and is answered",
        options: &[],
        growth_mb_max: 16,
        waits: false,
        run: |stage| Box::pin(crumbs(stage)),
    },
    Case {
        name: "unfinished",
        sends: "9.9 MB of one message from each of 40 sockets, and long nothing of the last 10 bytes",
        must: "12 or 13 are held (128 MB), the others are closed, 1013 \"too many unhandled messages\"",
        options: &[],
        // A buffer doubles as it grows, and the old one is there until it's copied.
        growth_mb_max: 260,
        waits: false,
        run: |stage| Box::pin(unfinished(stage)),
    },
];

/// One byte each, and as many empty ones.
const CRUMBS: usize = 250_000;

async fn bombs(stage: &Stage) -> Result<String> {
    let megabyte = vec![b' '; 1_000_000];
    let mut large = frame(TEXT, &megabyte);
    for _ in 0..8 {
        large.extend(frame(CONTINUATION, &megabyte));
    }
    let mut small = frame(TEXT, b" ");
    let kilobyte = vec![b' '; 1_000];
    for _ in 0..8_100 {
        small.extend(frame(CONTINUATION, &kilobyte));
    }
    let mut empty = frame(TEXT, b"[");
    for _ in 0..500_000 {
        empty.extend(frame(CONTINUATION, b""));
    }
    let cases = vec![
        Refused::new(1009, "9 MB in fragments of one", large),
        Refused::new(1009, "8.1 MB in fragments of a kilobyte", small),
        Refused::new(1008, "half a million empty fragments", empty),
    ];
    refuse_each(stage, "bennu_frames_refused_total", cases, |it| it == 3).await
}

async fn crumbs(stage: &Stage) -> Result<String> {
    let mut socket = Socket::open(stage.server.at).await?;
    socket.join("room:crumbs").await?;
    let payload = format!("\"{}\"", "x".repeat(CRUMBS));
    let text = message(["1", "2"], "room:crumbs", "ping", &payload);
    let mut bytes = frame(TEXT, b"");
    for byte in text.as_bytes() {
        bytes.extend(frame(CONTINUATION, &[*byte]));
        bytes.extend(frame(CONTINUATION, b""));
    }
    bytes.extend(frame(FIN | CONTINUATION, b""));
    socket.send(&bytes).await?;
    let reply = socket.reply("2").await?;
    let answered = reply
        .pointer("/4/response")
        .and_then(|it| it.as_str())
        .map(str::len);
    match answered {
        Some(CRUMBS) => Ok(format!("{} fragments were one message", text.len() * 2 + 2)),
        _ => Err(format!("the answer has {answered:?} bytes")),
    }
}

async fn unfinished(stage: &Stage) -> Result<String> {
    let whole = frame(FIN | TEXT, &vec![b'x'; 9_900_000]);
    let (most, last) = whole.split_at(whole.len() - 10);
    let mut sockets = Vec::new();
    for _ in 0..40 {
        let mut socket = Socket::open(stage.server.at).await?;
        socket.try_send(most).await;
        sockets.push(socket);
    }
    let (mut held, mut refused) = (0, 0);
    for mut socket in sockets {
        // Who was held is told that it's no JSON.
        socket.try_send(last).await;
        match socket.closed().await?.code {
            1007 => held += 1,
            1013 => refused += 1,
            code => return Err(format!("closed with {code}, expected 1007 or 1013")),
        }
    }
    match held {
        12 | 13 => Ok(format!("{held} were held, {refused} closed with 1013")),
        _ => Err(format!("{held} of 40 were held, expected 12 or 13")),
    }
}
