//! `bennu listen`: what is said in a topic, a line each.

use bennu_client::{
    Channel, Event, Events, Meta, Payload, Presence, PresenceChange, Socket, Status,
};
use clap::Args;
use jiff::Zoned;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Failure, Result};
use crate::output;
use crate::talk::show::{self, Colours};
use crate::talk::{self, Talk};

/// Joins a topic, and prints its events until it's interrupted. A lost connection is made again.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    #[command(flatten)]
    talk: Talk,
    /// Ends after this many lines of events, or of who comes and goes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Prints who comes and goes, in place of the events that say so.
    #[arg(long)]
    presence: bool,
    /// Prints each as a JSON object on one line.
    #[arg(long)]
    json: bool,
}

/// What there is to print, and as which kind `--json` has it.
enum Heard {
    Joined(Payload),
    Event(Event),
    Presence(PresenceChange),
    /// The connection was lost, and comes back.
    Status(String),
}

/// What ended the listening.
enum End {
    /// As many as were asked for, or nobody reads what is printed any more, or ctrl-c.
    Done,
    Failed(Failure),
}

impl Listen {
    pub(crate) fn run(self) -> Result {
        talk::run(async {
            let socket = self.talk.connect().await?;
            let joining = self.talk.channel(&socket);
            let presence = self.presence.then(|| joining.presence());
            let channel = self.talk.join(&socket, joining).await?;
            let end = tokio::select! {
                // It is listened for before anything is printed.
                biased;
                _ = tokio::signal::ctrl_c() => End::Done,
                end = self.listen(&socket, &channel, presence) => end,
            };
            let goodbye = talk::goodbye(async {
                channel.leave().await;
                socket.disconnect().await;
            });
            tokio::select! {
                () = goodbye => {}
                // From the first on it ends the program no more by itself.
                _ = tokio::signal::ctrl_c() => return Err(Failure::new("interrupted twice: the channel may not be left")),
            }
            match end {
                End::Done => Ok(()),
                End::Failed(failure) => Err(failure),
            }
        })
    }

    async fn listen(&self, socket: &Socket, channel: &Channel, presence: Option<Presence>) -> End {
        let (mut events, mut presence) = (channel.events(), presence);
        let mut changes = socket.changes();
        let (mut printed, mut missed) = (0, 0);
        let (mut heard, mut lost) = (Heard::Joined(channel.reply()), false);
        loop {
            match self.print(&heard) {
                Ok(true) => {}
                Ok(false) => return End::Done,
                Err(failure) => return End::Failed(failure),
            }
            printed += u64::from(matches!(heard, Heard::Event(_) | Heard::Presence(_)));
            if self.count.is_some_and(|count| printed >= count) {
                return End::Done;
            }
            tell_missed(&mut missed, &events, presence.as_ref());
            heard = loop {
                tokio::select! {
                    biased;
                    event = next_event(&mut events, self.presence) => match event {
                        Some(event) => break Heard::Event(event),
                        None => return self.closed(socket),
                    },
                    change = next_change(presence.as_mut()) => match change {
                        Some(change) => break Heard::Presence(change),
                        None => return self.closed(socket),
                    },
                    status = changes.next() => match status {
                        Some(Status::Waiting { error, .. }) => {
                            lost = true;
                            break Heard::Status(format!("{error}; connecting again"));
                        }
                        Some(Status::Open { .. }) if lost => {
                            lost = false;
                            break Heard::Status("connected again".to_owned());
                        }
                        // The events end when the socket does, and say so.
                        Some(_) => {}
                        None => return self.closed(socket),
                    },
                }
            };
        }
    }

    /// The server has ended the channel, or the socket.
    fn closed(&self, socket: &Socket) -> End {
        let topic = &self.talk.topic;
        End::Failed(match socket.status() {
            Status::Closed { error } => Failure::new(format_args!("{topic} has ended: {error}")),
            _ => Failure::new(format_args!(
                "{topic} has ended: the server closed the channel"
            )),
        })
    }

    /// False when nobody reads any more.
    fn print(&self, heard: &Heard) -> Result<bool> {
        let (now, topic) = (Zoned::now(), &*self.talk.topic);
        if self.json {
            let time = now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
            return output::json(&Line {
                time,
                topic,
                said: said(heard)?,
            });
        }
        let colours = Colours::of_stdout();
        let (time, topic) = (
            now.strftime("%H:%M:%S%.3f").to_string(),
            show::visible(topic),
        );
        let (time, topic) = (colours.dim(&time), colours.dim(&topic));
        match heard {
            Heard::Joined(reply) => {
                let (word, reply) = (colours.green("joined"), show::payload(reply));
                output::line(format_args!("{time} {topic} {word}{reply}"))
            }
            Heard::Event(Event { event, payload }) => {
                let (event, payload) = (colours.bold(event), show::payload(payload));
                output::line(format_args!("{time} {topic} {event}{payload}"))
            }
            Heard::Presence(change) => {
                let (word, key, metas) = match change {
                    PresenceChange::Joined { key, metas, .. } => (colours.green("+"), key, metas),
                    PresenceChange::Left { key, metas, .. } => (colours.red("-"), key, metas),
                    _ => return output::line(format_args!("{time} {topic} {UNKNOWN_CHANGE}")),
                };
                let (key, metas) = (
                    colours.bold(key),
                    metas.iter().map(|it| show::payload(&it.payload)),
                );
                let metas = metas.collect::<String>();
                output::line(format_args!("{time} {topic} {word} {key}{metas}"))
            }
            Heard::Status(text) => {
                output::line(format_args!("{time} {topic} {}", colours.red(text)))
            }
        }
    }
}

/// Of a kind that a later `bennu-client` tells of.
const UNKNOWN_CHANGE: &str = "who is there has changed";

/// The next event; with `presence` but for those that say who is there.
async fn next_event(events: &mut Events, presence: bool) -> Option<Event> {
    loop {
        let event = events.next().await?;
        if !(presence && ["presence_state", "presence_diff"].contains(&&*event.event)) {
            return Some(event);
        }
    }
}

/// The next change of who is there; never, where nobody asked.
async fn next_change(presence: Option<&mut Presence>) -> Option<PresenceChange> {
    match presence {
        Some(presence) => presence.next().await,
        None => std::future::pending().await,
    }
}

/// Says so when more came than could be printed.
#[expect(
    clippy::print_stderr,
    reason = "a warning that isn't part of what is printed"
)]
fn tell_missed(told: &mut u64, events: &Events, presence: Option<&Presence>) {
    let missed = events.missed() + presence.map_or(0, Presence::missed);
    if missed > *told {
        eprintln!(
            "warning: {} went unread, as they came faster than they are printed",
            missed - *told
        );
        *told = missed;
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    topic: &'a str,
    #[serde(flatten)]
    said: Said<'a>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Said<'a> {
    Joined {
        response: Box<RawValue>,
    },
    Event {
        event: &'a str,
        payload: Box<RawValue>,
    },
    PresenceJoin {
        key: &'a str,
        metas: Vec<Box<RawValue>>,
    },
    PresenceLeave {
        key: &'a str,
        metas: Vec<Box<RawValue>>,
    },
    Status {
        status: &'a str,
    },
}

fn said(heard: &Heard) -> Result<Said<'_>> {
    let shown = |metas: &[Meta]| {
        metas
            .iter()
            .map(|it| talk::payload_json(&it.payload))
            .collect::<Result<Vec<_>>>()
    };
    Ok(match heard {
        Heard::Joined(reply) => Said::Joined {
            response: talk::payload_json(reply)?,
        },
        Heard::Event(Event { event, payload }) => Said::Event {
            event,
            payload: talk::payload_json(payload)?,
        },
        Heard::Presence(PresenceChange::Joined { key, metas, .. }) => Said::PresenceJoin {
            key,
            metas: shown(metas)?,
        },
        Heard::Presence(PresenceChange::Left { key, metas, .. }) => Said::PresenceLeave {
            key,
            metas: shown(metas)?,
        },
        Heard::Presence(_) => Said::Status {
            status: UNKNOWN_CHANGE,
        },
        Heard::Status(status) => Said::Status { status },
    })
}
