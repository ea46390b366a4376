//! What a client may send and what becomes of it; what it may not, and with which code it is refused.

use std::borrow::Cow;

use crate::client::*;
use bennu_websocket::{Config, Decoder, Event, Inflater};

/// Frames make these events and, if anything, this error; and the same in whatever pieces they come.
fn check_with(
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

fn accepts(frames: &[Vec<u8>], events: &[Event<'static>]) {
    check_with(&Config::default(), frames, events, None);
}

fn refuses(frames: &[Vec<u8>], code: u16, reason: &'static str) {
    check_with(&Config::default(), frames, &[], Some((code, reason)));
}

#[test]
fn each_kind_of_frame_is_an_event() {
    accepts(&[frame(FIN | TEXT, "Hello")], &[text("Hello")]);
    accepts(&[frame(FIN | TEXT, "")], &[text("")]);
    accepts(
        &[frame(FIN | BINARY, [0, 255, 128])],
        &[binary([0, 255, 128])],
    );
    accepts(&[frame(FIN | BINARY, "")], &[binary("")]);
    accepts(&[frame(FIN | PING, "")], &[ping("")]);
    accepts(&[frame(FIN | PING, [7; 125])], &[ping([7; 125])]);
    accepts(&[frame(FIN | PONG, "still here")], &[pong("still here")]);
    accepts(&[frame(FIN | CLOSE, "")], &[Event::Close(None)]);
    accepts(&[frame(FIN | CLOSE, b"\x03\xe8")], &[close(1000, "")]);
    accepts(
        &[frame(FIN | CLOSE, "\u{3}\u{7f}bye é".as_bytes())],
        &[close(0x037f, "bye é")],
    );
}

#[test]
fn frames_in_a_row_are_events_in_a_row() {
    accepts(
        &[
            frame(FIN | TEXT, "κόσμε"),
            frame(FIN | PING, "?"),
            frame(FIN | BINARY, vec![9; 126]),
            frame(FIN | TEXT, "x".repeat(300)),
            frame(FIN | PONG, "!"),
            frame(FIN | CLOSE, b"\x03\xe9"),
        ],
        &[
            text("κόσμε"),
            ping("?"),
            binary([9; 126]),
            text(&"x".repeat(300)),
            pong("!"),
            close(1001, ""),
        ],
    );
}

#[test]
fn fragments_are_joined() {
    accepts(
        &[
            frame(MORE | TEXT, "Hel"),
            frame(MORE | CONT, ""),
            frame(FIN | CONT, "lo"),
            frame(FIN | TEXT, "again"),
        ],
        &[text("Hello"), text("again")],
    );
    accepts(
        &[
            frame(MORE | BINARY, [1, 2]),
            frame(MORE | CONT, [3]),
            frame(FIN | CONT, []),
        ],
        &[binary([1, 2, 3])],
    );
    accepts(
        &[frame(MORE | TEXT, ""), frame(FIN | CONT, "")],
        &[text("")],
    );
}

#[test]
fn control_frames_come_between_fragments() {
    accepts(
        &[
            frame(MORE | TEXT, "a"),
            frame(FIN | PING, "1"),
            frame(MORE | CONT, "b"),
            frame(FIN | PONG, "2"),
            frame(FIN | PING, ""),
            frame(FIN | CONT, "c"),
        ],
        &[ping("1"), pong("2"), ping(""), text("abc")],
    );
    accepts(
        &[frame(MORE | TEXT, "a"), frame(FIN | CLOSE, b"\x03\xe8")],
        &[close(1000, "")],
    );
}

#[test]
fn characters_may_be_cut_by_fragments() {
    let whole = "é€😀 καλημέρα";
    for cut in 0..=whole.len() {
        let (first, second) = whole.as_bytes().split_at(cut);
        accepts(
            &[
                frame(MORE | TEXT, first),
                frame(FIN | PING, ""),
                frame(FIN | CONT, second),
            ],
            &[ping(""), text(whole)],
        );
    }
}

#[test]
fn a_close_is_the_last_event() {
    accepts(
        &[
            frame(FIN | CLOSE, ""),
            frame(FIN | TEXT, "late"),
            vec![0xff; 20],
        ],
        &[Event::Close(None)],
    );
}

#[test]
fn what_breaks_the_protocol_is_refused_with_1002() {
    refuses(
        &[vec![0x81, 0x02, b'h', b'i']],
        1002,
        "frame without a mask",
    );
    refuses(&[vec![0x89, 0x00]], 1002, "frame without a mask");
    refuses(&[frame(FIN | RSV1 | TEXT, "x")], 1002, "reserved bit set");
    refuses(&[frame(FIN | 0x20 | TEXT, "x")], 1002, "reserved bit set");
    refuses(&[frame(FIN | 0x10 | BINARY, "x")], 1002, "reserved bit set");
    refuses(&[frame(FIN | RSV1 | PING, "x")], 1002, "reserved bit set");
    refuses(&[frame(FIN | 0x3, "x")], 1002, "unknown opcode");
    refuses(&[frame(FIN | 0xb, "")], 1002, "unknown opcode");
    refuses(&[frame(MORE | PING, "x")], 1002, "fragmented control frame");
    refuses(
        &[frame(FIN | PING, [0; 126])],
        1002,
        "control frame too long",
    );
    refuses(
        &[frame(FIN | CLOSE, [0; 70_000])],
        1002,
        "control frame too long",
    );
    refuses(
        &[frame(FIN | CONT, "x")],
        1002,
        "continuation of no message",
    );
    refuses(
        &[frame(MORE | CONT, "x")],
        1002,
        "continuation of no message",
    );
    refuses(
        &[frame(MORE | TEXT, "x"), frame(FIN | TEXT, "y")],
        1002,
        "message within a message",
    );
    refuses(
        &[frame(MORE | TEXT, "x"), frame(MORE | BINARY, "")],
        1002,
        "message within a message",
    );
    refuses(
        &[frame(FIN | CLOSE, b"\x03")],
        1002,
        "close payload of one byte",
    );
    refuses(
        &[vec![0x82, 0xfe, 0, 5]],
        1002,
        "length not in its shortest form",
    );
    refuses(
        &[header(FIN | BINARY, 1 << 63)],
        1002,
        "length out of range",
    );
    refuses(
        &[header(FIN | BINARY, u64::MAX)],
        1002,
        "length out of range",
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_with_1007_by_its_first_wrong_byte() {
    let check = |bytes: &[u8], left_out: &[u8]| {
        refuses(
            &[frame(FIN | TEXT, [bytes, left_out].concat())],
            1007,
            "text that isn't UTF-8",
        );
        // Nothing of `left_out` needs to come, nor the end of the frame, nor that of the message.
        let longer = [bytes, left_out, b" and so on"].concat();
        let mut cut = frame(MORE | TEXT, &longer);
        cut.truncate(cut.len() - longer.len() + bytes.len());
        refuses(&[cut], 1007, "text that isn't UTF-8");
        refuses(
            &[frame(MORE | TEXT, "ok "), frame(MORE | CONT, bytes)],
            1007,
            "text that isn't UTF-8",
        );
    };
    check(b"\xff", b"");
    check(b"Hello \x80", b"");
    check(
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90",
        b"\x80\x80edited",
    );
    check(b"\xed\xa0", b"\x80");
    check(b"\xc0", b"\xaf");
    check(&[&[b'x'; 200][..], b"\xe0\x80"].concat(), b"\x80");
}

#[test]
fn text_that_ends_within_a_character_is_refused_with_1007() {
    refuses(
        &[frame(FIN | TEXT, b"\xe2\x82")],
        1007,
        "text that isn't UTF-8",
    );
    refuses(
        &[frame(MORE | TEXT, b"\xe2"), frame(FIN | CONT, b"\x82")],
        1007,
        "text that isn't UTF-8",
    );
    refuses(
        &[frame(FIN | CLOSE, b"\x03\xe8\xe2\x82")],
        1007,
        "close reason that isn't UTF-8",
    );
}

#[test]
fn messages_before_the_error_are_events() {
    check_with(
        &Config::default(),
        &[
            frame(FIN | TEXT, "fine"),
            frame(FIN | PING, ""),
            frame(FIN | 0x7, ""),
        ],
        &[text("fine"), ping("")],
        Some((1002, "unknown opcode")),
    );
}

#[test]
fn after_an_error_input_is_swallowed() {
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
    let mut wrong = vec![0xff; 9];
    assert!(
        decoder
            .decode(&Config::default(), &mut inflater, &mut wrong)
            .is_err()
    );
    let mut right = frame(FIN | TEXT, "Hello");
    let right_len = right.len();
    assert_eq!(
        decoder.decode(&Config::default(), &mut inflater, &mut right),
        Ok((right_len, None))
    );
}

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
