//! Frames and messages as bytes, made by hand: the client costs next to nothing, and the floor needs no codec.

/// What every client masks with. Not zero, so that a server has to do the work.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The event that is broadcast, and the 100 bytes of its payload: `{"body":"..."}`.
pub(crate) const EVENT: &str = "new_msg";
const BROADCAST_BODY_BYTES: usize = 89;
/// Makes a push of 64 bytes.
const ECHO_BODY_BYTES: usize = 21;

/// The frames of a push to be echoed, and of its reply.
pub(crate) const ECHO_BYTES: usize = 6 + 64;
pub(crate) const ECHO_REPLY_BYTES: usize = 2 + 96;

/// The topic that everybody joins, unless there are several.
pub(crate) const TOPIC: &str = "room:0000000";

/// The request of a client that upgrades to serializer V2.
pub(crate) fn upgrade(user: Option<usize>) -> String {
    let user = user.map_or_else(String::new, |it| format!("&user={it}"));
    format!(
        "GET /socket/websocket?vsn=2.0.0{user} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bennu-bench\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The `n`th topic. All are of one length, so all frames of a kind are too.
pub(crate) fn topic(n: usize) -> String {
    format!("room:{n:07}")
}

pub(crate) fn join(topic: &str) -> Vec<u8> {
    masked(&format!(r#"["1","1","{topic}","phx_join",{{}}]"#))
}

pub(crate) fn join_reply(topic: &str) -> Vec<u8> {
    plain(&format!(
        r#"["1","1","{topic}","phx_reply",{{"status":"ok","response":{{}}}}]"#
    ))
}

/// A push whose text is 64 bytes long.
pub(crate) fn echo() -> Vec<u8> {
    let body = "x".repeat(ECHO_BODY_BYTES);
    masked(&format!(
        r#"["1","9","{TOPIC}","echo",{{"body":"{body}"}}]"#
    ))
}

pub(crate) fn echo_reply() -> Vec<u8> {
    let body = "x".repeat(ECHO_BODY_BYTES);
    plain(&format!(
        r#"["1","9","{TOPIC}","phx_reply",{{"status":"ok","response":{{"body":"{body}"}}}}]"#
    ))
}

/// The value under `body` of what is broadcast.
pub(crate) fn broadcast_body() -> String {
    "x".repeat(BROADCAST_BODY_BYTES)
}

/// A broadcast as each subscriber of `topic` gets it.
pub(crate) fn broadcast(topic: &str) -> Vec<u8> {
    let body = broadcast_body();
    plain(&format!(
        r#"[null,null,"{topic}","{EVENT}",{{"body":"{body}"}}]"#
    ))
}

/// A text frame from a server.
fn plain(text: &str) -> Vec<u8> {
    let mut frame = header(text.len(), 0);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A text frame from a client.
fn masked(text: &str) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_64_bytes_of_text() {
        assert_eq!(echo().len(), ECHO_BYTES);
        assert_eq!(echo_reply().len(), ECHO_REPLY_BYTES);
    }

    #[test]
    fn a_broadcast_carries_100_bytes_of_payload() {
        let text = r#"[null,null,"room:0000000","new_msg",]"#;
        assert_eq!(broadcast(TOPIC).len(), 4 + text.len() + 100);
    }
}
