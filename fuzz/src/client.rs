//! What a client hears.

use bennu_websocket::{Event, client};
use tungstenite::{
    Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use crate::{
    Input,
    websocket::{Said, Wire},
};

const MESSAGE_BYTES_MAX: usize = 4_000;
/// A message between fragments, and a frame, each in a buffer that may be twice as long.
const HELD_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX + 512;

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    messages: Vec<Said>,
    error: Option<u16>,
    closed: bool,
}

/// A server's frames: in pieces they come to the same as in one, memory is bounded, and another implementation hears the
/// same. The bytes as the head of its answer: it's taken whole, refused, or waited for.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let piece = 1 + input.below(64);
    let bytes = input.rest();
    head(bytes, piece);
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(whole, decode(bytes, piece), "in pieces of {piece}");
    if whole.error != Some(1009) {
        let mut theirs = reference(bytes);
        let ours: Vec<_> = whole.messages.iter().filter(|it| it.is_message()).collect();
        if whole.error == Some(1002) {
            // It forgives lengths that aren't in their shortest form, and masks.
            theirs.truncate(ours.len());
        }
        assert_eq!(ours, theirs.iter().collect::<Vec<_>>(), "{whole:?}");
    }
}

fn head(bytes: &[u8], piece: usize) {
    let handshake = client::Handshake::new([7; 16]);
    let whole = handshake.response(bytes);
    if let Ok(Some(length)) = whole {
        assert!(length <= bytes.len());
        assert_eq!(
            handshake.response(bytes.get(..length).unwrap_or_default()),
            Ok(Some(length))
        );
    }
    // What is refused in part isn't taken as a whole.
    let part = bytes.get(..piece).unwrap_or(bytes);
    assert!(handshake.response(part).is_ok() || whole.is_err());
}

fn decode(bytes: &[u8], piece: usize) -> Outcome {
    let mut decoder = client::Decoder::new(MESSAGE_BYTES_MAX);
    let mut outcome = Outcome::default();
    for mut rest in bytes.chunks(piece) {
        loop {
            match decoder.decode(rest) {
                Ok((taken, event)) => {
                    assert!(taken <= rest.len());
                    let Some(event) = event else {
                        assert_eq!(taken, rest.len(), "all of it is taken in");
                        break;
                    };
                    assert!(!outcome.closed && outcome.error.is_none(), "after the end");
                    outcome.closed |= matches!(event, Event::Close(_));
                    outcome.messages.push(Said::from(event));
                    rest = rest.get(taken..).unwrap_or_default();
                }
                Err(error) => {
                    assert!(outcome.error.is_none(), "a second error");
                    outcome.error = Some(error.code());
                    break;
                }
            }
        }
        assert!(decoder.held_bytes() <= HELD_BYTES_MAX);
    }
    if outcome.closed || outcome.error.is_some() {
        assert_eq!(decoder.held_bytes(), 0);
    }
    outcome
}

/// What `tungstenite` hears.
fn reference(bytes: &[u8]) -> Vec<Said> {
    let config = WebSocketConfig::default()
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_message_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), Role::Client, Some(config));
    let mut heard = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => heard.push(Said::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => heard.push(Said::Binary(bytes.to_vec())),
            Ok(Message::Close(_)) | Err(_) => return heard,
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
        }
    }
}
