//! A million topics in one process, each with a subscriber of its own, over streams in memory.

use http::Request;
use serde::{Deserialize, Serialize};

use crate::{
    Plan, Result, child,
    control::cpu_ns,
    frame::{self, Dialect, EVENT, PAYLOAD_BYTES},
    million::rss,
    server::{NewMsg, endpoint},
    stream::{Stream, written},
    table::Table,
};

pub(crate) const TITLE: &str = "Many topics in memory, each with one subscriber";

const TOPICS: [usize; 2] = [10_000, 1_000_000];
/// As many as a connection may join where nothing else is said.
const TOPICS_OF_CONNECTION: usize = 100;
/// How many of the topics are broadcast to.
const BROADCASTS: usize = 10_000;
/// How many broadcasts are made before those they are for may run.
const MADE_AT_ONCE: usize = 64;

/// What one process measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Topics {
    /// Resident bytes of each topic, its channel's included.
    bytes: f64,
    join_us: f64,
    broadcast_us: f64,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let columns = [
        "connections",
        "bytes for each",
        "CPU us a join",
        "CPU us a broadcast",
    ];
    let mut table = Table::new(TITLE, &columns);
    for topics in TOPICS {
        let topics = plan.scaled(topics);
        plan.say(&format!("{topics} topics"));
        let args = [topics, plan.threads].map(|it| it.to_string());
        let [count, threads] = args.each_ref().map(String::as_str);
        let measured: Topics = child::outcome(&["subscriptions", count, "--threads", threads])?;
        table.row(
            format!("{topics} topics"),
            &[
                Some(topics as f64 / TOPICS_OF_CONNECTION as f64),
                Some(measured.bytes),
                Some(measured.join_us),
                Some(measured.broadcast_us),
            ],
        );
    }
    Ok(vec![table])
}

/// What the process for one row does, in a runtime.
pub(crate) async fn measure(topics: usize) -> Result<Topics> {
    let endpoint = endpoint();
    let numbers: Vec<_> = (0..topics).collect();
    let before = rss()?;
    let cpu = cpu_ns()?;
    let mut expected = 0;
    for own in numbers.chunks(TOPICS_OF_CONNECTION) {
        let names = || own.iter().map(|it| frame::topic(*it));
        let joins: Vec<_> = names().flat_map(|it| Dialect::Channels.join(&it)).collect();
        let replies = names().map(|it| Dialect::Channels.join_reply(&it).len());
        expected += replies.sum::<usize>() as u64;
        let request = Request::get("/socket/websocket?vsn=2.0.0").body(())?;
        endpoint
            .serve_upgraded(request, Stream::new(joins))
            .await
            .map_err(|status| format!("expected to be served, found {status}"))?;
        written(expected).await?;
    }
    let join_us = (cpu_ns()? - cpu) as f64 / topics as f64 / 1e3;
    let bytes = (rss()? - before) / topics as f64;

    let message = NewMsg::new(PAYLOAD_BYTES);
    let frame_bytes = Dialect::Channels.broadcast(PAYLOAD_BYTES).len() as u64;
    let cpu = cpu_ns()?;
    // One after another far apart, so that none is found where the last was.
    let broadcasts = BROADCASTS.min(topics);
    for n in 0..broadcasts {
        let at = n * (topics / broadcasts);
        endpoint.broadcast(frame::topic(at), EVENT, &message);
        expected += frame_bytes;
        if n % MADE_AT_ONCE == 0 {
            written(expected).await?;
        }
    }
    written(expected).await?;
    let broadcast_us = (cpu_ns()? - cpu) as f64 / broadcasts as f64 / 1e3;
    Ok(Topics {
        bytes,
        join_us,
        broadcast_us,
    })
}
