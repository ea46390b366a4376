//! How clients connect and join: what each sends, and what has to come before it goes on.

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    frame::{CROWD, Dialect, TOPIC, first_text, join_reply_text, join_text, masked, plain, topic},
};

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
            Self::Upgraded => {
                let end = came.windows(4).position(|it| it == b"\r\n\r\n");
                end.map(|it| (it + 4, came.starts_with(b"HTTP/1.1 101 ")))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_is_met_by_its_last_byte() {
        let check = |awaits: &Awaits, came: &[u8], expected: Option<usize>| {
            assert_eq!(awaits.met(came).unwrap(), expected);
        };
        let response = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        check(&Awaits::Upgraded, &response[..35], None);
        check(&Awaits::Upgraded, response, Some(36));
        check(&Awaits::Frame("40{"), &plain("40{}"), Some(6));
        check(&Awaits::Exactly(vec![1, 2]), &[1], None);
        check(&Awaits::Exactly(vec![1, 2]), &[1, 2, 3], Some(2));
        for (awaits, came) in [
            (Awaits::Upgraded, &b"HTTP/1.1 403 Forbidden\r\n\r\n"[..]),
            (Awaits::Frame("40{"), &plain("44{}")),
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
