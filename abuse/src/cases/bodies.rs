//! What is posted to long-poll sessions.

use std::time::Duration;

use super::tokens::{begin, poll, tell};
use crate::{
    Result,
    case::{Case, Stage},
    frame::message,
    http::Http,
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "bodies",
        sends: "bodies over 8 MB, whole, announced and in endless chunks; junk; 101 and a million entries",
        must: "status 400; body status 400, 413; the session lives",
        options: &["--window-ms", "1500"],
        growth_mb_max: 72,
        waits: false,
        run: |stage| Box::pin(bodies(stage)),
    },
    Case {
        name: "body-flood",
        sends: "12 bodies of 7.9 MB at once that stop short of their last byte",
        must: "8 are held (64 MB), the others get status 503",
        options: &["--window-ms", "4000"],
        // The limit is on what has come. Its buffers double as they grow, and HTTP has its own.
        growth_mb_max: 170,
        waits: false,
        run: |stage| Box::pin(flood(stage)),
    },
    Case {
        name: "body-trickle",
        sends: "50 bodies of 100 KB, a byte every 100 ms",
        must: "status 400 after 30 s: 8 KiB must come in that time",
        options: &["--window-ms", "2000"],
        growth_mb_max: 16,
        waits: true,
        run: |stage| Box::pin(trickle(stage)),
    },
];

const NDJSON: &str = "content-type: application/x-ndjson\r\n";

async fn bodies(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    let heartbeat = r#"[null,"1","phoenix","heartbeat",{}]"#;
    let entries = |count: usize| vec![heartbeat; count].join("\n");
    let (some, many) = (entries(101), entries(200_000));
    let large = vec![b'x'; 8_000_001];
    let deep = message(["1", "1"], "room:a", "ping", &"[".repeat(100_000));
    let cases: [(&str, &str, &[u8], u64); 9] = [
        ("8,000,001 bytes", "", &large, 400),
        ("8,000,001 bytes of entries", NDJSON, &large, 400),
        ("101 entries", NDJSON, some.as_bytes(), 413),
        ("200,000 entries", NDJSON, many.as_bytes(), 413),
        (
            "a million line feeds, which count for nothing",
            NDJSON,
            &[b'\n'; 1_000_000],
            200,
        ),
        ("what isn't Base64", NDJSON, b"!!!", 400),
        ("no message", "", b"{not json", 400),
        ("nested deep", "", deep.as_bytes(), 400),
        ("nothing", "", b"", 400),
    ];
    let count = cases.len();
    for (what, headers, body, expected) in cases {
        let token = begin(server).await?;
        let said = tell(server, &token, headers, body).await?;
        if said != expected {
            return Err(format!("{what}: expected {expected}, found {said}"));
        }
        let lives = tell(server, &token, "", heartbeat.as_bytes()).await?;
        if lives != 200 {
            return Err(format!(
                "after {what} the session says {lives}, expected 200"
            ));
        }
        poll(server, &token).await?;
    }
    let token = begin(server).await?;
    let mut endless = Http::open(server.at).await?;
    let head = format!(
        "POST /socket/longpoll?vsn=2.0.0&token={token} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    endless.send(head.as_bytes()).await;
    let chunk = [b"10000\r\n", &*vec![b'x'; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 200_000_000 && endless.send(&chunk).await {
        sent += chunk.len();
    }
    let status = endless.answer().await?.map(|it| it.status);
    if !matches!(status, Some(400) | None) {
        return Err(format!("an endless body gets {status:?}"));
    }
    Ok(format!(
        "{count} of {count} as documented; an endless body ended after {} MB",
        sent / 1_000_000
    ))
}

async fn flood(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    let body = vec![b'x'; 7_899_999];
    let mut bodies = Vec::new();
    for _ in 0..12 {
        let token = begin(server).await?;
        let mut http = Http::open(server.at).await?;
        let head = format!(
            "POST /socket/longpoll?vsn=2.0.0&token={token} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 7900000\r\n\r\n"
        );
        http.send(head.as_bytes()).await;
        bodies.push(http);
    }
    let mut refused = 0;
    for http in &mut bodies {
        http.send(&body).await;
    }
    for http in &mut bodies {
        let early = tokio::time::timeout(Duration::from_millis(300), http.answer()).await;
        match early {
            Ok(Ok(Some(answer))) if answer.status == 503 => refused += 1,
            Ok(answer) => return Err(format!("expected 503 or nothing yet, found {answer:?}")),
            Err(_) => {}
        }
    }
    match refused {
        4 => Ok("8 were held, 4 got status 503".to_owned()),
        _ => Err(format!("{refused} of 12 got status 503, expected 4")),
    }
}

async fn trickle(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    let began = std::time::Instant::now();
    let mut bodies = Vec::new();
    for _ in 0..50 {
        let token = begin(server).await?;
        let mut http = Http::open(server.at).await?;
        let head = format!(
            "POST /socket/longpoll?vsn=2.0.0&token={token} HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n"
        );
        http.send(head.as_bytes()).await;
        bodies.push(http);
    }
    // The sending end is a task of its own, so that the answer is read when it comes.
    let mut trickling = tokio::task::JoinSet::new();
    for mut http in bodies {
        trickling.spawn(async move {
            for _ in 0..450 {
                http.send(b"x").await;
                if let Ok(answer) =
                    tokio::time::timeout(Duration::from_millis(100), http.answer()).await
                {
                    return answer.map(|it| it.map(|it| it.status));
                }
            }
            Err("it goes on for 45 s".to_owned())
        });
    }
    let mut refused = 0;
    while let Some(ended) = trickling.join_next().await {
        match ended.map_err(|error| error.to_string())?? {
            Some(400) | None => refused += 1,
            status => return Err(format!("expected status 400, found {status:?}")),
        }
    }
    let seconds = began.elapsed().as_secs();
    match seconds {
        25..=40 => Ok(format!("{refused} of 50 ended after {seconds} s")),
        _ => Err(format!("they ended after {seconds} s, expected 30")),
    }
}
