//! HTTP before there is a WebSocket: junk, bombs, and heads that two servers would read differently.

use std::time::Duration;

use crate::{
    Result,
    case::{Case, Stage},
    http::Http,
    socket::handshake,
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "junk",
        sends: "TLS, HTTP/2, binary and nonsense where HTTP/1 belongs",
        must: "status 400 or just an end",
        options: &[],
        growth_mb_max: 16,
        waits: false,
        run: |stage| Box::pin(junk(stage)),
    },
    Case {
        name: "handshakes",
        sends: "handshakes that lack something or ask for what isn't there",
        must: "status 400, 403, 404, 426; counted by reason",
        options: &[],
        growth_mb_max: 4,
        waits: false,
        run: |stage| Box::pin(handshakes(stage)),
    },
    Case {
        name: "header-bombs",
        sends: "101 to 100,000 headers, headers and addresses of 70 KB to 5 MB, a thousand query parameters deep",
        must: "status 431, 414, 400",
        options: &[],
        growth_mb_max: 16,
        waits: false,
        run: |stage| Box::pin(bombs(stage)),
    },
    Case {
        name: "smuggling",
        sends: "heads with two lengths, a length and chunks, bare line feeds, folded and broken headers, and a request hidden behind them",
        must: "status 400 and an end: the hidden request is never answered",
        options: &[],
        growth_mb_max: 4,
        waits: false,
        run: |stage| Box::pin(smuggling(stage)),
    },
];

/// Sends bytes and checks which statuses come back, until the connection ends or nothing more comes. `[]` stands for an end
/// without an answer.
async fn check(stage: &Stage, what: &str, bytes: &[u8], expected: &[&[u16]]) -> Result<()> {
    let what: String = what.chars().take(400).collect();
    let mut http = Http::open(stage.server.at).await?;
    http.send(bytes).await;
    let mut found = Vec::new();
    let mut answer = http
        .answer()
        .await
        .map_err(|why| format!("{what:?}: {why}"))?;
    while let Some(answered) = answer {
        found.push(answered.status);
        // Whatever else the server has to say comes right behind it.
        let next = tokio::time::timeout(QUIET, http.answer()).await;
        answer = next.unwrap_or(Ok(None))?;
    }
    match expected.contains(&&*found) {
        true => Ok(()),
        false => Err(format!(
            "{what:?}: expected one of {expected:?}, found {found:?}"
        )),
    }
}

/// How long a connection is listened to after an answer.
const QUIET: Duration = Duration::from_millis(150);

async fn junk(stage: &Stage) -> Result<String> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut cases: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET /socket/websocket\r\n\r\n".to_vec(),
        b"GET /socket/websocket HTTP/9.9\r\nhost: a\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1 and more\r\nhost: a\r\n\r\n".to_vec(),
        b"\r\n\r\n\r\n\r\n: \r\n\r\n".to_vec(),
        b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"GET http://[::1 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"\x00".repeat(100_000),
    ];
    for _ in 0..100 {
        let length = random.usize(1..2_000);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        bytes.extend(b"\r\n\r\n");
        cases.push(bytes);
    }
    for bytes in &cases {
        check(
            stage,
            &String::from_utf8_lossy(bytes),
            bytes,
            &[&[400], &[]],
        )
        .await?;
    }
    Ok(format!("{} kinds refused", cases.len()))
}

async fn handshakes(stage: &Stage) -> Result<String> {
    let whole = handshake("", "");
    let without = |line: &str| {
        let lines = whole
            .split_inclusive("\r\n")
            .filter(|it| !it.starts_with(line));
        lines.collect::<String>()
    };
    let with = |from: &str, to: &str| whole.replacen(from, to, 1);
    let cases = [
        (without("connection:"), 400),
        (without("upgrade:"), 426),
        (without("sec-websocket-key:"), 400),
        (without("sec-websocket-version:"), 426),
        (with("version: 13", "version: 12"), 426),
        (with("key: A", "key: "), 400),
        (with("key: A", "key: \u{fc}"), 400),
        (with("vsn=2.0.0", "vsn=9.0.0"), 403),
        (with("vsn=2.0.0", "vsn[]=2.0.0"), 403),
        (with("vsn=2.0.0", "vsn=2.0.0&token=bad"), 403),
        (with("vsn=2.0.0", "vsn=2.0.0&user_id[a]=1"), 403),
        (with("vsn=2.0.0", "%ff=%fe"), 400),
        (
            with("/socket/websocket", "/socket/../socket/websocket"),
            404,
        ),
        (with("/socket/websocket", "/socket/websocket/x"), 404),
        (with("GET", "POST"), 400),
        (with("GET", "DELETE"), 400),
        (handshake("", "sec-websocket-protocol: mqtt\r\n"), 403),
        (
            handshake(
                "",
                "sec-websocket-protocol: phoenix, base64url.bearer.phx.!!!\r\n",
            ),
            403,
        ),
    ];
    let count = cases.len();
    for (request, expected) in cases {
        check(stage, &request, request.as_bytes(), &[&[expected]]).await?;
    }
    let counted = stage
        .server
        .counted("bennu_connections_refused_total", "", |it| it == 16)
        .await?;
    Ok(format!(
        "{count} of {count} refused as documented, {counted} counted"
    ))
}

async fn bombs(stage: &Stage) -> Result<String> {
    let headers = |count: usize, bytes: usize| {
        let value = "x".repeat(bytes);
        let lines = (0..count).map(|it| format!("x-{it}: {value}\r\n"));
        handshake("", &lines.collect::<String>())
    };
    let query = |bytes| handshake(&format!("&a={}", "x".repeat(bytes)), "");
    let nested = handshake(&format!("&a{}=1", "[a]".repeat(1_000)), "");
    let cases: [(&str, String, &[&[u16]]); 9] = [
        ("101 headers", headers(101, 1), &[&[431]]),
        ("1,000 headers", headers(1_000, 10), &[&[431]]),
        ("100,000 headers", headers(100_000, 10), &[&[431]]),
        ("a header of 70 KB", headers(1, 70_000), &[&[431]]),
        ("a header of 5 MB", headers(1, 5_000_000), &[&[431]]),
        ("90 headers of 1 KB", headers(90, 1_000), &[&[431]]),
        ("an address of 70 KB", query(70_000), &[&[414], &[431]]),
        ("an address of 5 MB", query(5_000_000), &[&[414], &[431]]),
        ("a parameter nested 1,000 deep", nested, &[&[400]]),
    ];
    let count = cases.len();
    for (what, request, expected) in cases {
        check(stage, what, request.as_bytes(), expected).await?;
    }
    Ok(format!("{count} of {count} refused as documented"))
}

async fn smuggling(stage: &Stage) -> Result<String> {
    let mut count = 0;
    for (what, request) in broken_heads() {
        check(stage, what, request.as_bytes(), &[&[400]]).await?;
        count += 1;
    }
    // Read one way, by the rules (RFC 9112, section 6.1): or refused. Never are there more answers than requests.
    let chunks = [
        (
            "a length and chunks",
            post(
                "content-length: 4\r\ntransfer-encoding: chunked",
                "0\r\n\r\n",
            ),
        ),
        (
            "chunked twice",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
                "0\r\n\r\n",
            ),
        ),
        (
            "bare line feeds",
            "GET /health HTTP/1.1\nhost: a\n\n".to_owned(),
        ),
    ];
    for (what, request) in &chunks {
        check(
            stage,
            what,
            request.as_bytes(),
            &[&[400], &[200, 200], &[200]],
        )
        .await?;
        count += 1;
    }
    let chunk = |size: &str| {
        post(
            "transfer-encoding: chunked",
            &format!("{size}\r\nabc\r\n0\r\n\r\n"),
        )
    };
    for size in ["ffffffffffffffffff", "-3", "3g", "", " 3", "0x3"] {
        // Who has no token isn't read from: the answer may come before the body is looked at.
        check(
            stage,
            &format!("a chunk of {size:?}"),
            chunk(size).as_bytes(),
            &[&[400], &[200], &[]],
        )
        .await?;
        count += 1;
    }
    Ok(format!(
        "{count} of {count}: nobody answered what was hidden"
    ))
}

/// A request that would be answered if somebody took the rest of the one before for it.
const HIDDEN: &str = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n";

/// A POST with another request hidden behind its body.
fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /socket/longpoll?vsn=2.0.0 HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n{body}{HIDDEN}"
    )
}

/// Heads that no two servers are to read differently: none is to read them.
fn broken_heads() -> Vec<(&'static str, String)> {
    vec![
        (
            "two lengths",
            post("content-length: 0\r\ncontent-length: 40", ""),
        ),
        ("a list of lengths", post("content-length: 0, 40", "")),
        ("a negative length", post("content-length: -1", "")),
        ("a length with a sign", post("content-length: +0", "")),
        ("a length in hexadecimal", post("content-length: 0x0", "")),
        (
            "a length beyond 2^64",
            post("content-length: 99999999999999999999999", ""),
        ),
        (
            "chunked, but not last",
            post("transfer-encoding: chunked, identity", "0\r\n\r\n"),
        ),
        (
            "another encoding",
            post("transfer-encoding: xchunked", "0\r\n\r\n"),
        ),
        ("a space before the colon", post("content-length : 0", "")),
        ("no name", post(": 0", "")),
        (
            "a zero byte in a value",
            post("x-a: \u{0}\r\ncontent-length: 0", ""),
        ),
        (
            "a carriage return in a value",
            post("x-a: b\rcontent-length: 40\r\ncontent-length: 0", ""),
        ),
        (
            "a folded header",
            post("x-a: b\r\n c: d\r\ncontent-length: 0", ""),
        ),
    ]
}
