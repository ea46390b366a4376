//! The load client's process: orders come as lines, outcomes go as lines.

use std::{io::BufRead, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    load::{Clients, Crowded, FanOut, Load, Run},
};

/// What the client is told to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    Connect(Clients),
    /// Connects, measures that, and closes.
    Handshakes(Clients),
    FanOut(FanOut),
    /// Members, and those who join them.
    Crowd(usize, usize),
    LongPoll {
        sessions: usize,
        depth: usize,
        time: Duration,
    },
    Echo {
        depth: usize,
        time: Duration,
    },
    Close,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Done,
    Ran(Run),
    Joined(Crowded),
    Failed(String),
}

/// Does what it's told until nobody tells it any more.
#[expect(clippy::print_stdout, reason = "answers its parent")]
pub(crate) fn obey(data: SocketAddr, control: SocketAddr) -> Result<()> {
    let mut load = Load::new(data, control)?;
    for line in std::io::stdin().lock().lines() {
        let outcome = match serde_json::from_str(&line?)? {
            Order::Connect(clients) => load.connect(clients).map(|()| Outcome::Done),
            Order::Handshakes(clients) => load.handshakes(clients).map(Outcome::Ran),
            Order::FanOut(order) => load.fan_out(order).map(Outcome::Ran),
            Order::Crowd(members, joiners) => {
                load.join_crowd(members, joiners).map(Outcome::Joined)
            }
            Order::LongPoll {
                sessions,
                depth,
                time,
            } => load.long_poll(sessions, depth, time).map(Outcome::Ran),
            Order::Echo { depth, time } => load.echo(depth, time).map(Outcome::Ran),
            Order::Close => {
                load.close();
                Ok(Outcome::Done)
            }
        };
        let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(error.to_string()));
        println!("{}", serde_json::to_string(&outcome)?);
    }
    Ok(())
}
