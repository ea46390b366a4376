//! Whatever comes, the decoder neither panics nor holds more than it was sent, and pieces make no difference.

use bennu_websocket::{Config, Decoder, Deflate, Inflater};
use http::{HeaderMap, HeaderValue, header};

use crate::client::*;

const CONFIG: Config = Config {
    frame_bytes_max: 5000,
    message_bytes_max: 4000,
    deflate: true,
    inflated_bytes_max: 100_000,
    inflation_ratio_max: 25,
    inflate_at_once_bytes: usize::MAX,
    empty_fragments_max: 4,
};

/// In one piece and in many it comes to the same, and memory stays within the limits.
fn check(random: &mut Random, input: &[u8]) -> Outcome {
    let whole = feed(&CONFIG, input, []);
    let pieces: Vec<_> = (0..input.len()).map(|_| 1 + random.below(40)).collect();
    let config = Config {
        inflate_at_once_bytes: 1 + random.below(100),
        ..CONFIG
    };
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
    let mut outcome = Outcome {
        events: Vec::new(),
        error: None,
    };
    let mut rest = input;
    for len in pieces {
        let (piece, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        let piece = feed_to(&mut decoder, &config, &mut inflater, piece, []);
        outcome.events.extend(piece.events);
        outcome.error = outcome.error.or(piece.error);
        // A message of up to 4000 bytes between fragments, or a frame of up to 5000, in a buffer that may be twice that.
        assert!(
            decoder.held_bytes() <= 2 * 5000 + 512,
            "{} bytes held",
            decoder.held_bytes()
        );
    }
    assert_eq!(outcome, whole, "{input:x?}");
    outcome
}

/// How often each outcome was seen, so that a test can tell that it gets anywhere.
#[derive(Default, Debug)]
struct Seen {
    events: usize,
    codes: std::collections::BTreeMap<u16, usize>,
}

impl Seen {
    fn add(&mut self, outcome: &Outcome) {
        self.events += outcome.events.len();
        *self
            .codes
            .entry(outcome.error.map_or(0, |(code, _)| code))
            .or_default() += 1;
    }
}

#[test]
fn random_bytes_are_refused_sooner_or_later() {
    let mut random = Random(1);
    let mut seen = Seen::default();
    for _ in 0..1500 {
        let len = random.below(300);
        let input = random.bytes(len);
        seen.add(&check(&mut random, &input));
    }
    assert!(seen.codes[&1002] > 1250, "{seen:?}");
}

#[test]
fn random_frames_are_messages_or_refused() {
    let mut random = Random(2);
    let mut seen = Seen::default();
    for _ in 0..1500 {
        let mut input = Vec::new();
        for _ in 0..random.below(12) {
            let opcode =
                [TEXT, TEXT, BINARY, CONT, CONT, CONT, PING, PONG, CLOSE, 0x5][random.below(10)];
            let fin = if opcode >= CLOSE || random.below(2) == 0 {
                FIN
            } else {
                MORE
            };
            let rsv1 = if opcode < CLOSE && opcode != CONT && random.below(4) == 0 {
                RSV1
            } else {
                0
            };
            let len = [0, 1, 2, 7, 125, 126, 1500, 4500][random.below(8)];
            let len = if opcode >= CLOSE { len.min(125) } else { len };
            let payload = match random.below(3) {
                0 => random.bytes(len),
                1 => vec![b'x'; len],
                _ => "é€😀".bytes().cycle().take(len).collect(),
            };
            input.extend(frame(fin | rsv1 | opcode, payload));
        }
        seen.add(&check(&mut random, &input));
    }
    assert!(seen.events > 500, "{seen:?}");
    for code in [0, 1002, 1007, 1009] {
        assert!(seen.codes.contains_key(&code), "{code} in {seen:?}");
    }
}

#[test]
fn right_input_with_wrong_bytes_is_survived() {
    let mut random = Random(3);
    let right = [
        frame(FIN | TEXT, "κόσμε"),
        frame(MORE | BINARY, [1; 200]),
        frame(FIN | PING, "?"),
        frame(FIN | CONT, [2; 300]),
        frame(
            FIN | RSV1 | TEXT,
            [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        ),
        frame(FIN | CLOSE, b"\x03\xe8bye"),
    ]
    .concat();
    assert_eq!(feed(&CONFIG, &right, []).events.len(), 5);
    let mut seen = Seen::default();
    for _ in 0..2500 {
        let mut input = right.clone();
        for _ in 0..=random.below(3) {
            let index = random.below(input.len());
            input[index] = random.next() as u8;
        }
        if random.below(4) == 0 {
            input.truncate(random.below(input.len()));
        }
        seen.add(&check(&mut random, &input));
    }
    for code in [0, 1002, 1007, 1009] {
        assert!(seen.codes.contains_key(&code), "{code} in {seen:?}");
    }
}

#[test]
fn random_deflated_data_inflates_or_is_refused() {
    let mut random = Random(4);
    let mut inflater = Inflater::default();
    let mut seen = Seen::default();
    for _ in 0..2500 {
        let len = random.below(60);
        let payload = random.bytes(len);
        let result = inflater.inflate(&CONFIG, &payload);
        let error = result
            .as_ref()
            .err()
            .map(|error| (error.code(), error.reason()));
        seen.add(&Outcome {
            events: Vec::new(),
            error,
        });
        assert!(result.is_err() || result.is_ok_and(|bytes| bytes.len() <= 65_536));
    }
    assert!(
        seen.codes.contains_key(&0) && seen.codes.contains_key(&1007),
        "{seen:?}"
    );
}

#[test]
fn random_offers_are_accepted_or_passed_over() {
    const WORDS: [&[u8]; 16] = [
        b"permessage-deflate",
        b"server_max_window_bits",
        b"client_max_window_bits",
        b"server_no_context_takeover",
        b"=",
        b"=",
        b";",
        b";",
        b",",
        b" ",
        b"\"",
        b"\\",
        b"10",
        b"15",
        b"8",
        b"\xff",
    ];
    let mut random = Random(5);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let words = 1 + random.below(8);
        let line: Vec<_> = (0..words)
            .flat_map(|_| WORDS[random.below(WORDS.len())])
            .copied()
            .collect();
        let mut headers = HeaderMap::new();
        headers.insert(
            header::SEC_WEBSOCKET_EXTENSIONS,
            HeaderValue::from_bytes(&line).unwrap(),
        );
        if let Some(deflate) = Deflate::negotiate(&headers) {
            accepted += 1;
            assert!((9..=15).contains(&deflate.window_bits()), "{line:?}");
        }
    }
    assert!(accepted > 100, "{accepted}");
}
