//! Frames and messages as bytes, made by hand: the client costs next to nothing, and the floor needs no codec.

use serde::{Deserialize, Serialize};

/// What every client masks with. Not zero, so that a server has to do the work.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The event that is broadcast. Its payload is `{"body":"..."}`.
pub(crate) const EVENT: &str = "new_msg";
/// What a payload is beside its body.
const AROUND_BODY_BYTES: usize = r#"{"body":""}"#.len();
/// Makes a push of 64 bytes.
const ECHO_BODY_BYTES: usize = 21;

/// The payload of a broadcast, where nothing else is said.
pub(crate) const PAYLOAD_BYTES: usize = 100;

/// The frames of a push to be echoed, and of its reply, among channels.
pub(crate) const ECHO_BYTES: usize = 6 + 64;
pub(crate) const ECHO_REPLY_BYTES: usize = 2 + 96;

/// The topic that everybody joins, unless there are several.
pub(crate) const TOPIC: &str = "room:0000000";
/// The topic of the presence scenario: who joins with `{"watch":true}` subscribes, who joins otherwise is present.
pub(crate) const CROWD: &str = "crowd:000000";

/// The protocol around the same payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Dialect {
    /// Phoenix's, serializer V2.
    Channels,
    /// Socket.IO's, revision 5, over a WebSocket from the start.
    SocketIo,
}

/// The request of a client that upgrades, without the two line breaks at its end.
const HEAD: &str = "Host: localhost\r\nUser-Agent: bennu-bench\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
/// What a server makes of that key, by RFC 6455 section 1.3, where both are the example.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Dialect {
    pub(crate) fn upgrade(self, user: Option<usize>) -> Vec<u8> {
        let target = match self {
            Self::Channels => "/socket/websocket?vsn=2.0.0",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        };
        let user = user.map_or_else(String::new, |it| format!("&user={it}"));
        format!("GET {target}{user} HTTP/1.1\r\n{HEAD}\r\n\r\n").into_bytes()
    }

    /// A push that is to be echoed.
    pub(crate) fn echo(self) -> Vec<u8> {
        let body = "x".repeat(ECHO_BODY_BYTES);
        masked(&match self {
            Self::Channels => echo_text(),
            Self::SocketIo => format!(r#"429["echo",{{"body":"{body}"}}]"#),
        })
    }

    pub(crate) fn echo_reply(self) -> Vec<u8> {
        let body = "x".repeat(ECHO_BODY_BYTES);
        plain(&match self {
            Self::Channels => echo_reply_text(),
            Self::SocketIo => format!(r#"439[{{"body":"{body}"}}]"#),
        })
    }

    /// A broadcast as each subscriber gets it.
    pub(crate) fn broadcast(self, payload_bytes: usize) -> Vec<u8> {
        let body = body(payload_bytes);
        plain(&match self {
            Self::Channels => {
                format!(r#"[null,null,"{TOPIC}","{EVENT}",{{"body":"{body}"}}]"#)
            }
            Self::SocketIo => format!(r#"42["{EVENT}",{{"body":"{body}"}}]"#),
        })
    }

    pub(crate) fn join(self, topic: &str) -> Vec<u8> {
        masked(&match self {
            Self::Channels => join_text(topic, "{}"),
            Self::SocketIo => format!(r#"421["join","{topic}"]"#),
        })
    }

    pub(crate) fn join_reply(self, topic: &str) -> Vec<u8> {
        plain(&match self {
            Self::Channels => join_reply_text(topic),
            Self::SocketIo => r#"431["ok"]"#.to_owned(),
        })
    }
}

/// The `n`th topic. All are of one length, so all frames of a kind are too.
pub(crate) fn topic(n: usize) -> String {
    format!("room:{n:07}")
}

/// The value under `body` of a payload of so many bytes.
pub(crate) fn body(payload_bytes: usize) -> String {
    "x".repeat(payload_bytes.saturating_sub(AROUND_BODY_BYTES))
}

pub(crate) fn join_text(topic: &str, payload: &str) -> String {
    format!(r#"["1","1","{topic}","phx_join",{payload}]"#)
}

pub(crate) fn join_reply_text(topic: &str) -> String {
    format!(r#"["1","1","{topic}","phx_reply",{{"status":"ok","response":{{}}}}]"#)
}

/// A push whose text is 64 bytes long.
pub(crate) fn echo_text() -> String {
    let body = "x".repeat(ECHO_BODY_BYTES);
    format!(r#"["1","9","{TOPIC}","echo",{{"body":"{body}"}}]"#)
}

pub(crate) fn echo_reply_text() -> String {
    let body = "x".repeat(ECHO_BODY_BYTES);
    format!(r#"["1","9","{TOPIC}","phx_reply",{{"status":"ok","response":{{"body":"{body}"}}}}]"#)
}

/// A text frame from a server.
pub(crate) fn plain(text: &str) -> Vec<u8> {
    let mut frame = header(text.len(), 0);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A text frame from a client.
pub(crate) fn masked(text: &str) -> Vec<u8> {
    let mut frame = header(text.len(), 0x80);
    frame.extend_from_slice(&MASK);
    frame.extend(
        text.bytes()
            .zip(MASK.iter().cycle())
            .map(|(it, mask)| it ^ mask),
    );
    frame
}

fn header(len: usize, mask: u8) -> Vec<u8> {
    match u8::try_from(len) {
        Ok(len @ ..126) => vec![0x81, len | mask],
        _ => {
            let [.., high, low] = len.to_be_bytes();
            vec![0x81, 126 | mask, high, low]
        }
    }
}

/// The text of the frame that a server's bytes begin with, and what comes behind it; `None` while it isn't complete.
pub(crate) fn first_text(bytes: &[u8]) -> Result<Option<(&str, &[u8])>, String> {
    let (len, rest) = match bytes {
        [0x81, 127, rest @ ..] => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest),
            None => return Ok(None),
        },
        [0x81, 126, high, low, rest @ ..] => (u64::from(u16::from_be_bytes([*high, *low])), rest),
        [0x81, 126, ..] | [0x81] | [] => return Ok(None),
        [0x81, len @ ..126, rest @ ..] => (u64::from(*len), rest),
        other => {
            let other = other.get(..2).unwrap_or(other);
            return Err(format!("expected a text frame, found {other:?}"));
        }
    };
    let len = usize::try_from(len).map_err(|error| error.to_string())?;
    let Some((text, rest)) = rest.split_at_checked(len) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    Ok(Some((text, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_64_bytes_of_text() {
        assert_eq!(Dialect::Channels.echo().len(), ECHO_BYTES);
        assert_eq!(Dialect::Channels.echo_reply().len(), ECHO_REPLY_BYTES);
    }

    #[test]
    fn a_broadcast_carries_as_many_bytes_of_payload_as_are_asked_for() {
        let check = |dialect: Dialect, bytes: usize, around: &str| {
            let expected = 4 + around.len() + bytes;
            assert_eq!(dialect.broadcast(bytes).len(), expected, "{dialect:?}");
        };
        let around = r#"[null,null,"room:0000000","new_msg",]"#;
        check(Dialect::Channels, 100, around);
        check(Dialect::Channels, 4096, around);
        check(Dialect::SocketIo, 4096, r#"42["new_msg",]"#);
    }

    #[test]
    fn a_frame_is_found_once_it_is_complete() {
        let check = |bytes: &[u8], expected: Option<(&str, &[u8])>| {
            assert_eq!(first_text(bytes).unwrap(), expected);
        };
        for len in [0, 125, 126, 4096] {
            let text = "x".repeat(len);
            let mut frame = plain(&text);
            for end in 0..frame.len() {
                check(&frame[..end], None);
            }
            frame.push(7);
            check(&frame, Some((&text, &[7])));
        }
        let large = [&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], &[b'x'; 65536][..]].concat();
        check(&large, Some((&"x".repeat(65536), &[])));
        check(&large[..9], None);
        assert!(first_text(&[0x88, 0]).is_err());
    }
}
