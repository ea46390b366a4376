//! `bennu push`: one event, and the server's reply.

use std::io::Read as _;

use bennu_client::{Channel, Payload, PushError, Refusal, Socket};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Failure, Result};
use crate::output;
use crate::talk::{self, Talk, show};

/// What is read from standard input; a server takes less.
const INPUT_BYTES_MAX: u64 = 16 << 20;

/// Joins a topic, pushes an event, and prints the reply. Ends with 1 when the reply is an error, or doesn't come.
#[derive(Debug, Args)]
pub(crate) struct Push {
    #[command(flatten)]
    talk: Talk,
    /// The event's name, as in new_msg.
    event: String,
    /// Its payload; - reads it from standard input.
    #[arg(default_value = "{}", value_name = "JSON")]
    payload: String,
    /// Waits for no reply: ends with 0 once it's written, whatever the server makes of it.
    #[arg(long)]
    no_reply: bool,
    /// Prints the reply as a JSON object on one line.
    #[arg(long)]
    json: bool,
}

impl Push {
    pub(crate) fn run(self) -> Result {
        let payload = self.payload()?;
        talk::run(async {
            let socket = self.talk.connect().await?;
            let channel = self.talk.join(&socket, self.talk.channel(&socket)).await?;
            let pushed = self.push(&socket, &channel, &payload).await;
            match self.no_reply {
                // What was pushed is written before the connection is closed.
                true => socket.disconnect().await,
                false => talk::goodbye(socket.disconnect()).await,
            }
            pushed
        })
    }

    async fn push(&self, socket: &Socket, channel: &Channel, payload: &RawValue) -> Result {
        let (event, topic) = (&self.event, &self.talk.topic);
        let failed =
            |what: &str| Failure::new(format_args!("failed to push {event} to {topic}: {what}"));
        if self.no_reply {
            return channel
                .cast(event, payload)
                .map_err(|error| failed(&talk::why_lost(&error, channel, socket)));
        }
        let timeout = self.talk.timeout();
        match channel.push_for(timeout, event, payload).await {
            Ok(response) => self.print("ok", &response),
            Err(PushError::Refused(Refusal { status, response })) => {
                self.print(&status, &response)?;
                // A status of the application's own is no failure of ours to judge.
                match &*status {
                    "error" => Err(failed("the server replied with an error")),
                    _ => Ok(()),
                }
            }
            Err(PushError::Timeout) => Err(failed(&format!(
                "no reply came within {} s; --timeout waits longer, --no-reply not at all",
                timeout.as_secs()
            ))),
            Err(error) => Err(failed(&talk::why_lost(&error, channel, socket))),
        }
    }

    fn print(&self, status: &str, response: &Payload) -> Result {
        if self.json {
            let response = talk::payload_json(response)?;
            output::json(&Reply {
                status,
                response: &response,
            })?;
            return Ok(());
        }
        let colours = show::Colours::of_stdout();
        let response = show::payload(response);
        match status {
            "ok" => output::line(format_args!("{}{response}", colours.green(status)))?,
            _ => output::line(format_args!("{}{response}", colours.red(status)))?,
        };
        Ok(())
    }

    fn payload(&self) -> Result<Box<RawValue>> {
        let text = match &*self.payload {
            "-" => {
                let (mut text, mut input) = (
                    String::new(),
                    std::io::stdin().lock().take(INPUT_BYTES_MAX + 1),
                );
                input.read_to_string(&mut text).map_err(|error| {
                    Failure::new(format_args!("failed to read standard input: {error}"))
                })?;
                if text.len() as u64 > INPUT_BYTES_MAX {
                    return Err(Failure::usage("a payload has at most 16 MiB"));
                }
                text
            }
            text => text.to_owned(),
        };
        serde_json::from_str(text.trim()).map_err(|error| {
            Failure::usage(format_args!(
                "the payload is no JSON ({error}); quote it for the shell, as in '{{\"body\": \"hi\"}}'"
            ))
        })
    }
}

#[derive(Serialize)]
struct Reply<'a> {
    status: &'a str,
    response: &'a RawValue,
}
