//! What a client may make the decoder hold, and for how long.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bennu_websocket::{Config, Decoder, Event, Inflater};

use crate::client::*;

#[test]
fn a_frame_is_judged_by_its_header() {
    let config = Config {
        frame_bytes_max: 1006,
        ..Config::default()
    };
    let too_big = Some((1009, "frame too big"));
    // 998 bytes take a header of 8.
    check_with(
        &config,
        &[frame(FIN | BINARY, vec![1; 998])],
        &[binary([1; 998])],
        None,
    );
    check_with(&config, &[header(FIN | BINARY, 999)], &[], too_big);
    check_with(
        &config,
        &[frame(MORE | BINARY, [1]), header(FIN | CONT, 999)],
        &[],
        too_big,
    );
    check_with(
        &Config::default(),
        &[header(FIN | TEXT, (1 << 63) - 1)],
        &[],
        too_big,
    );
    check_with(
        &Config::default(),
        &[header(FIN | TEXT, 10_000_000 - 13)],
        &[],
        too_big,
    );
    check_with(
        &Config::default(),
        &[header(FIN | TEXT, 10_000_000 - 14)],
        &[],
        None,
    );
}

#[test]
fn a_fragmented_message_is_judged_by_its_headers_in_total() {
    let config = Config {
        message_bytes_max: 100,
        ..Config::default()
    };
    let too_big = Some((1009, "message too big"));
    let (a, b) = (
        frame(MORE | TEXT, "a".repeat(60)),
        frame(FIN | CONT, "b".repeat(40)),
    );
    check_with(
        &config,
        &[a.clone(), b],
        &[text(&["a".repeat(60), "b".repeat(40)].concat())],
        None,
    );
    check_with(&config, &[a.clone(), header(FIN | CONT, 41)], &[], too_big);
    check_with(
        &config,
        &[
            a.clone(),
            frame(MORE | CONT, "b".repeat(40)),
            header(MORE | CONT, 1),
        ],
        &[],
        too_big,
    );
    check_with(&config, &[header(MORE | BINARY, 101)], &[], too_big);
    // A character that a fragment broke off in counts as well.
    check_with(
        &config,
        &[
            a,
            frame(MORE | CONT, [&[b'b'; 37][..], b"\xf0\x9f\x98"].concat()),
            header(FIN | CONT, 1),
        ],
        &[],
        too_big,
    );
    // A message in one frame is bounded by that frame alone.
    check_with(
        &config,
        &[frame(FIN | BINARY, [1; 101])],
        &[binary([1; 101])],
        None,
    );
}

#[test]
fn fragments_are_bounded_in_bytes_and_empty_ones_in_a_row() {
    let config = Config {
        empty_fragments_max: 3,
        ..Config::default()
    };
    let empty = || frame(MORE | CONT, "");
    let start = frame(MORE | BINARY, "");
    check_with(
        &config,
        &[
            start.clone(),
            empty(),
            empty(),
            empty(),
            frame(MORE | CONT, [1]),
            empty(),
            empty(),
            empty(),
            frame(FIN | CONT, [2]),
        ],
        &[binary([1, 2])],
        None,
    );
    check_with(
        &config,
        &[
            start.clone(),
            empty(),
            frame(FIN | PING, ""),
            empty(),
            empty(),
            empty(),
        ],
        &[ping("")],
        Some((1008, "too many empty fragments")),
    );

    let many: Vec<_> = std::iter::once(start)
        .chain((0..65_536).map(|index| frame(MORE | CONT, [index as u8])))
        .chain([frame(FIN | CONT, "")])
        .collect();
    let input = many.concat();
    let expected: Vec<u8> = (0..65_536).map(|index| index as u8).collect();
    for len in [4096, 5] {
        let outcome = feed(&Config::default(), &input, std::iter::repeat(len));
        assert_eq!(
            outcome,
            Outcome {
                events: vec![binary(&expected)],
                error: None
            }
        );
    }
}

#[test]
fn a_whole_frame_is_borrowed_from_the_input() {
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
    let mut borrows = |input: Vec<u8>| {
        let mut input = input;
        let (_, event) = decoder
            .decode(&Config::default(), &mut inflater, &mut input)
            .unwrap();
        let is_borrowed = match event.unwrap() {
            Event::Text(text) | Event::Close(Some((_, text))) => matches!(text, Cow::Borrowed(_)),
            Event::Binary(bytes) | Event::Ping(bytes) | Event::Pong(bytes) => {
                matches!(bytes, Cow::Borrowed(_))
            }
            Event::Close(None) => panic!("nothing to borrow"),
        };
        assert!(is_borrowed, "{input:x?}");
        assert_eq!(decoder.held_bytes(), 0);
    };
    borrows(frame(FIN | TEXT, "é".repeat(1000)));
    borrows(frame(FIN | BINARY, [0; 70_000]));
    borrows(frame(FIN | PING, "1"));
    borrows(frame(FIN | PONG, "1"));
    borrows(frame(FIN | CLOSE, b"\x03\xe8reason"));
}

#[test]
fn nothing_is_allocated_from_a_declared_length() {
    let (config, mut inflater) = (Config::default(), Inflater::default());
    assert_eq!(size_of::<Decoder>(), 16);
    let mut decoder = Decoder::default();
    let mut held = |input: &[u8]| {
        let outcome = feed_to(&mut decoder, &config, &mut inflater, input, []);
        assert_eq!((outcome.events.len(), outcome.error), (0, None));
        decoder.held_bytes()
    };
    assert_eq!(held(b""), 0);
    let header = header(FIN | BINARY, 9_000_000);
    assert!(held(&header[..3]) <= 256);
    let after_header = held(&header[3..]);
    assert!(after_header <= 256, "{after_header}");
    let after_1000 = held(&[0; 1000]);
    assert!(after_1000 <= 256 + 1000, "{after_1000}");
    let after_1001 = held(&[0; 1]);
    assert!(after_1001 <= 256 + 2000, "{after_1001}");
}

#[test]
fn a_buffer_is_moved_seldom_while_it_grows() {
    let check = |first: Vec<u8>, piece: &[u8], count: usize| {
        let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
        feed_to(&mut decoder, &Config::default(), &mut inflater, &first, []);
        let mut sizes = BTreeSet::new();
        for _ in 0..count {
            feed_to(&mut decoder, &Config::default(), &mut inflater, piece, []);
            sizes.insert(decoder.held_bytes());
        }
        assert!(sizes.len() < 20, "{} sizes", sizes.len());
    };
    check(header(FIN | BINARY, 1_000_000), &[0; 10], 10_000);
    check(header(MORE | TEXT, 1_000_000), b"xxxxxxxxxx", 10_000);
    check(
        frame(MORE | BINARY, ""),
        &frame(MORE | CONT, [1; 10]),
        10_000,
    );
}

#[test]
fn a_cut_frame_ends_in_a_buffer_of_its_size_and_leaves_nothing_behind() {
    let (config, mut inflater, mut decoder) =
        (Config::default(), Inflater::default(), Decoder::default());
    let input = frame(FIN | TEXT, "x".repeat(200_000));
    let mut most = 0;
    for piece in input[..input.len() - 1].chunks(65_536) {
        feed_to(&mut decoder, &config, &mut inflater, piece, []);
        most = most.max(decoder.held_bytes());
    }
    assert!((200_000..200_256).contains(&most), "{most}");
    let outcome = feed_to(
        &mut decoder,
        &config,
        &mut inflater,
        &input[input.len() - 1..],
        [],
    );
    assert_eq!(outcome.events, [text(&"x".repeat(200_000))]);
    assert_eq!(decoder.held_bytes(), 0);
}
