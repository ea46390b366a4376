//! The other side: frames as a client sends them, right or wrong, and what a decoder makes of them.

use bennu_websocket::{Config, Decoder, Event, Inflater};

pub(crate) const FIN: u8 = 0x80;
/// The first reserved bit: the message is compressed.
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const MORE: u8 = 0x00;
pub(crate) const CONT: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A header that declares `len` bytes, whatever follows.
pub(crate) fn header(first: u8, len: u64) -> Vec<u8> {
    let mut header = vec![first];
    match len {
        0..=125 => header.push(0x80 | len as u8),
        126..=0xffff => {
            header.push(0x80 | 126);
            header.extend((len as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(len.to_be_bytes());
        }
    }
    header.extend(MASK);
    header
}

/// A whole frame; `first` is the byte with FIN, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = header(first, payload.len() as u64);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// All that came of some input: events, and the error that ended them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Event<'static>>,
    pub(crate) error: Option<(u16, &'static str)>,
}

/// Feeds `input` in pieces as long as `pieces` says, and the rest in one.
pub(crate) fn feed(
    config: &Config,
    input: &[u8],
    pieces: impl IntoIterator<Item = usize>,
) -> Outcome {
    let mut decoder = Decoder::default();
    let mut inflater = Inflater::default();
    feed_to(&mut decoder, config, &mut inflater, input, pieces)
}

/// The same, with a decoder that has a past or a future.
pub(crate) fn feed_to(
    decoder: &mut Decoder,
    config: &Config,
    inflater: &mut Inflater,
    input: &[u8],
    pieces: impl IntoIterator<Item = usize>,
) -> Outcome {
    let mut outcome = Outcome {
        events: Vec::new(),
        error: None,
    };
    let held_bytes_max = 2 * (decoder.held_bytes() + input.len()) + 256;
    let (mut rest, mut pieces) = (input, pieces.into_iter());
    while !rest.is_empty() && outcome.error.is_none() {
        let (piece, after) = rest.split_at(pieces.next().unwrap_or(rest.len()).min(rest.len()));
        rest = after;
        let mut buffer = piece.to_vec();
        let mut unused = &mut buffer[..];
        loop {
            match decoder.decode(config, inflater, unused) {
                Ok((used, Some(event))) => {
                    outcome.events.push(owned(event));
                    unused = unused.get_mut(used..).expect("no more used than there was");
                }
                Ok((used, None)) if decoder.is_inflating() => {
                    unused = unused.get_mut(used..).expect("no more used than there was");
                }
                Ok((used, None)) => {
                    assert_eq!(
                        used,
                        unused.len(),
                        "without an event everything is taken in"
                    );
                    break;
                }
                Err(error) => {
                    outcome.error = Some((error.code(), error.reason()));
                    assert_eq!(decoder.held_bytes(), 0, "a dead decoder holds nothing");
                    break;
                }
            }
        }
        assert!(!decoder.is_inflating(), "it was asked until it had done so");
        assert!(
            decoder.held_bytes() <= held_bytes_max,
            "memory is bounded by what has come"
        );
    }
    outcome
}

fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Text(text) => Event::Text(text.into_owned().into()),
        Event::Binary(bytes) => Event::Binary(bytes.into_owned().into()),
        Event::Ping(payload) => Event::Ping(payload.into_owned().into()),
        Event::Pong(payload) => Event::Pong(payload.into_owned().into()),
        Event::Close(close) => {
            Event::Close(close.map(|(code, reason)| (code, reason.into_owned().into())))
        }
    }
}

/// Frames make these events and, if anything, this error; and the same in whatever pieces they come.
pub(crate) fn check_with(
    config: &Config,
    frames: &[Vec<u8>],
    events: &[Event<'static>],
    error: Option<(u16, &'static str)>,
) {
    let input = frames.concat();
    let expected = Outcome {
        events: events.to_vec(),
        error,
    };
    assert_eq!(
        feed(config, &input, []),
        expected,
        "in one piece: {input:x?}"
    );
    for len in [1, 2, 3, 5, 7] {
        assert_eq!(
            feed(config, &input, std::iter::repeat(len)),
            expected,
            "in pieces of {len}: {input:x?}"
        );
    }
    for inflate_at_once_bytes in [1, 2, 3, 100] {
        let config = Config {
            inflate_at_once_bytes,
            ..config.clone()
        };
        assert_eq!(
            feed(&config, &input, std::iter::repeat(1_000)),
            expected,
            "inflated in parts of {inflate_at_once_bytes}: {input:x?}"
        );
    }
    let stride = 1 + input.len() / 500;
    for cut in (0..=input.len()).step_by(stride) {
        assert_eq!(
            feed(config, &input, [cut]),
            expected,
            "cut at {cut}: {input:x?}"
        );
    }
    let mut random = Random(input.len() as u64);
    for _ in 0..20 {
        let pieces: Vec<_> = (0..input.len()).map(|_| random.below(12)).collect();
        assert_eq!(
            feed(config, &input, pieces.clone()),
            expected,
            "in {pieces:?}: {input:x?}"
        );
    }
}

pub(crate) fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

pub(crate) fn binary(bytes: impl AsRef<[u8]>) -> Event<'static> {
    Event::Binary(bytes.as_ref().to_vec().into())
}

pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Event<'static> {
    Event::Ping(payload.as_ref().to_vec().into())
}

pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Event<'static> {
    Event::Pong(payload.as_ref().to_vec().into())
}

pub(crate) fn close(code: u16, reason: &str) -> Event<'static> {
    Event::Close(Some((code, reason.to_owned().into())))
}

/// Pseudo-random numbers (splitmix64), the same ones for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
