//! Members of a topic that never read what is broadcast to it.

use std::time::{Duration, Instant};

use tokio::{sync::watch, task::JoinSet};

use super::tokens::{begin, tell};
use crate::{
    Result,
    case::{Case, Stage},
    frame::{TEXT, message, push},
    socket::Socket,
};

pub(crate) const CASES: &[Case] = &[Case {
    name: "never-reads",
    sends: "200 MB over a topic with a member that never reads, another over long-polling that never polls, and readers",
    must: "both are closed, 1013 \"slow consumer\"; every reader gets every message",
    // The library's own default: this server's is larger.
    options: &["--queue-bytes-max", "1048576"],
    growth_mb_max: 16,
    waits: false,
    run: |stage| Box::pin(never_reads(stage)),
}];

const READERS: usize = 3;
const MESSAGES: usize = 3_200;
/// With its frame.
const MESSAGE_BYTES: usize = 65_000;
/// So far is the sender ahead of the slowest reader at most. It's less than what may wait for a reader.
const AHEAD_MAX: usize = 8;

async fn never_reads(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    let mut deaf = Socket::open(server.at).await?;
    deaf.join("room:loud").await?;
    let token = begin(server).await?;
    let join = message(["1", "1"], "room:loud", "phx_join", "{}");
    if tell(server, &token, "", join.as_bytes()).await? != 200 {
        return Err("a session can't join".to_owned());
    }
    let mut readers = JoinSet::new();
    let mut heard = Vec::new();
    for _ in 0..READERS {
        let mut socket = Socket::open(server.at).await?;
        socket.join("room:loud").await?;
        let (count, counted) = watch::channel(0);
        heard.push(counted);
        readers.spawn(hear(socket, count));
    }
    let mut sender = Socket::open(server.at).await?;
    sender.join("room:loud").await?;
    let pad = "x".repeat(MESSAGE_BYTES);
    let began = Instant::now();
    let mut bytes = 0;
    for number in 0..MESSAGES {
        for counted in &mut heard {
            let near = counted.wait_for(|it| number - it.min(&number) < AHEAD_MAX);
            let near = tokio::time::timeout(Duration::from_secs(10), near).await;
            if !matches!(near, Ok(Ok(_))) {
                break;
            }
        }
        let shout = push(
            ["1", "2"],
            "room:loud",
            "shout",
            &format!(r#"{{"n":{number},"pad":"{pad}"}}"#),
        );
        bytes += shout.len();
        sender.send(&shout).await?;
        // It's a member as well, and reads.
        sender.frame().await?;
    }
    while let Some(reader) = readers.join_next().await {
        reader.map_err(|error| error.to_string())??;
    }
    let closed = |transport: &str| format!("transport=\"{transport}\",why=\"slow consumer\"");
    for transport in ["websocket", "longpoll"] {
        server
            .counted("bennu_connections_closed_total", &closed(transport), |it| {
                it == 1
            })
            .await?;
    }
    drop(deaf);
    Ok(format!(
        "{READERS} readers heard {MESSAGES} messages ({} MB) in {:.1} s; both others closed as slow consumers",
        bytes / 1_000_000,
        began.elapsed().as_secs_f64()
    ))
}

/// Hears every message, in order, and says how many it has heard.
async fn hear(mut socket: Socket, count: watch::Sender<usize>) -> Result<()> {
    for number in 0..MESSAGES {
        let expected = format!(r#"[null,null,"room:loud","shout",{{"n":{number},"#);
        let frame = socket.frame().await?;
        if frame.opcode != TEXT || !frame.payload.starts_with(expected.as_bytes()) {
            let found = frame.payload.get(..60).unwrap_or(&frame.payload);
            return Err(format!(
                "message {number} is {}",
                String::from_utf8_lossy(found)
            ));
        }
        count.send_replace(number + 1);
    }
    Ok(())
}
