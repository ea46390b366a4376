//! Clients that say nothing, or next to nothing, and those that are half gone. All of them wait for a time limit.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::{
    Result,
    case::{Case, Stage},
    frame::{BINARY, FIN, header},
    http::Http,
    socket::{Socket, handshake},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "slowloris",
        sends: "200 handshakes, a byte every 250 ms",
        must: "status 408 after 10 s",
        options: &[],
        growth_mb_max: 16,
        waits: true,
        run: |stage| Box::pin(slowloris(stage)),
    },
    Case {
        name: "silent-tcp",
        sends: "200 TCP connections, and nothing over them",
        must: "they are closed after 10 s",
        options: &[],
        growth_mb_max: 16,
        waits: true,
        run: |stage| Box::pin(silent(stage)),
    },
    Case {
        name: "half-open",
        sends: "200 clients that join and vanish: silent, half closed, reset, within a frame, within a message",
        must: "close 1001 \"idle\" or \"lost\" at once; nothing of them is left",
        options: &["--idle-timeout-ms", "2000"],
        growth_mb_max: 16,
        waits: true,
        run: |stage| Box::pin(half_open(stage)),
    },
];

const CLIENTS: u64 = 200;

async fn slowloris(stage: &Stage) -> Result<String> {
    let at = stage.server.at;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let began = Instant::now();
            let mut http = Http::open(at).await?;
            for byte in handshake("", "").bytes() {
                http.send(&[byte]).await;
                if let Ok(answer) =
                    tokio::time::timeout(Duration::from_millis(250), http.answer()).await
                {
                    return Ok((answer?.map(|it| it.status), began.elapsed()));
                }
            }
            Err("it may go on for ever".to_owned())
        });
    }
    ended(clients, &[Some(408), None]).await
}

async fn silent(stage: &Stage) -> Result<String> {
    let at = stage.server.at;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let began = Instant::now();
            let answer = Http::open(at).await?.answer().await?;
            Ok((answer.map(|it| it.status), began.elapsed()))
        });
    }
    ended(clients, &[Some(408), None]).await
}

/// All have ended with one of these statuses, after the 10 s that a head may take.
async fn ended(
    mut clients: JoinSet<Result<(Option<u16>, Duration)>>,
    statuses: &[Option<u16>],
) -> Result<String> {
    let (mut count, mut longest) = (0, Duration::ZERO);
    while let Some(client) = clients.join_next().await {
        let (status, took) = client.map_err(|error| error.to_string())??;
        if !statuses.contains(&status) {
            return Err(format!("expected one of {statuses:?}, found {status:?}"));
        }
        if !(9..=14).contains(&took.as_secs()) {
            return Err(format!(
                "one ended after {:.1} s, expected 10",
                took.as_secs_f64()
            ));
        }
        longest = longest.max(took);
        count += 1;
    }
    Ok(format!(
        "{count} ended, the last after {:.1} s",
        longest.as_secs_f64()
    ))
}

async fn half_open(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    let mut kept = Vec::new();
    for number in 0..CLIENTS {
        let mut socket = Socket::open(server.at).await?;
        socket.join(&format!("room:{}", number % 7)).await?;
        match number % 5 {
            // Keeps the connection and neither reads nor writes.
            0 => kept.push(socket),
            // Says that it won't write, and could still read.
            1 => {
                socket.finish().await;
                kept.push(socket);
            }
            2 => socket.reset(),
            // Has begun a frame, or a message.
            3 => {
                socket.send(&header(FIN | BINARY, 5_000_000)).await?;
                kept.push(socket);
            }
            _ => {
                socket.send(&crate::frame::frame(BINARY, b"x")).await?;
                kept.push(socket);
            }
        }
    }
    let third = CLIENTS / 5;
    let closed = "bennu_connections_closed_total";
    server
        .counted_within(closed, "why=\"idle\"", Duration::from_secs(10), |it| {
            it == 3 * third
        })
        .await?;
    // What the healthy client leaves is lost as well: it goes without a close.
    server
        .counted_within(closed, "why=\"lost\"", Duration::from_secs(10), |it| {
            it >= 2 * third
        })
        .await?;
    server
        .counted_within("bennu_connections", "", Duration::from_secs(10), |it| {
            it == 0
        })
        .await?;
    for mut socket in kept {
        socket.ended().await?;
    }
    Ok(format!(
        "{} closed as idle, {} as lost",
        3 * third,
        2 * third
    ))
}
