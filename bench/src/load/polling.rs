//! Long-polling: each client posts its pushes, and then fetches the replies.

use std::time::Duration;

use mio::{Events, Interest, Token};
use serde::Deserialize;

use super::{
    Load, Run, Stopwatch,
    connection::{Connection, spin},
};
use crate::{
    Result,
    frame::{TOPIC, echo_reply_text, echo_text, join_reply_text, join_text},
};

/// A client, and where it stands.
#[derive(Debug)]
struct Session {
    connection: Connection,
    came: Vec<u8>,
    token: String,
    stage: Stage,
    /// Messages of the current exchange that haven't come yet.
    left: usize,
    /// The answer with all replies at once, once it has been looked into.
    known: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begins,
    PostsJoin,
    PollsJoin,
    /// It has joined, or has all of its replies.
    Rests,
    Posts,
    Polls,
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: u16,
    #[serde(default)]
    token: String,
    #[serde(default)]
    messages: Vec<String>,
}

impl Session {
    fn get(&mut self, depth: usize) -> Result<()> {
        let token = match self.token.as_str() {
            "" => String::new(),
            token => format!("x-phoenix-longpoll-token: {token}\r\n"),
        };
        // What `depth` is for: a floor answers with as many replies.
        let head = format!(
            "GET /socket/longpoll?vsn=2.0.0&depth={depth} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n"
        );
        self.connection.write(head.as_bytes())
    }

    fn post(&mut self, body: &str) -> Result<()> {
        let (token, len) = (&self.token, body.len());
        let request = format!(
            "POST /socket/longpoll?vsn=2.0.0 HTTP/1.1\r\nHost: localhost\r\nx-phoenix-longpoll-token: {token}\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {len}\r\n\r\n{body}"
        );
        self.connection.write(request.as_bytes())
    }

    fn echo(&mut self, depth: usize) -> Result<()> {
        self.stage = Stage::Posts;
        self.left = depth;
        self.post(&vec![echo_text(); depth].join("\n"))
    }

    /// Reads what came, and goes on if that is an answer.
    fn read(&mut self, buffer: &mut [u8], depth: usize) -> Result<()> {
        self.connection.read_all(buffer, |bytes| {
            self.came.extend_from_slice(bytes);
            Ok(())
        })?;
        let came = std::mem::take(&mut self.came);
        match body(&came)? {
            Some(body) => self.answered(body, depth),
            None => {
                self.came = came;
                Ok(())
            }
        }
    }

    fn answered(&mut self, body: &str, depth: usize) -> Result<()> {
        if self.stage == Stage::Polls && self.known.as_deref() == Some(body) {
            self.stage = Stage::Rests;
            return Ok(());
        }
        let answer: Answer = serde_json::from_str(body)?;
        let expected = match self.stage {
            Stage::PollsJoin => join_reply_text(TOPIC),
            _ => echo_reply_text(),
        };
        match (self.stage, answer.status) {
            (Stage::Begins, 410) => {
                self.token = answer.token;
                self.stage = Stage::PostsJoin;
                self.left = 1;
                self.post(&join_text(TOPIC, "{}"))
            }
            (Stage::PostsJoin, 200) => {
                self.stage = Stage::PollsJoin;
                self.get(0)
            }
            (Stage::Posts, 200) => {
                self.stage = Stage::Polls;
                self.get(depth)
            }
            (Stage::PollsJoin | Stage::Polls, 200)
                if answer.messages.iter().all(|it| *it == expected) =>
            {
                let came = answer.messages.len();
                if self.stage == Stage::Polls && came == depth {
                    self.known = Some(body.to_owned());
                }
                self.left = self.left.checked_sub(came).ok_or("more came than sent")?;
                if self.left == 0 {
                    self.stage = Stage::Rests;
                    return Ok(());
                }
                self.get(self.left)
            }
            (stage, _) => Err(format!("{stage:?}: found {body:?}").into()),
        }
    }
}

/// The body of a response that is complete.
fn body(came: &[u8]) -> Result<Option<&str>> {
    let came = std::str::from_utf8(came)?;
    let Some((head, body)) = came.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>())
    });
    match length {
        Some(Ok(length)) if head.starts_with("HTTP/1.1 200 ") && body.len() <= length => {
            Ok((body.len() == length).then_some(body))
        }
        _ => Err(format!("expected an answer, found {came:?}").into()),
    }
}

impl Load {
    /// So many sessions post `depth` pushes and fetch their replies, again and again for as long as `time`.
    pub(crate) fn long_poll(
        &mut self,
        sessions: usize,
        depth: usize,
        time: Duration,
    ) -> Result<Run> {
        let mut sessions: Vec<_> = (0..sessions)
            .map(|n| self.begin(n, depth))
            .collect::<Result<_>>()?;
        self.advance(&mut sessions, depth, |_| Ok(()))?;

        for session in &mut sessions {
            session.echo(depth)?;
        }
        let watch = Stopwatch::start(&mut self.control)?;
        let mut messages = 0;
        self.advance(&mut sessions, depth, |session| {
            messages += depth as u64;
            if watch.start.elapsed() < time {
                session.echo(depth)?;
            }
            Ok(())
        })?;
        watch.stop(&mut self.control, messages)
    }

    fn begin(&self, n: usize, depth: usize) -> Result<Session> {
        let mut session = Session {
            connection: Connection::open(self.addr, n, Vec::new())?,
            came: Vec::new(),
            token: String::new(),
            stage: Stage::Begins,
            left: 0,
            known: None,
        };
        let stream = &mut session.connection.stream;
        self.poll
            .registry()
            .register(stream, Token(n), Interest::READABLE)?;
        session.get(depth)?;
        Ok(session)
    }

    /// Goes on until all rest; what is to be done with one that does is up to `rests`.
    fn advance(
        &mut self,
        sessions: &mut [Session],
        depth: usize,
        mut rests: impl FnMut(&mut Session) -> Result<()>,
    ) -> Result<()> {
        let mut busy = sessions.len();
        let mut events = Events::with_capacity(1024);
        while busy > 0 {
            spin(&mut self.poll, &mut events)?;
            for event in &events {
                let Some(session) = sessions.get_mut(event.token().0) else {
                    continue;
                };
                session.read(&mut self.buffer, depth)?;
                if session.stage == Stage::Rests {
                    rests(session)?;
                    busy -= usize::from(session.stage == Stage::Rests);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_its_head_says() {
        let check = |came: &str, expected: Option<&str>| {
            assert_eq!(body(came.as_bytes()).unwrap(), expected);
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some("{}"));
        check("HTTP/1.1 200 OK\r\n", None);
        for came in [
            "HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}}",
            "HTTP/1.1 200 OK\r\n\r\n{}",
        ] {
            assert!(body(came.as_bytes()).is_err(), "{came}");
        }
    }
}
