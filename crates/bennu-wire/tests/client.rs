//! The client's side: golden frames of Phoenix, and frames that are none.

#![expect(clippy::unwrap_used, reason = "a test that fails shall say so at once")]

use bennu_wire::{Frame, Heard, Intent, Kind, Name, Payload, Ref, Request, Response, Serializer};
use bytes::Bytes;
use serde_json::json;

/// Encodes a request of join ref 5 and ref 21 to `room:a`.
#[track_caller]
fn check(serializer: Serializer, intent: Intent<'_>, payload: &Payload, expected: &[u8]) {
    let request = Request {
        join_ref: &Ref::text("5"),
        r#ref: &Ref::text("21"),
        topic: "room:a",
        intent,
        payload,
    };
    let mut frame = b"before".to_vec();
    let kind = request.encode(serializer, &mut frame).unwrap();
    let binary = matches!((serializer, payload), (Serializer::V2, Payload::Binary(_)));
    assert_eq!(kind, if binary { Kind::Binary } else { Kind::Text });
    let shown = String::from_utf8_lossy(&frame);
    assert_eq!(frame, [b"before", expected].concat(), "{shown}");
}

#[test]
fn requests_are_what_a_client_of_phoenix_sends() {
    let json = Payload::new(&json!({"z": 1})).unwrap();
    let bytes = Payload::from(Bytes::from_static(&[1, 2]));
    let v2 = |intent, payload, expected: &[u8]| check(Serializer::V2, intent, payload, expected);
    v2(
        Intent::Join,
        &json,
        br#"["5","21","room:a","phx_join",{"z":1}]"#,
    );
    v2(
        Intent::Leave,
        &json,
        br#"["5","21","room:a","phx_leave",{"z":1}]"#,
    );
    v2(
        Intent::Push("e"),
        &json,
        br#"["5","21","room:a","e",{"z":1}]"#,
    );
    v2(
        Intent::Heartbeat,
        &json,
        br#"["5","21","phoenix","heartbeat",{"z":1}]"#,
    );
    v2(
        Intent::Push("binecho"),
        &bytes,
        b"\x00\x01\x02\x06\x07521room:abinecho\x01\x02",
    );
    let v1 = br#"{"topic":"room:a","event":"phx_join","payload":{"z":1},"ref":"21"}"#;
    check(Serializer::V1, Intent::Join, &json, v1);
}

#[test]
fn what_has_no_form_leaves_the_buffer_as_it_was() {
    let bytes = Payload::from(Bytes::from_static(b"x"));
    let long = "e".repeat(256);
    for (serializer, event) in [(Serializer::V1, "e"), (Serializer::V2, &long)] {
        let request = Request {
            join_ref: Ref::null(),
            r#ref: Ref::null(),
            topic: "room:a",
            intent: Intent::Push(event),
            payload: &bytes,
        };
        let mut buffer = b"before".to_vec();
        assert!(request.encode(serializer, &mut buffer).is_err());
        assert_eq!(buffer, b"before");
    }
}

fn push(event: &str) -> Heard {
    let event = event.to_owned();
    Heard::Push { event }
}

fn reply(r#ref: Ref, status: &str) -> Heard {
    let status = status.to_owned();
    Heard::Reply { r#ref, status }
}

/// Decodes a frame of `room:a`. Without a join ref it's null.
#[track_caller]
fn heard(serializer: Serializer, frame: Frame<'_>, join_ref: &str, heard: &Heard, payload: &str) {
    let response = Response::decode(serializer, frame).unwrap();
    let expected = match join_ref {
        "" => Ref::NULL,
        text => Ref::text(text),
    };
    assert_eq!(response.join_ref, expected, "{frame:?}");
    assert_eq!(response.topic, Name::from("room:a"), "{frame:?}");
    assert_eq!(response.heard, *heard, "{frame:?}");
    let found = match &response.payload {
        Payload::Json(raw) => raw.get().to_owned(),
        Payload::Binary(bytes) => format!("{bytes:?}"),
    };
    assert_eq!(found, payload, "{frame:?}");
}

#[test]
fn texts_are_read_as_phoenix_sends_them() {
    let v2 = |text, join_ref, event: &Heard, payload| {
        heard(Serializer::V2, Frame::Text(text), join_ref, event, payload);
    };
    v2(
        r#"[null,null,"room:a","bced",{"m":1}]"#,
        "",
        &push("bced"),
        r#"{"m":1}"#,
    );
    v2(
        r#"["5",null,"room:a","pushed",[]]"#,
        "5",
        &push("pushed"),
        "[]",
    );
    v2(
        r#"["5",8,"room:a","phx_reply",{"response":"x","status":"ok"}]"#,
        "5",
        &reply(Ref::parse("8").unwrap(), "ok"),
        r#""x""#,
    );
    v2(
        r#"[null,"9","room:a","phx_reply",{"status":"wei\"rd","response":null,"more":1}]"#,
        "",
        &reply(Ref::text("9"), "wei\"rd"),
        "null",
    );
    v2(
        r#"["5","5","room:a","phx_close",{}]"#,
        "5",
        &Heard::Closed,
        "{}",
    );
    v2(
        r#"["5","5","room:a","phx_error",{"a":1}]"#,
        "5",
        &Heard::Failed,
        r#"{"a":1}"#,
    );
    let v1 = r#"{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"2","topic":"room:a"}"#;
    heard(
        Serializer::V1,
        Frame::Text(v1),
        "",
        &reply(Ref::text("2"), "ok"),
        "{}",
    );
}

#[test]
fn binary_frames_are_read_as_phoenix_sends_them() {
    let v2 = |frame, join_ref, event: &Heard, payload| {
        heard(
            Serializer::V2,
            Frame::Binary(frame),
            join_ref,
            event,
            payload,
        );
    };
    v2(
        b"\x01\x01\x02\x06\x02521room:aok\x01\x02",
        "5",
        &reply(Ref::text("21"), "ok"),
        r#"b"\x01\x02""#,
    );
    v2(
        b"\x00\x01\x06\x025room:apb\x09\x08",
        "5",
        &push("pb"),
        r#"b"\t\x08""#,
    );
    v2(b"\x02\x06\x02room:abb", "", &push("bb"), r#"b"""#);
}

#[test]
fn what_is_no_response_is_an_error() {
    for text in [
        "",
        "[]",
        "{}",
        r#"[null,null,"a","e"]"#,
        r#"[null,null,"a",7,{}]"#,
        r#"[null,"1","a","phx_reply",{}]"#,
        r#"[null,"1","a","phx_reply",{"status":"ok"}]"#,
        r#"[null,"1","a","phx_reply",{"status":null,"response":{}}]"#,
        r#"[null,"1","a","phx_reply",7]"#,
    ] {
        assert!(
            Response::decode(Serializer::V2, Frame::Text(text)).is_err(),
            "{text}"
        );
    }
    // Every frame that is cut short, and every kind there isn't.
    let whole = b"\x01\x01\x02\x06\x02521room:aok";
    for end in 0..whole.len() {
        let frame = Frame::Binary(&whole[..end]);
        assert!(Response::decode(Serializer::V2, frame).is_err(), "{end}");
    }
    for kind in 3..=255 {
        let frame = [&[kind][..], &[0; 8]].concat();
        assert!(Response::decode(Serializer::V2, Frame::Binary(&frame)).is_err());
    }
    assert!(Response::decode(Serializer::V2, Frame::Binary(b"\x02\x01\x00\xff")).is_err());
}

#[test]
fn no_bytes_at_all_break_it() {
    let wholes: [&[u8]; 4] = [
        br#"["5","5","room:a","phx_reply",{"status":"ok","response":{"a":[1]}}]"#,
        b"\x01\x01\x02\x06\x02521room:aok\x01\x02",
        b"\x00\x01\x06\x025room:apb\x09\x08",
        b"\x02\x06\x02room:abb",
    ];
    let mut seed = 7_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let mut read = 0;
    for _ in 0..50_000 {
        let mut frame = wholes[random(wholes.len())].to_vec();
        for _ in 0..random(4) {
            let at = random(frame.len());
            frame[at] = u8::try_from(random(256)).unwrap();
        }
        frame.truncate(random(frame.len() * 2) + 1);
        read += usize::from(Response::decode(Serializer::V2, Frame::Binary(&frame)).is_ok());
        if let Ok(text) = str::from_utf8(&frame) {
            for serializer in [Serializer::V1, Serializer::V2] {
                read += usize::from(Response::decode(serializer, Frame::Text(text)).is_ok());
            }
        }
    }
    assert!(read > 1_000, "{read}");
}
