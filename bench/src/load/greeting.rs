//! How clients connect and join: what each sends, and what has to come before it goes on.

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    frame::{
        ACCEPT, CROWD, Dialect, TOPIC, first_text, join_reply_text, join_text, masked, plain, topic,
    },
};

/// The head of a response that has no end in so many bytes is none.
const HEAD_BYTES_MAX: usize = 4096;

/// What clients do when they connect.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) dialect: Dialect,
    pub(crate) joins: Joins,
}

/// What they join.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Joins {
    /// Nothing, and they don't upgrade: the other side is a floor.
    Silent,
    /// Nothing, but they upgrade.
    Upgrade,
    /// The same so many topics.
    Shared(usize),
    /// A topic each of their own.
    Own,
    /// One shared topic; and they are known by an id.
    Id,
    /// The presence scenario's topic, without being present.
    Watch,
}

/// What is sent, and then awaited.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) send: Vec<u8>,
    pub(crate) awaits: Awaits,
}

#[derive(Debug)]
pub(crate) enum Awaits {
    /// The head of a response that upgrades to a WebSocket, and proves that the key was read.
    Upgraded,
    /// A text frame that begins so.
    Frame(&'static str),
    Exactly(Vec<u8>),
}

/// The `n`th client's steps.
pub(crate) fn greeting(Hello { dialect, joins }: Hello, n: usize) -> Vec<Step> {
    let step = |send, awaits| Step { send, awaits };
    let user = matches!(joins, Joins::Id).then_some(n);
    let mut steps = match (dialect, joins) {
        (_, Joins::Silent) => return Vec::new(),
        (Dialect::Channels, _) => vec![step(dialect.upgrade(user), Awaits::Upgraded)],
        (Dialect::SocketIo, _) => vec![
            step(dialect.upgrade(user), Awaits::Upgraded),
            step(Vec::new(), Awaits::Frame(r#"0{"sid":""#)),
            // The first ping comes unasked, and wants its pong before anything else is said.
            step(Vec::new(), Awaits::Exactly(plain("2"))),
            step(
                [masked("3"), masked("40")].concat(),
                Awaits::Frame(r#"40{"sid":""#),
            ),
        ],
    };
    let topics: Vec<String> = match joins {
        Joins::Silent | Joins::Upgrade => return steps,
        Joins::Watch => {
            let send = masked(&join_text(CROWD, r#"{"watch":true}"#));
            let awaits = plain(&join_reply_text(CROWD));
            steps.push(step(send, Awaits::Exactly(awaits)));
            return steps;
        }
        Joins::Id => vec![TOPIC.to_owned()],
        Joins::Shared(topics) => (0..topics).map(topic).collect(),
        Joins::Own => vec![topic(n)],
    };
    let send = topics.iter().flat_map(|it| dialect.join(it)).collect();
    let awaits = topics.iter().flat_map(|it| dialect.join_reply(it));
    steps.push(step(send, Awaits::Exactly(awaits.collect())));
    steps
}

impl Awaits {
    /// How many of the bytes that came are what is awaited; `None` while it isn't complete.
    pub(crate) fn met(&self, came: &[u8]) -> Result<Option<usize>> {
        let met = match self {
            Self::Upgraded => match came.windows(4).position(|it| it == b"\r\n\r\n") {
                Some(end) => Some((end + 4, came.get(..end).is_some_and(upgrades))),
                None if came.len() > HEAD_BYTES_MAX => Some((0, false)),
                None => None,
            },
            Self::Frame(start) => first_text(came)?
                .map(|(text, rest)| (came.len() - rest.len(), text.starts_with(start))),
            Self::Exactly(expected) => came
                .get(..expected.len())
                .map(|it| (expected.len(), it == expected)),
        };
        match met {
            None => Ok(None),
            Some((len, true)) => Ok(Some(len)),
            Some((_, false)) => {
                let came = String::from_utf8_lossy(came);
                Err(format!("expected {self:?}, found {came:?}").into())
            }
        }
    }
}

/// Whether a head is what RFC 6455 section 4.1 asks of a server's.
fn upgrades(head: &[u8]) -> bool {
    let mut lines = head.split(|it| *it == b'\n').map(<[u8]>::trim_ascii_end);
    let is_101 = lines
        .next()
        .is_some_and(|it| it.starts_with(b"HTTP/1.1 101 "));
    let (mut connection, mut upgrade, mut accept) = (false, false, 0);
    for line in lines {
        let Some(colon) = line.iter().position(|it| *it == b':') else {
            return false;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"connection") {
            let mut tokens = value.split(|it| *it == b',').map(<[u8]>::trim_ascii);
            connection |= tokens.any(|it| it.eq_ignore_ascii_case(b"upgrade"));
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade |= value.eq_ignore_ascii_case(b"websocket");
        } else if name.eq_ignore_ascii_case(b"sec-websocket-accept") {
            if value != ACCEPT.as_bytes() {
                return false;
            }
            accept += 1;
        }
    }
    is_101 && connection && upgrade && accept == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_answered_as_the_rfc_asks() {
        let right = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\nx: y\r\n\r\n"
        );
        let met = |came: &str| Awaits::Upgraded.met(came.as_bytes());
        for end in 0..right.len() {
            assert_eq!(met(&right[..end]).unwrap(), None, "{end}");
        }
        let frame = format!("{right}\u{1}");
        assert_eq!(met(&frame).unwrap(), Some(right.len()));
        let wrong = |from: &str, to: &str| {
            let came = right.replacen(from, to, 1);
            assert_ne!(came, right);
            assert!(met(&came).is_err(), "{came}");
        };
        wrong("101 Switching Protocols", "403 Forbidden");
        wrong("HTTP/1.1", "HTTP/1.0");
        wrong("HTTP/1.1 101 Switching Protocols\r\n", "");
        wrong("Accept: s3pP", "Accept: S3pP");
        wrong("+xOo=\r\n", "+xOo=, x\r\n");
        wrong("Sec-WebSocket-Accept", "Sec-WebSocket-Key");
        wrong("x: y", &format!("sec-websocket-accept: {ACCEPT}"));
        wrong("Upgrade: WebSocket", "Upgrade: h2c");
        wrong("keep-alive, Upgrade", "keep-alive");
        wrong("x: y", "x y");
        wrong("\r\n\r\n", &"y".repeat(HEAD_BYTES_MAX));
    }

    #[test]
    fn what_is_awaited_is_met_by_its_last_byte() {
        let check = |awaits: &Awaits, came: &[u8], expected: Option<usize>| {
            assert_eq!(awaits.met(came).unwrap(), expected);
        };
        check(&Awaits::Frame("40{"), &plain("40{}"), Some(6));
        check(&Awaits::Exactly(vec![1, 2]), &[1], None);
        check(&Awaits::Exactly(vec![1, 2]), &[1, 2, 3], Some(2));
        for (awaits, came) in [
            (Awaits::Frame("40{"), &plain("44{}")[..]),
            (Awaits::Exactly(vec![1, 2]), &[1, 3]),
        ] {
            assert!(awaits.met(came).is_err());
        }
    }

    #[test]
    fn clients_of_each_dialect_join_what_they_are_told_to() {
        let steps = |dialect, joins| greeting(Hello { dialect, joins }, 7).len();
        assert_eq!(steps(Dialect::Channels, Joins::Silent), 0);
        assert_eq!(steps(Dialect::Channels, Joins::Upgrade), 1);
        assert_eq!(steps(Dialect::Channels, Joins::Shared(5)), 2);
        assert_eq!(steps(Dialect::SocketIo, Joins::Shared(5)), 5);
    }
}
