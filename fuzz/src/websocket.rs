//! RFC 6455's frames and RFC 7692's compression.

use std::io::{self, Read, Write};

use bennu_websocket::{Config, Decoder, Event, Inflater};
use tungstenite::{
    Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use crate::Input;

const CONFIG: Config = Config {
    frame_bytes_max: 5_000,
    message_bytes_max: 4_000,
    deflate: false,
    inflated_bytes_max: 100_000,
    inflation_ratio_max: 25,
    inflate_at_once_bytes: usize::MAX,
    empty_fragments_max: 4,
};

/// What the decoder may hold: a message between fragments or a frame, in a buffer that may be twice as long.
const HELD_BYTES_MAX: usize = 2 * 5_000 + 512;

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    messages: Vec<Said>,
    /// Code of the error.
    error: Option<u16>,
    closed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// In pieces it comes to the same as in one, memory is bounded, and another implementation hears the same messages.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (options, piece) = (input.byte(), 1 + input.below(64));
    let config = Config {
        deflate: options & 1 == 1,
        ..CONFIG
    };
    let bytes = input.rest();
    let whole = decode(&config, bytes, bytes.len().max(1));
    let in_parts = Config {
        inflate_at_once_bytes: piece,
        ..config
    };
    let pieces = decode(&in_parts, bytes, piece);
    assert_eq!(whole, pieces, "in pieces of {piece}");
    // The other one knows no compression, and has other limits.
    if !config.deflate && !matches!(whole.error, Some(1008 | 1009)) {
        let mut theirs = reference(bytes);
        let ours: Vec<_> = whole.messages.iter().filter(|it| it.is_message()).collect();
        if whole.error == Some(1002) {
            // It forgives lengths that aren't in their shortest form.
            theirs.truncate(ours.len());
        }
        assert_eq!(ours, theirs.iter().collect::<Vec<_>>(), "{whole:?}");
    }
}

/// Whatever is to be inflated, there are limits to what comes out.
pub(crate) fn inflate(bytes: &[u8]) {
    let config = Config {
        deflate: true,
        ..CONFIG
    };
    let mut inflater = Inflater::default();
    let first = inflater.inflate(&config, bytes);
    if let Ok(inflated) = &first {
        assert!(inflated.len() <= config.inflated_bytes_max);
    }
    // It keeps nothing between messages.
    assert_eq!(first, inflater.inflate(&config, bytes));
}

fn decode(config: &Config, bytes: &[u8], piece: usize) -> Outcome {
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
    let mut outcome = Outcome::default();
    for piece in bytes.chunks(piece) {
        // Payloads are unmasked in place.
        let mut piece = piece.to_vec();
        let mut rest = piece.as_mut_slice();
        loop {
            let length = rest.len();
            match decoder.decode(config, &mut inflater, rest) {
                Ok((taken, event)) => {
                    assert!(taken <= length);
                    let Some(event) = event else {
                        if decoder.is_inflating() {
                            rest = match std::mem::take(&mut rest).split_at_mut_checked(taken) {
                                Some((_, rest)) => rest,
                                None => break,
                            };
                            continue;
                        }
                        assert_eq!(taken, length, "all of it is taken in");
                        break;
                    };
                    assert!(!outcome.closed && outcome.error.is_none(), "after the end");
                    let said = Said::from(event);
                    outcome.closed |= matches!(said, Said::Close(_));
                    outcome.messages.push(said);
                    rest = match std::mem::take(&mut rest).split_at_mut_checked(taken) {
                        Some((_, rest)) => rest,
                        None => break,
                    };
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
    outcome
}

impl Said {
    pub(crate) fn is_message(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Binary(_))
    }
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.into_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.into_owned()),
            Event::Ping(bytes) => {
                assert!(bytes.len() <= 125);
                Self::Ping(bytes.into_owned())
            }
            Event::Pong(bytes) => {
                assert!(bytes.len() <= 125);
                Self::Pong(bytes.into_owned())
            }
            Event::Close(close) => Self::Close(close.map(|(code, why)| (code, why.into_owned()))),
        }
    }
}

/// What `tungstenite` hears.
fn reference(bytes: &[u8]) -> Vec<Said> {
    let config = WebSocketConfig::default()
        .max_frame_size(Some(CONFIG.frame_bytes_max))
        .max_message_size(Some(CONFIG.message_bytes_max));
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), Role::Server, Some(config));
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

/// Bytes to read; what is written is lost.
pub(crate) struct Wire<'a>(pub(crate) &'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
