//! Frames that break RFC 6455, or are more than the server takes.

use flate2::{Compress, Compression, FlushCompress};

use crate::{
    Result,
    case::{Case, Stage},
    frame::{BINARY, CLOSE, CONTINUATION, FIN, PING, RSV1, TEXT, frame, header},
    socket::Socket,
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "frames",
        sends: "unmasked frames, reserved bits and opcodes, broken control frames and fragments",
        must: "close 1002",
        options: &[],
        growth_mb_max: 8,
        waits: false,
        run: |stage| Box::pin(broken(stage)),
    },
    Case {
        name: "lengths",
        sends: "headers that announce 10 MB to 2^64 bytes",
        must: "close 1009, or 1002 for a length that can't be; nothing is allocated",
        options: &[],
        growth_mb_max: 4,
        waits: false,
        run: |stage| Box::pin(lengths(stage)),
    },
    Case {
        name: "closes",
        sends: "close frames with codes and reasons that may not be",
        must: "close 1002, or 1007",
        options: &[],
        growth_mb_max: 4,
        waits: false,
        run: |stage| Box::pin(closes(stage)),
    },
    Case {
        name: "compression",
        sends: "compressed bombs of 60 MB to 1 GB, and what isn't deflated",
        must: "close 1009, or 1007",
        options: &["--compress"],
        // What is inflated may be 10 MB, and its buffer doubles as it grows, on either thread.
        growth_mb_max: 72,
        waits: false,
        run: |stage| Box::pin(compression(stage)),
    },
];

const COUNTER: &str = "bennu_frames_refused_total";

/// What closes a connection.
#[derive(Debug)]
pub(crate) struct Refused {
    code: u16,
    what: String,
    bytes: Vec<u8>,
    headers: &'static str,
}

impl Refused {
    pub(crate) fn new(code: u16, what: &str, bytes: Vec<u8>) -> Self {
        Self {
            code,
            what: what.to_owned(),
            bytes,
            headers: "",
        }
    }
}

/// Sends each on a connection of its own, which must be closed with its code and a reason; `counter` must have counted.
pub(crate) async fn refuse_each(
    stage: &Stage,
    counter: &str,
    cases: Vec<Refused>,
    right: impl Fn(u64) -> bool,
) -> Result<String> {
    let count = cases.len();
    for Refused {
        code,
        what,
        bytes,
        headers,
    } in cases
    {
        let what: String = what.chars().take(60).collect();
        let at_fault = |why: String| format!("{what:?}: {why}");
        let mut socket = Socket::open_with(stage.server.at, "", headers)
            .await
            .map_err(at_fault)?;
        socket.try_send(&bytes).await;
        let closed = socket.closed().await.map_err(at_fault)?;
        if closed.code != code || closed.reason.is_empty() {
            return Err(format!(
                "{what:?}: expected a close with {code} and a reason, found {closed:?}"
            ));
        }
    }
    let counted = stage.server.counted(counter, "", right).await?;
    Ok(format!(
        "{count} of {count} closed as documented, {counted} counted in {counter}"
    ))
}

async fn broken(stage: &Stage) -> Result<String> {
    let mut cases = vec![
        Refused::new(1002, "unmasked", vec![FIN | TEXT, 2, b'[', b']']),
        Refused::new(
            1002,
            "a continuation of nothing",
            frame(FIN | CONTINUATION, b"x"),
        ),
        Refused::new(
            1002,
            "a message within a message",
            [frame(TEXT, b"["), frame(FIN | TEXT, b"]")].concat(),
        ),
        Refused::new(1002, "a ping in fragments", frame(PING, b"x")),
        Refused::new(1002, "a ping of 126 bytes", frame(FIN | PING, &[0; 126])),
        Refused::new(
            1002,
            "a ping that says it's 2^62 bytes long",
            header(FIN | PING, 1 << 62),
        ),
    ];
    for bits in [0x40, 0x20, 0x10, 0x70] {
        cases.push(Refused::new(
            1002,
            "reserved bits",
            frame(FIN | bits | TEXT, b"[]"),
        ));
        cases.push(Refused::new(
            1002,
            "reserved bits in a ping",
            frame(FIN | bits | PING, b""),
        ));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(Refused::new(
            1002,
            "a reserved opcode",
            frame(FIN | opcode, b"x"),
        ));
    }
    let count = cases.len() as u64;
    refuse_each(stage, COUNTER, cases, |it| it == count).await
}

async fn lengths(stage: &Stage) -> Result<String> {
    let mut cases = Vec::new();
    for opcode in [FIN | TEXT, FIN | BINARY, TEXT] {
        for length in [10_000_000, 1 << 32, (1 << 63) - 1] {
            cases.push(Refused::new(1009, "a length", header(opcode, length)));
        }
        cases.push(Refused::new(
            1002,
            "a length with its highest bit",
            header(opcode, u64::MAX),
        ));
    }
    let count = cases.len() as u64;
    refuse_each(stage, COUNTER, cases, |it| it == count).await
}

/// Answers to a close have no reason, and aren't the server's doing.
async fn closes(stage: &Stage) -> Result<String> {
    let code = |code: u16| code.to_be_bytes().to_vec();
    let cases = [
        (1002, vec![0x03]),
        (1002, code(0)),
        (1002, code(999)),
        (1002, code(1005)),
        (1002, code(1006)),
        (1002, code(1015)),
        (1002, code(2999)),
        (1007, [code(1000), vec![0xff, 0xfe]].concat()),
        (1000, code(4999)),
        (1000, Vec::new()),
    ];
    let count = cases.len();
    for (expected, payload) in cases {
        let mut socket = Socket::open(stage.server.at).await?;
        socket.send(&frame(FIN | CLOSE, &payload)).await?;
        let closed = socket.closed().await?;
        if closed.code != expected {
            return Err(format!(
                "{payload:?}: expected {expected}, found {closed:?}"
            ));
        }
    }
    let closed = stage
        .server
        .counted("bennu_connections_closed_total", "", |it| {
            it >= count as u64
        })
        .await?;
    Ok(format!(
        "{count} of {count} answered as documented, {closed} counted"
    ))
}

async fn compression(stage: &Stage) -> Result<String> {
    let small = bomb(b' ', 60)?;
    let large = bomb(b'[', 1_000)?;
    let first = FIN | RSV1;
    let (head, tail) = small.split_at(small.len() / 2);
    let mut cases = vec![
        Refused::new(1009, "60 MB of spaces", frame(first | TEXT, &small)),
        Refused::new(1009, "60 MB, binary", frame(first | BINARY, &small)),
        Refused::new(
            1009,
            "60 MB in fragments",
            [frame(RSV1 | TEXT, head), frame(FIN | CONTINUATION, tail)].concat(),
        ),
        Refused::new(1009, "a gigabyte of brackets", frame(first | TEXT, &large)),
        Refused::new(
            1007,
            "not deflated",
            frame(first | TEXT, b"\xff\xff\xff\xff not deflated"),
        ),
        Refused::new(
            1007,
            "a block of a reserved kind",
            frame(first | TEXT, &[0x07; 50]),
        ),
        Refused::new(
            1002,
            "a compressed continuation",
            [frame(TEXT, b"["), frame(first | CONTINUATION, b"x")].concat(),
        ),
        Refused::new(1002, "a compressed ping", frame(first | PING, b"x")),
    ];
    for case in &mut cases {
        case.headers = "sec-websocket-extensions: permessage-deflate\r\n";
    }
    let count = cases.len() as u64;
    refuse_each(stage, COUNTER, cases, |it| it == count).await
}

/// So many megabytes of one byte, deflated.
fn bomb(byte: u8, megabytes: usize) -> Result<Vec<u8>> {
    let mut deflated = Vec::with_capacity(10_000);
    let mut compress = Compress::new(Compression::best(), false);
    // A full flush forgets what was before, so that what comes of a megabyte stands for each.
    let done = compress.compress_vec(&vec![byte; 1_000_000], &mut deflated, FlushCompress::Full);
    done.map_err(|error| error.to_string())?;
    if compress.total_in() != 1_000_000 || !deflated.ends_with(&[0, 0, 0xff, 0xff]) {
        return Err("a megabyte doesn't deflate into 10 KB".to_owned());
    }
    let mut bomb = deflated.repeat(megabytes);
    // What every message ends with isn't sent (RFC 7692, section 7.2.1).
    bomb.truncate(bomb.len().saturating_sub(4));
    Ok(bomb)
}
