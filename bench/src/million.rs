//! A million idle connections in one process, over streams in memory.

use std::time::Instant;

use bennu::Endpoint;
use http::Request;
use serde::{Deserialize, Serialize};

use crate::{
    Plan, Result, child,
    frame::{self, Dialect, EVENT, PAYLOAD_BYTES},
    server::{NewMsg, endpoint},
    stream::{Stream, written},
    table::Table,
};

pub(crate) const TITLE: &str = "Idle connections in memory, in one process";
const CONNECTIONS: usize = 1_000_000;
/// How many connections are made before those that are made may run.
const MADE_AT_ONCE: usize = 64;

/// What one process measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Million {
    /// Resident bytes of each connection, the stream's included.
    bytes: f64,
    /// The same, after broadcasts to all.
    bytes_after_broadcast: f64,
    connecting_secs: f64,
    broadcast_secs: f64,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let mut table = Table::new(
        TITLE,
        &[
            "connections",
            "bytes each",
            "without the stream",
            "after a broadcast",
            "s to connect",
            "s for a broadcast to all",
        ],
    );
    let count = plan.scaled(CONNECTIONS);
    let measure = |case: &str, share: usize| {
        plan.say(&format!("{count} in memory, {case}"));
        let args = [count, share, plan.threads].map(|it| it.to_string());
        let [count, share, threads] = args.each_ref().map(String::as_str);
        child::outcome::<Million>(&["million", count, share, "--threads", threads])
    };
    let bare = measure("streams alone", 0)?.bytes;
    table.row("streams alone", &[Some(count as f64), Some(bare)]);
    for (case, share) in [("all in one topic", count), ("10 in each topic", 10)] {
        let million = measure(case, share)?;
        table.row(
            case,
            &[
                Some(count as f64),
                Some(million.bytes),
                Some(million.bytes - bare),
                Some(million.bytes_after_broadcast - bare),
                Some(million.connecting_secs),
                Some(million.broadcast_secs),
            ],
        );
    }
    Ok(vec![table])
}

/// What the process for one row does, in a runtime. `share` is how many join a topic; 0 for streams alone.
pub(crate) async fn measure(count: usize, share: usize) -> Result<Million> {
    if share == 0 {
        return bare(count);
    }
    let endpoint = endpoint();
    let before = rss()?;
    let start = Instant::now();
    let mut expected = 0;
    for n in 0..count {
        expected += connect(&endpoint, &frame::topic(n / share)).await?;
        if n % MADE_AT_ONCE == 0 {
            written(expected).await?;
        }
    }
    written(expected).await?;
    let connecting_secs = start.elapsed().as_secs_f64();
    let bytes = (rss()? - before) / count as f64;

    let start = Instant::now();
    let message = NewMsg::new(PAYLOAD_BYTES);
    for n in (0..count).step_by(share) {
        endpoint.broadcast(frame::topic(n / share), EVENT, &message);
    }
    expected += (count * Dialect::Channels.broadcast(PAYLOAD_BYTES).len()) as u64;
    written(expected).await?;
    let broadcast_secs = start.elapsed().as_secs_f64();
    let bytes_after_broadcast = (rss()? - before) / count as f64;
    Ok(Million {
        bytes,
        bytes_after_broadcast,
        connecting_secs,
        broadcast_secs,
    })
}

fn bare(count: usize) -> Result<Million> {
    let before = rss()?;
    let streams: Vec<_> = (0..count)
        .map(|_| Box::new(Stream::new(Vec::new())))
        .collect();
    // The pointers aren't the streams'.
    let pointers = size_of_val(&*streams) as f64;
    let bytes = (rss()? - before - pointers) / count as f64;
    Ok(Million {
        bytes,
        bytes_after_broadcast: bytes,
        connecting_secs: 0.0,
        broadcast_secs: 0.0,
    })
}

/// Connects a client that joins `topic`. How long the reply will be.
async fn connect(endpoint: &Endpoint<()>, topic: &str) -> Result<u64> {
    let request = Request::get("/socket/websocket?vsn=2.0.0").body(())?;
    let stream = Stream::new(Dialect::Channels.join(topic));
    endpoint
        .serve_upgraded(request, stream)
        .await
        .map_err(|status| format!("expected to be served, found {status}"))?;
    Ok(Dialect::Channels.join_reply(topic).len() as u64)
}

/// This process's own.
pub(crate) fn rss() -> Result<f64> {
    Ok(child::rss(std::process::id())? as f64)
}
