//! Joins of a topic where many are present: who joins is told of all, and all are told of who joins.

use std::{
    thread,
    time::{Duration, Instant},
};

use mio::Events;
use serde::{Deserialize, Serialize};

use super::{Clients, Load, Run, Stopwatch, connection::spin};
use crate::{
    Result,
    control::Command,
    frame::{CROWD, Dialect, first_text, join_reply_text, join_text, masked},
    load::{Hello, Joins},
};

/// Changes among many are gathered for 250 ms before they are told.
const TOLD_LATE: Duration = Duration::from_millis(400);

/// What joins came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Crowded {
    /// Until everybody had heard of every join.
    pub(crate) run: Run,
    /// From each join to its `presence_state`, in microseconds.
    pub(crate) join_us: Vec<f64>,
}

/// What a connection has heard so far.
#[derive(Debug, Default)]
struct Heard {
    /// A frame that isn't complete yet.
    came: Vec<u8>,
    replies: usize,
    /// Presences in its `presence_state`.
    state: Option<usize>,
    /// Joiners in the diffs that came.
    joins: usize,
}

impl Heard {
    fn hear(&mut self) -> Result<()> {
        let mut came = self.came.as_slice();
        while let Some((text, rest)) = first_text(came)? {
            came = rest;
            let presences = text.matches(r#""phx_ref":"#).count();
            if text == join_reply_text(CROWD) {
                self.replies += 1;
            } else if text.contains(r#","presence_state",{"#) {
                self.state = Some(presences);
            } else if text.contains(r#","presence_diff",{"#) {
                self.joins += text.matches(r#""joiner:"#).count();
            } else {
                return Err(format!("expected presences, found {text:?}").into());
            }
        }
        let rest = came.len();
        self.came.drain(..self.came.len() - rest);
        Ok(())
    }
}

impl Load {
    /// Has `members` be present, connects as many who watch them, and lets `joiners` join, each when the last has heard
    /// who is there.
    pub(crate) fn join_crowd(&mut self, members: usize, joiners: usize) -> Result<Crowded> {
        self.control.send(Command::Crowd(members))?;
        // Answered only when they are there. Who watches isn't to hear of that.
        self.control.cpu_ns()?;
        thread::sleep(TOLD_LATE);
        for (count, joins) in [(members, Joins::Watch), (joiners, Joins::Upgrade)] {
            let dialect = Dialect::Channels;
            let hello = Hello { dialect, joins };
            self.connect(Clients { count, hello })?;
        }
        let mut heard: Vec<Heard> = Vec::new();
        heard.resize_with(self.connections.len(), Heard::default);

        let join = masked(&join_text(CROWD, "{}"));
        let watch = Stopwatch::start(&mut self.control)?;
        let mut join_us = Vec::new();
        for (at, before) in (members..members + joiners).zip(members..) {
            let start = Instant::now();
            let joiner = self.connections.get_mut(at).ok_or("nobody is there")?;
            joiner.write(&join)?;
            let state = loop {
                match heard.get(at).map(|it| (it.replies, it.state)) {
                    Some((1, Some(state))) => break state,
                    _ => self.hear(&mut heard)?,
                }
            };
            join_us.push(start.elapsed().as_nanos() as f64 / 1e3);
            if state != before + 1 {
                let expected = before + 1;
                return Err(format!("expected {expected} to be present, found {state}").into());
            }
        }
        while heard.iter().take(members).any(|it| it.joins < joiners) {
            self.hear(&mut heard)?;
        }
        let run = watch.stop(&mut self.control, joiners as u64)?;
        if heard.iter().take(members).any(|it| it.joins > joiners) {
            return Err("somebody heard of more joins than there were".into());
        }
        Ok(Crowded { run, join_us })
    }

    /// Reads what came to anybody.
    fn hear(&mut self, heard: &mut [Heard]) -> Result<()> {
        let mut events = Events::with_capacity(4096);
        spin(&mut self.poll, &mut events)?;
        for event in &events {
            let at = event.token().0;
            if let (Some(connection), Some(heard)) =
                (self.connections.get_mut(at), heard.get_mut(at))
            {
                connection.read_all(&mut self.buffer, |bytes| {
                    heard.came.extend_from_slice(bytes);
                    Ok(())
                })?;
                heard.hear()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::plain;

    #[test]
    fn who_is_present_and_who_joins_is_counted() {
        let meta = r#"{"metas":[{"phx_ref":"a"}]}"#;
        let state = format!(
            r#"["1",null,"{CROWD}","presence_state",{{"member:0":{meta},"joiner:0":{meta}}}]"#
        );
        let diff = format!(
            r#"[null,null,"{CROWD}","presence_diff",{{"joins":{{"joiner:1":{meta}}},"leaves":{{}}}}]"#
        );
        let frames = [join_reply_text(CROWD), state, diff].map(|it| plain(&it));
        let mut heard = Heard::default();
        // However it's cut.
        for byte in frames.concat() {
            heard.came.push(byte);
            heard.hear().unwrap();
        }
        let counts = (heard.replies, heard.state, heard.joins);
        assert_eq!(counts, (1, Some(2), 1));
        assert!(heard.came.is_empty());

        heard.came = plain(r#"[null,null,"room:1","new_msg",{}]"#);
        assert!(heard.hear().is_err());
    }
}
