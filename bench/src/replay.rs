//! The protocol alone: pushes replayed from memory, so that neither a kernel nor a client takes part.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bennu::Bytes;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Plan, Result, child,
    control::cpu_ns,
    frame::{Dialect, TOPIC},
    load::Run,
    server::endpoint,
    stream::{Stream, written},
    table::{Table, median},
};

pub(crate) const TITLE: &str =
    "Echo in memory: a push of 64 bytes and its reply, without any kernel";
const PUSHES: usize = 1_000_000;

/// A stream whose client joins, and then sends the same pushes again and again.
struct Replay {
    stream: Stream,
    pushes: Bytes,
    times: usize,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let mut table = Table::new(TITLE, &["CPU us"]);
    for depth in [1, 16] {
        plan.say(&format!("echo in memory, depth {depth}"));
        let runs = plan.turns(|| {
            let args = [plan.scaled(PUSHES), depth].map(|it| it.to_string());
            let [pushes, depth] = args.each_ref().map(String::as_str);
            Ok(child::outcome::<Run>(&["pushes", pushes, depth])?.cpu_us())
        })?;
        table.row(format!("{depth} in each read"), &[median(runs)]);
    }
    Ok(vec![table])
}

/// What the process for one row does, in a runtime.
pub(crate) async fn measure(pushes: usize, depth: usize) -> Result<Run> {
    let request = Request::get("/socket/websocket?vsn=2.0.0").body(())?;
    let replay = Replay {
        stream: Stream::new(Dialect::Channels.join(TOPIC)),
        pushes: Dialect::Channels.echo().repeat(depth).into(),
        times: pushes / depth,
    };
    let messages = (replay.times * depth) as u64;
    let (cpu, start) = (cpu_ns()?, std::time::Instant::now());
    endpoint()
        .serve_upgraded(request, replay)
        .await
        .map_err(|status| format!("expected to be served, found {status}"))?;
    let joined = Dialect::Channels.join_reply(TOPIC).len() as u64;
    written(joined + messages * Dialect::Channels.echo_reply().len() as u64).await?;
    Ok(Run {
        messages,
        cpu_ns: cpu_ns()? - cpu,
        wall_ns: start.elapsed().as_nanos() as u64,
    })
}

impl AsyncRead for Replay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if Pin::new(&mut self.stream).poll_read(cx, buffer).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let Some(left) = self.times.checked_sub(1) else {
            return Poll::Pending;
        };
        self.times = left;
        buffer.put_slice(&self.pushes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
