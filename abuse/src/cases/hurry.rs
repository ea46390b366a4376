//! Clients that send small messages as fast as they can.

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
        name: "hurry",
        sends: "pings by 3 sockets, a hundred at a time and the next when they are answered, for 4 s",
        must: "another client's ping is answered within 250 ms, or 2 s by a server that isn't optimized",
        options: &[],
        growth_mb_max: 16,
        waits: false,
        run: |stage| Box::pin(hurry(stage)),
    },
    Case {
        name: "presence-flood",
        sends: "changes of their presence by 3 members of a lobby of 40, as fast as they can for 4 s",
        must: "another client's ping is answered within 250 ms, or 2 s by a server that isn't optimized",
        options: &[],
        growth_mb_max: 48,
        waits: false,
        run: |stage| Box::pin(presence_flood(stage)),
    },
];

/// How long who reads waits until it looks whether that's enough.
const PAUSE: Duration = Duration::from_millis(100);

/// Sockets that do something again and again, until they are asked how often they did.
#[derive(Default)]
struct Busy {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: JoinSet<Result<()>>,
}

impl Busy {
    /// A socket that sends `batch` once the last of the one before is answered, whose ref is "last".
    fn send(&mut self, mut socket: Socket, batch: Vec<u8>) {
        let (stop, done) = (self.stop.clone(), self.done.clone());
        self.tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                socket.send(&batch).await?;
                while !socket
                    .frame()
                    .await?
                    .payload
                    .starts_with(br#"["1","last","#)
                {}
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }

    /// A socket that reads.
    fn read(&mut self, mut socket: Socket) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // Nothing may come for a while, and who is too slow for what comes is closed.
                let read = tokio::time::timeout(PAUSE, socket.wait_frame()).await;
                if let Ok(Err(_)) = read {
                    break;
                }
            }
            Ok(())
        });
    }

    /// How many batches were answered.
    async fn stop(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.map_err(|error| error.to_string())??;
        }
        Ok(self.done.load(Ordering::Relaxed))
    }
}

async fn hurry(stage: &Stage) -> Result<String> {
    let mut busy = Busy::default();
    for _ in 0..3 {
        let mut socket = Socket::open(stage.server.at).await?;
        socket.join("room:hurry").await?;
        let mut batch = push(["1", "2"], "room:hurry", "ping", "{}").repeat(99);
        batch.extend(push(["1", "last"], "room:hurry", "ping", "{}"));
        busy.send(socket, batch);
    }
    let pinged = slowest_ping(stage).await;
    let answered = busy.stop().await? * 100;
    Ok(format!(
        "{answered} pings answered; of another's {}",
        pinged?
    ))
}

async fn presence_flood(stage: &Stage) -> Result<String> {
    let mut busy = Busy::default();
    for number in 0..40 {
        let query = format!("&user_id=m{number}");
        let mut socket = Socket::open_with(stage.server.at, &query, "").await?;
        socket.join("lobby:flooded").await?;
        if number < 37 {
            busy.read(socket);
            continue;
        }
        let typing = |reference, typing: bool| {
            let payload = format!("{{\"typing\":{typing}}}");
            push(["1", reference], "lobby:flooded", "typing", &payload)
        };
        let mut batch = [typing("2", true), typing("2", false)].concat().repeat(250);
        batch.extend(typing("last", true));
        busy.send(socket, batch);
    }
    let pinged = slowest_ping(stage).await;
    let changes = busy.stop().await? * 501;
    Ok(format!(
        "{changes} changes answered; of another's {}",
        pinged?
    ))
}
