//! A bystander, who notices when others keep the server busy.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{Result, case::Stage, frame::push, socket::Socket};

/// Pings for 4 s, and says how often and how long the slowest answer took. An error when that was too long: 250 ms, or 2 s for a
/// server that isn't optimized.
pub(super) async fn slowest_ping(stage: &Stage) -> Result<String> {
    let at = stage.server.at;
    // On a thread of its own, which doesn't wait for ours.
    let pinger = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(ping(at))
    });
    let (pings, longest) = pinger.await.map_err(|error| error.to_string())??;
    let seen = format!("{pings} pings, the slowest took {} ms", longest.as_millis());
    let limit = if stage.program.optimized() {
        250
    } else {
        2_000
    };
    if longest > Duration::from_millis(limit) {
        return Err(format!("{seen}, {limit} ms is the limit"));
    }
    Ok(seen)
}

async fn ping(at: SocketAddr) -> Result<(usize, Duration)> {
    let mut pinger = Socket::open(at).await?;
    pinger.join("room:small").await?;
    let ping = push(["1", "2"], "room:small", "ping", "{}");
    let (began, mut longest, mut pings) = (Instant::now(), Duration::ZERO, 0);
    while began.elapsed() < Duration::from_secs(4) {
        let sent = Instant::now();
        pinger.send(&ping).await?;
        pinger.reply("2").await?;
        longest = longest.max(sent.elapsed());
        pings += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok((pings, longest))
}
