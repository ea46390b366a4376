//! What a client may send and what becomes of it; what it may not, and with which code it is refused.

use crate::client::*;
use bennu_websocket::{Config, Decoder, Event, Inflater};

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
