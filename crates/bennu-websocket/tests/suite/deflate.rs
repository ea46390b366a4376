//! permessage-deflate: the vectors of RFC 7692, messages that aren't deflated, and messages that are too much.

use bennu_websocket::deflate::INFLATION_FREE_BYTES;
use bennu_websocket::{Config, Decoder, Deflater, Event, Inflater};
use flate2::{Compress, Compression, FlushCompress};

use crate::client::*;

fn config() -> Config {
    Config {
        deflate: true,
        ..Config::default()
    }
}

/// A payload inflates to this, or is refused with this code and reason.
fn check(config: &Config, payload: &[u8], expected: Result<&[u8], (u16, &'static str)>) {
    let inflated = Inflater::default()
        .inflate(config, payload)
        .map_err(|error| (error.code(), error.reason()));
    assert_eq!(
        inflated.as_deref(),
        expected.as_ref().map(|bytes| *bytes),
        "{payload:x?}"
    );
    for inflate_at_once_bytes in [1, 7, 1_000] {
        let config = Config {
            inflate_at_once_bytes,
            ..config.clone()
        };
        let outcome = feed(&config, &frame(FIN | RSV1 | BINARY, payload), []);
        assert_eq!(outcome.error, expected.err(), "{payload:x?}");
        assert_eq!(
            outcome.events,
            expected.map(binary).into_iter().collect::<Vec<_>>(),
            "{payload:x?}"
        );
    }
}

#[test]
fn a_long_message_is_inflated_in_parts_and_what_follows_waits() {
    let config = Config {
        inflate_at_once_bytes: 1_000,
        ..config()
    };
    let long: Vec<_> = Random(5).bytes(9_000).iter().map(|it| it & 0x3f).collect();
    let payload = deflated(&long, FlushCompress::Sync);
    assert!(payload.len() > 6_000);
    let mut input = frame(FIN | RSV1 | BINARY, &payload);
    let frame_len = input.len();
    input.extend(frame(FIN | PING, b"later"));
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());

    let (used, event) = decoder.decode(&config, &mut inflater, &mut input).unwrap();
    assert_eq!((used, event), (frame_len, None));
    let mut parts = 1;
    loop {
        assert!(decoder.is_inflating());
        assert!(decoder.held_bytes() >= payload.len());
        let event = decoder.decode(&config, &mut inflater, &mut []).unwrap();
        parts += 1;
        if let (0, Some(event)) = event {
            assert_eq!(event, binary(&long));
            break;
        }
        assert_eq!(event, (0, None));
    }
    assert_eq!(parts, payload.len().div_ceil(1_000));
    assert!(!decoder.is_inflating());
    assert_eq!(decoder.held_bytes(), 0);
    let rest = input.get_mut(frame_len..).unwrap();
    let (_, event) = decoder.decode(&config, &mut inflater, rest).unwrap();
    assert_eq!(event, Some(ping(b"later")));
}

/// Deflated by the backend at will, so that tests don't judge the deflater by itself.
fn deflated(payload: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut stream = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(payload.len() + 1000);
    stream
        .compress_vec(payload, &mut out, flush)
        .expect("a fresh stream");
    assert_eq!(stream.total_in(), payload.len() as u64);
    if let Some(cut) = out.strip_suffix(&[0, 0, 0xff, 0xff]) {
        out.truncate(cut.len());
    }
    out
}

#[test]
fn the_vectors_of_rfc_7692_inflate() {
    let hello = Ok(&b"Hello"[..]);
    // Sections 7.2.3.1 (one block), 7.2.3.3 (not compressed), 7.2.3.4 (a final block) and 7.2.3.5 (two blocks).
    check(
        &config(),
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        hello,
    );
    check(
        &config(),
        &[
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ],
        hello,
    );
    check(
        &config(),
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        hello,
    );
    check(
        &config(),
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
        hello,
    );
    // Section 7.2.3.6 (nothing).
    check(&config(), &[0x00], Ok(b""));
    // Lenient: nothing at all, and a final block without the empty one after it.
    check(&config(), &[], Ok(b""));
    check(
        &config(),
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        hello,
    );
    // A stream after a stream.
    check(
        &config(),
        &[
            [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        ]
        .concat(),
        Ok(b"HelloHello"),
    );
}

#[test]
fn a_message_never_refers_to_the_one_before_it() {
    // Section 7.2.3.2: the second "Hello" of a shared window.
    let second = [0xf2, 0x00, 0x11, 0x00, 0x00];
    check(&config(), &second, Err((1007, "compressed data is broken")));
    let mut inflater = Inflater::default();
    let first = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflater.inflate(&config(), &first).unwrap(), b"Hello");
    assert_eq!(
        inflater.inflate(&config(), &second).unwrap_err().code(),
        1007
    );
    assert_eq!(inflater.inflate(&config(), &first).unwrap(), b"Hello");

    let mut deflater = Deflater::default();
    let payload = "somebody's secret, somebody's secret, somebody's secret";
    let mut deflate = || {
        let mut out = Vec::new();
        assert!(deflater.deflate(payload.as_bytes(), &mut out));
        out
    };
    assert_eq!(
        deflate(),
        deflate(),
        "the second takes as many bytes as the first"
    );
}

#[test]
fn what_is_cut_short_or_broken_is_refused_with_1007() {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    let whole = deflated(text.as_bytes(), FlushCompress::Sync);
    check(&config(), &whole, Ok(text.as_bytes()));
    for len in 1..whole.len() {
        let result = Inflater::default().inflate(&config(), &whole[..len]);
        assert_eq!(
            result.map_err(|error| error.code()),
            Err(1007),
            "cut at {len} of {}",
            whole.len()
        );
    }
    let broken = Err((1007, "compressed data is broken"));
    check(&config(), &[0x06], broken);
    check(&config(), &[0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48], broken);
    check(
        &config(),
        &[0x00, 0x50, 0x00, 0xaf, 0xff, 0x48],
        Err((1007, "compressed message cut short")),
    );
    check(&config(), &[0x03, 0x00].repeat(60), Ok(b""));
    check(&config(), &[0x03, 0x00].repeat(66), broken);
}

#[test]
fn a_bomb_is_refused_with_1009_while_it_inflates() {
    let zeros = vec![0; 4_000_000];
    let bomb = deflated(&zeros, FlushCompress::Sync);
    assert!(bomb.len() < 5000);
    check(&config(), &bomb, Err((1009, "message inflates too much")));
    check(
        &Config {
            inflation_ratio_max: 2000,
            ..config()
        },
        &bomb,
        Ok(&zeros),
    );
    check(
        &Config {
            inflation_ratio_max: 2000,
            inflated_bytes_max: 3_999_999,
            ..config()
        },
        &bomb,
        Err((1009, "inflated message too big")),
    );
    check(
        &Config {
            inflation_ratio_max: u32::MAX,
            inflated_bytes_max: 4_000_000,
            ..config()
        },
        &bomb,
        Ok(&zeros),
    );

    let free = vec![0; INFLATION_FREE_BYTES];
    check(&config(), &deflated(&free, FlushCompress::Sync), Ok(&free));
    check(
        &config(),
        &deflated(&[&free[..], b"\0"].concat(), FlushCompress::Sync),
        Err((1009, "message inflates too much")),
    );
    check(
        &Config {
            inflated_bytes_max: 10,
            ..config()
        },
        &deflated(&free, FlushCompress::Sync),
        Err((1009, "inflated message too big")),
    );
}

#[test]
fn the_deflater_refers_no_further_back_than_the_window_that_was_agreed_on() {
    let check = |window_bits: u8, distance: usize, shrinks: bool| {
        // Nothing but the repetition can be compressed, and that only by a reference as far back as it is.
        let payload = Random(7).bytes(distance).repeat(2);
        let mut out = Vec::new();
        let mut deflater = Deflater::new(window_bits);
        assert_eq!(
            deflater.deflate(&payload, &mut out),
            shrinks,
            "{window_bits} bits, {distance}"
        );
        if shrinks {
            assert_eq!(
                Inflater::default().inflate(&config(), &out).as_deref(),
                Ok(&payload[..])
            );
        }
    };
    for window_bits in 9..=15 {
        check(window_bits, (1 << window_bits) + 1, false);
        // zlib stays 262 bytes within its window.
        check(window_bits, (1 << window_bits) - 300, true);
    }
}

#[test]
fn a_payload_that_does_not_shrink_is_left_alone() {
    let mut deflater = Deflater::default();
    for payload in [&b""[..], b"x", b"Hello", &Random(1).bytes(5000)] {
        let mut out = b"before".to_vec();
        assert!(!deflater.deflate(payload, &mut out));
        assert_eq!(out, b"before");
    }
    let mut out = b"before".to_vec();
    assert!(deflater.deflate(&[b'x'; 100], &mut out));
    assert_eq!(
        out.strip_prefix(b"before")
            .map(|rest| Inflater::default().inflate(&config(), rest)),
        Some(Ok(vec![b'x'; 100]))
    );
}

#[test]
fn payloads_of_any_size_come_back() {
    let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
    let mut random = Random(3);
    for len in (1..2000)
        .step_by(9)
        .chain([16_383, 16_384, 16_385, 65_536, 300_000])
    {
        // Six bits of eight, so that it always shrinks, and at an even rate.
        let payload: Vec<u8> = random.bytes(len).iter().map(|byte| byte & 0x3f).collect();
        let mut out = Vec::new();
        if deflater.deflate(&payload, &mut out) {
            assert_eq!(
                inflater.inflate(&config(), &out).as_deref(),
                Ok(&payload[..]),
                "{len}"
            );
        } else {
            assert!(len < 200, "{len} bytes should have shrunk");
        }
    }
}

#[test]
fn compressed_messages_come_whole_in_fragments_and_in_pieces() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let input = [
        frame(FIN | RSV1 | TEXT, hello),
        frame(FIN | TEXT, "plain"),
        frame(MORE | RSV1 | BINARY, &hello[..3]),
        frame(FIN | PING, "?"),
        frame(MORE | CONT, &hello[3..4]),
        frame(FIN | CONT, &hello[4..]),
        frame(FIN | RSV1 | TEXT, [0]),
    ]
    .concat();
    let events = vec![
        text("Hello"),
        text("plain"),
        ping("?"),
        binary("Hello"),
        text(""),
    ];
    let expected = Outcome {
        events,
        error: None,
    };
    for len in [1, 2, 3, 1000] {
        assert_eq!(
            feed(&config(), &input, std::iter::repeat(len)),
            expected,
            "in pieces of {len}"
        );
    }
}

#[test]
fn compressed_text_is_checked_across_the_pieces_it_inflates_to() {
    // Characters of three bytes lie across the ends of all pieces, whatever their size.
    let long = "€".repeat(20_000);
    let input = frame(
        FIN | RSV1 | TEXT,
        deflated(long.as_bytes(), FlushCompress::Sync),
    );
    let config = Config {
        inflation_ratio_max: 1000,
        ..config()
    };
    assert_eq!(feed(&config, &input, []).events, [text(&long)]);

    for wrong in [
        &[long.as_bytes(), b"\xff"].concat()[..],
        &long.as_bytes()[..59_999],
        b"\xe2",
    ] {
        let input = frame(FIN | RSV1 | TEXT, deflated(wrong, FlushCompress::Finish));
        let expected = Outcome {
            events: vec![],
            error: Some((1007, "text that isn't UTF-8")),
        };
        assert_eq!(feed(&config, &input, []), expected);
        let input = frame(FIN | RSV1 | BINARY, deflated(wrong, FlushCompress::Finish));
        assert_eq!(feed(&config, &input, []).events, [binary(wrong)]);
    }
}

#[test]
fn the_reserved_bit_belongs_on_the_first_frame_of_a_message() {
    let refused = Outcome {
        events: Vec::<Event<'_>>::new(),
        error: Some((1002, "reserved bit set")),
    };
    for frames in [
        vec![
            frame(MORE | RSV1 | TEXT, [0xf2]),
            frame(FIN | RSV1 | CONT, [0x48]),
        ],
        vec![frame(MORE | TEXT, "x"), frame(FIN | RSV1 | CONT, "y")],
        vec![frame(FIN | RSV1 | PING, "")],
        vec![frame(FIN | RSV1 | CLOSE, "")],
    ] {
        assert_eq!(
            feed(&config(), &frames.concat(), []),
            refused,
            "{frames:x?}"
        );
    }
}
