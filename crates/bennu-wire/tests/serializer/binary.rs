//! Binary frames, byte by byte.

use bennu_wire::{Broadcast, Cause, Frame, Kind, Outgoing, Payload, Ref, Serializer};
use bytes::Bytes;

use super::{encode, hex, line, push, reply, unhex};

#[track_caller]
fn received(frame: &str, expected: &str) {
    let message = Serializer::V2.decode(Frame::Binary(&unhex(frame))).unwrap();
    assert_eq!(line(&message), expected);
}

#[track_caller]
fn sent(outgoing: &Outgoing<'_>, expected: &str) {
    let (kind, bytes) = encode(Serializer::V2, outgoing).unwrap();
    assert_eq!((kind, hex(&bytes)), (Kind::Binary, hex(&unhex(expected))));
}

fn binary(bytes: &'static [u8]) -> Payload {
    Payload::Binary(Bytes::from_static(bytes))
}

#[test]
fn pushes_come_with_a_ref() {
    received(
        "00 01 02 06 07 35 3231 726f6f6d3a61 62696e6563686f 0102",
        r##""5" "21" room:a binecho #0102"##,
    );
    received(
        "00 02 03 05 05 3132 313233 746f706963 6576656e74 656667",
        r##""12" "123" topic event #656667"##,
    );
    received("00 00 00 00 00", r##""" ""   #"##);
    received(
        "00 01 01 0a 02 22 5c 726f6f6d3a636166c3a9 cf80",
        r##""\"" "\\" room:café π #"##,
    );
    // What looks like JSON is still bytes.
    received("00 00 00 01 01 74 65 7b7d", r##""" "" t e #7b7d"##);
}

#[test]
fn an_empty_ref_is_not_null() {
    let message = Serializer::V2
        .decode(Frame::Binary(&[0, 0, 0, 0, 0]))
        .unwrap();
    assert_eq!(
        (message.join_ref.is_null(), message.r#ref),
        (false, Ref::text(""))
    );
}

#[test]
fn pushes_go_without_a_ref() {
    for (join_ref, topic, event, payload, expected) in [
        (
            r#""5""#,
            "room:a",
            "pb",
            &[9, 8][..],
            "00 01 06 02 35 726f6f6d3a61 7062 0908",
        ),
        (
            r#""12""#,
            "topic",
            "event",
            b"efg",
            "00 02 05 05 3132 746f706963 6576656e74 656667",
        ),
        (
            "null",
            "room:café",
            "🚀",
            b"",
            "00 00 0a 04 726f6f6d3a636166c3a9 f09f9a80",
        ),
        ("512", "t", "e", b"", "00 03 01 01 353132 74 65"),
        (r#""\"""#, "t", "e", b"", "00 01 01 01 22 74 65"),
    ] {
        let (join_ref, payload) = (Ref::parse(join_ref).unwrap(), binary(payload));
        sent(
            &push([&join_ref, &Ref::text("9")], topic, event, &payload),
            expected,
        );
    }
}

#[test]
fn replies_carry_status() {
    for (refs, topic, status, response, expected) in [
        (
            [r#""5""#, r#""21""#],
            "room:a",
            "ok",
            &[1, 2][..],
            "01 01 02 06 02 35 3231 726f6f6d3a61 6f6b 0102",
        ),
        (
            [r#""12""#, r#""123""#],
            "topic",
            "ok",
            b"efg",
            "01 02 03 05 02 3132 313233 746f706963 6f6b 656667",
        ),
        (
            [r#""jbinreply""#, r#""30""#],
            "room:binreply",
            "ok",
            b"BIN",
            "01 09 02 0d 02 6a62696e7265706c79 3330 726f6f6d3a62696e7265706c79 6f6b 42494e",
        ),
        (
            ["null", "8"],
            "t",
            "weird",
            b"BIN",
            "01 00 01 01 05 38 74 7765697264 42494e",
        ),
    ] {
        let ([join_ref, r#ref], response) =
            (refs.map(|it| Ref::parse(it).unwrap()), binary(response));
        sent(
            &reply([&join_ref, &r#ref], topic, status, &response),
            expected,
        );
    }
}

#[test]
fn broadcasts_have_no_refs() {
    let broadcast =
        |topic: &str, event: &'static str, payload| Broadcast::new(topic, event, payload);
    let bb = broadcast("room:a", "bb", binary(&[1, 2, 3]));
    sent(
        &Outgoing::Broadcast(&bb),
        "02 06 02 726f6f6d3a61 6262 010203",
    );
    let event = broadcast("topic", "event", binary(b"efg"));
    sent(
        &Outgoing::Broadcast(&event),
        "02 05 05 746f706963 6576656e74 656667",
    );
}

#[test]
fn fields_have_255_bytes_at_most() {
    let payload = binary(b"x");
    for (bytes, fits) in [(255, true), (256, false), (70_000, false)] {
        // Bytes count, not characters.
        let text = "é".repeat(bytes / 2) + if bytes % 2 == 1 { "e" } else { "" };
        let (long, short) = (&Ref::text(&text), &Ref::text("1"));
        let of_topic = Broadcast::new(&*text, "e", payload.clone());
        let of_event = Broadcast::new("t", text.clone(), payload.clone());
        for (field, outgoing) in [
            ("join_ref", push([long, short], "t", "e", &payload)),
            ("topic", push([short, short], &text, "e", &payload)),
            ("event", push([short, short], "t", &text, &payload)),
            ("join_ref", reply([long, short], "t", "ok", &payload)),
            ("ref", reply([short, long], "t", "ok", &payload)),
            ("topic", reply([short, short], &text, "ok", &payload)),
            ("status", reply([short, short], "t", &text, &payload)),
            ("topic", Outgoing::Broadcast(&of_topic)),
            ("event", Outgoing::Broadcast(&of_event)),
        ] {
            let found = encode(Serializer::V2, &outgoing).map(|(kind, _)| kind);
            if fits {
                assert_eq!(found, Ok(Kind::Binary), "{field}");
            } else {
                let error = found.unwrap_err();
                assert!(!error.is_unsupported());
                let expected = format!(
                    "a {field} of a binary message may have 255 bytes, this one has {bytes}"
                );
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}

#[test]
fn v1_carries_no_bytes() {
    let payload = binary(b"x");
    let (null, broadcast) = (Ref::null(), Broadcast::new("t", "e", payload.clone()));
    for outgoing in [
        push([null, null], "t", "e", &payload),
        reply([null, null], "t", "ok", &payload),
        Outgoing::Broadcast(&broadcast),
    ] {
        assert!(
            encode(Serializer::V1, &outgoing)
                .unwrap_err()
                .is_unsupported()
        );
    }
}

#[test]
fn other_kinds_are_refused() {
    for kind in 1..=255 {
        let frame = [kind, 0, 0, 0, 0, 0];
        let error = Serializer::V2.decode(Frame::Binary(&frame)).unwrap_err();
        assert_eq!(
            (error.cause(), error.cause().close_code()),
            (Cause::Frame, 1002),
            "{kind}"
        );
    }
}
