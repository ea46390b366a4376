//! Much of what is allowed: joins, connections, messages of 2 MB.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::pinging::slowest_ping;
use crate::{
    Result,
    case::{Case, Stage},
    frame::push,
    socket::Socket,
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "joins",
        sends: "20,000 joins of different topics, then 20,000 of the same one, then 200,000 by one who doesn't read",
        must: "100 are joined, the others refused: \"too many channels joined\"; who doesn't read isn't read from",
        options: &[],
        growth_mb_max: 24,
        waits: false,
        run: |stage| Box::pin(joins(stage)),
    },
    Case {
        name: "connections",
        sends: "4,000 connections that join and are reset",
        must: "nothing is left of them",
        options: &[],
        growth_mb_max: 24,
        waits: false,
        run: |stage| Box::pin(connections(stage)),
    },
    Case {
        name: "large-messages",
        sends: "2 MB messages from 12 sockets at once, for 4 s",
        must: "another client's ping is answered within 250 ms, or 2 s by a server that isn't optimized",
        options: &[],
        // Of each connection: the frame, its text, the event, the answer twice.
        growth_mb_max: 12 * 12,
        waits: false,
        run: |stage| Box::pin(large_messages(stage)),
    },
    Case {
        name: "queued",
        sends: "10 events of 1 MB for a channel at work from each of 16 sockets",
        must: "some 128 wait (128 MB), the others are answered with \"too many messages queued\"",
        options: &[],
        growth_mb_max: 260,
        waits: false,
        run: |stage| Box::pin(queued(stage)),
    },
];

async fn joins(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    let mut socket = Socket::open(server.at).await?;
    let mut joined = 0;
    for batch in 0..20 {
        let topics =
            (0..1_000).map(|it| push(["1", "1"], &format!("room:{batch}-{it}"), "phx_join", "{}"));
        socket.send(&topics.flatten().collect::<Vec<_>>()).await?;
        for _ in 0..1_000 {
            let reply = socket.json().await?;
            match (
                reply[4]["status"].as_str(),
                reply[4]["response"]["reason"].as_str(),
            ) {
                (Some("ok"), _) => joined += 1,
                (_, Some("too many channels joined")) => {}
                _ => return Err(format!("a join is answered with {reply}")),
            }
        }
    }
    let topics = server.metrics().await?.get("bennu_topics", "")?;
    if (joined, topics) != (100, 100) {
        return Err(format!("{joined} joined {topics} topics, expected 100"));
    }
    let refused = "why=\"too many channels joined\"";
    server
        .counted("bennu_refusals_total", refused, |it| it == 19_900)
        .await?;
    let mut again = Socket::open(server.at).await?;
    for batch in 0..20 {
        let joins = (0..1_000).map(|it| {
            let reference = format!("{batch}-{it}");
            push([&reference, &reference], "room:again", "phx_join", "{}")
        });
        again.send(&joins.flatten().collect::<Vec<_>>()).await?;
        again.reply(&format!("{batch}-999")).await?;
    }
    let mut deaf = Socket::open(server.at).await?;
    let flood: Vec<u8> = (0..1_000)
        .flat_map(|it| push(["1", "1"], &format!("room:{it}"), "phx_join", "{}"))
        .collect();
    let mut sent = 0;
    while sent < 200 && deaf.send_within(&flood, Duration::from_secs(1)).await {
        sent += 1;
    }
    Ok(format!(
        "100 of 20,000 joined; of one who reads nothing {sent},000 joins were taken"
    ))
}

async fn connections(stage: &Stage) -> Result<String> {
    let at = stage.server.at;
    for batch in 0..40_u64 {
        let mut clients = JoinSet::new();
        for number in 0..100 {
            clients.spawn(async move {
                let mut socket =
                    Socket::open_from(number, at, &format!("&user_id=u{batch}-{number}")).await?;
                socket.join(&format!("lobby:{}", number % 10)).await?;
                socket.reset();
                Ok::<_, String>(())
            });
        }
        while let Some(client) = clients.join_next().await {
            client.map_err(|error| error.to_string())??;
        }
    }
    let lost = stage
        .server
        .counted("bennu_connections_closed_total", "why=\"lost\"", |it| {
            it >= 4_000
        })
        .await?;
    stage
        .server
        .counted("bennu_presences", "", |it| it == 0)
        .await?;
    Ok(format!("{lost} were lost, nobody is present"))
}

async fn queued(stage: &Stage) -> Result<String> {
    let payload = format!("\"{}\"", "x".repeat(1_000_000));
    let event = push(["1", "3"], "room:queued", "ping", &payload);
    let mut sockets = Vec::new();
    let mut refused = 0;
    for _ in 0..16 {
        let mut socket = Socket::open(stage.server.at).await?;
        socket.join("room:queued").await?;
        let slow = push(["1", "2"], "room:queued", "slow", "{\"ms\":60000}");
        socket.send(&slow).await?;
        for _ in 0..10 {
            socket.send(&event).await?;
        }
        let beat = push(["1", "4"], "phoenix", "heartbeat", "{}");
        socket.send(&beat).await?;
        loop {
            let reply = socket.json().await?;
            match (reply[1].as_str(), reply[4]["response"]["reason"].as_str()) {
                (Some("3"), Some("too many messages queued")) => refused += 1,
                (Some("4"), _) => break,
                _ => return Err(format!("an event is answered with {reply:.200}")),
            }
        }
        sockets.push(socket);
    }
    let waiting = 160 - refused;
    match waiting {
        126..=130 => Ok(format!("{waiting} waited, {refused} were refused")),
        _ => Err(format!("{waiting} of 160 waited, expected some 128")),
    }
}

async fn large_messages(stage: &Stage) -> Result<String> {
    let at = stage.server.at;
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let payload = format!("\"{}\"", "x".repeat(2_000_000));
    let message: Arc<[u8]> = push(["1", "2"], "room:large", "ping", &payload).into();
    let mut senders = JoinSet::new();
    for number in 0..12 {
        let mut socket = Socket::open(at).await?;
        socket.join("room:large").await?;
        let (stop, answered, message) = (stop.clone(), answered.clone(), message.clone());
        senders.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                socket.send(&message).await?;
                let frame = socket.frame().await?;
                if frame.payload.len() < 2_000_000 {
                    return Err(format!(
                        "{number} is answered with {} bytes",
                        frame.payload.len()
                    ));
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    let pinged = slowest_ping(stage).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(sender) = senders.join_next().await {
        sender.map_err(|error| error.to_string())??;
    }
    let answered = answered.load(Ordering::Relaxed);
    Ok(format!("{answered} messages of 2 MB answered; {}", pinged?))
}
