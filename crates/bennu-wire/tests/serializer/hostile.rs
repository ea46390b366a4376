//! What no honest client sends.

use bennu_wire::{Cause, DecodeError, DecodeLimits, Frame, Message, Serializer};

use super::unhex;

const BOTH: [Serializer; 2] = [Serializer::V1, Serializer::V2];

fn causes(frame: Frame<'_>) -> [Option<Cause>; 2] {
    BOTH.map(|serializer| serializer.decode(frame).err().map(|error| error.cause()))
}

#[test]
fn text_that_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "[",
        "{",
        "]",
        "\"",
        "nul",
        "[1,2,3,4,5",
        "[1,2,3,4,5]]",
        "[1,2,3,4,5],",
        "[1,2,3,4,]",
        "[,]",
        "[1,,2,3,4,5]",
        "[1,2,3,4,{]",
        "[1,2,3,4,[}]]",
        "[1,2,3,4,'x']",
        "[1,2,3,4,01]",
        "[1,2,3,4,+1]",
        "[1,2,3,4,1.]",
        "[1,2,3,4,.5]",
        "[1,2,3,4,0x1]",
        "[1,2,3,4,NaN]",
        "[1,2,3,4,Infinity]",
        "[1,2,3,4,\"\n\"]",
        "[1,2,3,4,\"\0\"]",
        "[1,2,3,4,\"\\x\"]",
        "[1,2,3,4,\"\\u12\"]",
        "[1,2,3,4,{\"a\" 1}]",
        "[1,2,3,4,{a:1}]",
        "[1,2,3,4,tru]",
        "\u{feff}[1,2,3,4,5]",
        "[1,2,3,4,5]\0",
        "[1,2,3,4,\"\\\"]",
        "{\"topic\":",
        "{\"topic\"}",
        "\0",
        "[1 2 3 4 5]",
    ] {
        // Whichever the fault that is found first, the connection ends with 1007.
        for serializer in BOTH {
            let error = serializer.decode(Frame::Text(text)).unwrap_err();
            assert_eq!(error.cause().close_code(), 1007, "{serializer:?} {text:?}");
        }
    }
    assert_eq!(
        causes(Frame::Text("[1,2,3,4,")),
        [Some(Cause::Shape), Some(Cause::Json)]
    );
}

#[test]
fn half_a_surrogate_pair_is_refused_wherever_it_stands() {
    let good = [r#""5""#, r#""6""#, r#""t""#, r#""e""#, r#"{"a":"b"}"#];
    for at in 0..good.len() {
        for bad in [
            r#""\ud800""#,
            r#""\uDFFF""#,
            r#""\udc00\ud800""#,
            r#"{"\ud800":1}"#,
        ] {
            let mut parts = good;
            parts[at] = bad;
            let text = format!("[{}]", parts.join(","));
            assert_eq!(causes(Frame::Text(&text))[1], Some(Cause::Json), "{text}");
        }
    }
    let v1 = r#"{"topic":"t","event":"e","payload":"\ud83d","ref":"1"}"#;
    assert_eq!(causes(Frame::Text(v1))[0], Some(Cause::Json));
    // Also where nobody would look.
    assert_eq!(
        causes(Frame::Text(r#"[1,2,"t","e",{},"\ud800"]"#))[1],
        Some(Cause::Json)
    );
}

#[test]
fn nesting_ends_at_128_in_both_formats() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    for (depth, cause) in [
        (1, None),
        (127, None),
        (128, Some(Cause::Depth)),
        (100_000, Some(Cause::Depth)),
    ] {
        for payload in [nested("[", "]", depth), nested(r#"{"a":"#, "}", depth)] {
            let v1 = format!(r#"{{"topic":"t","event":"e","ref":"1","payload":{payload}}}"#);
            let v2 = format!(r#"["1","2","t","e",{payload}]"#);
            assert_eq!(causes(Frame::Text(&v1))[0], cause, "V1 {depth}");
            assert_eq!(causes(Frame::Text(&v2))[1], cause, "V2 {depth}");
            let in_a_ref = format!(r#"[{payload},"2","t","e",{{}}]"#);
            if depth < 128 {
                let message = Serializer::V2.decode(Frame::Text(&v2)).unwrap();
                // What passes can be read by everybody later.
                assert!(
                    message.payload.decode::<serde_json::Value>().is_ok(),
                    "{depth}"
                );
            } else {
                assert_eq!(causes(Frame::Text(&in_a_ref))[1], cause, "{depth}");
            }
        }
    }
    // An attack that never closes what it opens is no deeper for the stack than one that does.
    assert!(
        Serializer::V2
            .decode(Frame::Text(&"[".repeat(1_000_000)))
            .is_err()
    );
    assert!(
        Serializer::V2
            .decode(Frame::Text(&r#"["1",{"a":"#.repeat(100_000)))
            .is_err()
    );
}

#[test]
fn numbers_of_any_size_pass_unread() {
    for number in [
        "1e999",
        "-1e-999",
        "123456789012345678901234567890",
        "0.1e+0",
        "-0",
    ] {
        let text = format!(r#"[{number},{number},"t","e",{number}]"#);
        let message = Serializer::V2.decode(Frame::Text(&text)).unwrap();
        assert_eq!(
            (message.r#ref.as_json(), message.payload.as_json()),
            (number, Some(number))
        );
    }
    let huge = format!(r#"["1","2","t","e",{}]"#, "9".repeat(100_000));
    let message = Serializer::V2.decode(Frame::Text(&huge)).unwrap();
    assert!(message.payload.decode::<u64>().is_err());
    assert!(
        message
            .payload
            .decode::<f64>()
            .unwrap_err()
            .to_string()
            .len()
            <= 300
    );
}

#[test]
fn binary_frames_cut_anywhere_are_refused() {
    let whole = unhex("00 02 03 05 05 3132 313233 746f706963 6576656e74");
    for length in 0..whole.len() {
        let error = Serializer::V2
            .decode(Frame::Binary(&whole[..length]))
            .unwrap_err();
        assert_eq!(
            (error.cause(), error.cause().close_code()),
            (Cause::Frame, 1002),
            "{length}"
        );
    }
    assert!(Serializer::V2.decode(Frame::Binary(&whole)).is_ok());
}

#[test]
fn lengths_that_lie_are_refused() {
    let whole = unhex("00 02 03 05 05 3132 313233 746f706963 6576656e74");
    for field in 1..5 {
        for length in 0..=255 {
            let mut frame = whole.clone();
            let longer = length > frame[field];
            frame[field] = length;
            let found = Serializer::V2
                .decode(Frame::Binary(&frame))
                .map_err(|error| error.cause());
            // A shorter one only moves what follows: whatever it means, nothing gets lost.
            match found {
                Err(cause) => assert_eq!((cause, longer), (Cause::Frame, true), "{field} {length}"),
                Ok(message) => {
                    assert!(!longer, "{field} {length}");
                    assert_eq!(binary_bytes(&message), 15);
                }
            }
        }
    }
}

fn binary_bytes(message: &Message) -> usize {
    let refs = message.join_ref.to_text().len() + message.r#ref.to_text().len();
    let names = message.topic.as_str().unwrap().len() + message.event.as_str().unwrap().len();
    refs + names + message.payload.len()
}

#[test]
fn fields_that_are_no_utf8_are_refused_and_payloads_may_be() {
    let whole = unhex("00 02 03 05 05 3132 313233 746f706963 6576656e74");
    for (at, byte) in [
        (5, 0xff),
        (7, 0xc3),
        (9, 0xc3),
        (10, 0x80),
        (14, 0xed),
        (19, 0xf0),
    ] {
        let mut frame = whole.clone();
        frame[at] = byte;
        let error = Serializer::V2.decode(Frame::Binary(&frame)).unwrap_err();
        assert_eq!(
            (error.cause(), error.cause().close_code()),
            (Cause::Utf8, 1007),
            "{at}"
        );
    }
    // A character that two fields share is in neither.
    assert!(
        Serializer::V2
            .decode(Frame::Binary(&unhex("00 01 01 00 00 c3 a9")))
            .is_err()
    );
    let bytes = unhex("00 00 00 00 00 ff fe 80 c3");
    let message = Serializer::V2.decode(Frame::Binary(&bytes)).unwrap();
    assert_eq!(message.payload.as_binary().unwrap(), &bytes[5..]);
    // The other format reads text there.
    assert_eq!(
        Serializer::V1
            .decode(Frame::Binary(b"{\"topic\":\"\xff\"}"))
            .unwrap_err()
            .cause(),
        Cause::Utf8
    );
}

#[test]
fn names_and_refs_have_limits() {
    let limits = DecodeLimits {
        topic_bytes_max: 6,
        event_bytes_max: 4,
        ref_bytes_max: 5,
        depth_max: 3,
    };
    let decode = |text: &str| {
        Serializer::V2
            .decode_within(&limits, Frame::Text(text))
            .map(|_| ())
            .map_err(|error| error.cause())
    };
    for (text, expected) in [
        (r#"["123","123","room:a","even",[[]]]"#, Ok(())),
        (r#"["1234","1","t","e",{}]"#, Err(Cause::Size)),
        (r#"[null,"1234","t","e",{}]"#, Err(Cause::Size)),
        (r#"[null,123456,"t","e",{}]"#, Err(Cause::Size)),
        (r#"[null,null,"room:ab","e",{}]"#, Err(Cause::Size)),
        (r#"[null,null,"roo:é","e",{}]"#, Ok(())),
        (r#"[null,null,"room:é","e",{}]"#, Err(Cause::Size)),
        (r#"[null,null,"t","event",{}]"#, Err(Cause::Size)),
        (r#"[null,null,[1,2,3],"e",{}]"#, Err(Cause::Size)),
        (r#"[null,null,"t","e",[[[]]]]"#, Err(Cause::Depth)),
    ] {
        assert_eq!(decode(text), expected, "{text}");
    }
    let long = format!(r#"["1","2","{}","e",{{}}]"#, "t".repeat(1_025));
    let error = Serializer::V2.decode(Frame::Text(&long)).unwrap_err();
    assert_eq!(
        (error.cause(), error.cause().close_code()),
        (Cause::Size, 1009)
    );
}

#[test]
fn reasons_fit_a_close_frame_and_texts_stay_short() {
    let long = "x".repeat(100_000);
    let errors: Vec<DecodeError> = [
        format!(r#"["{long}"#),
        format!(r#"["1","2","{long}","e",{{}}]"#),
        format!(r#"{{"{long}":1}}"#),
        format!("\"{long}\""),
        long,
    ]
    .iter()
    .flat_map(|text| BOTH.map(|serializer| serializer.decode(Frame::Text(text)).unwrap_err()))
    .collect();
    for error in errors {
        assert!(error.to_string().len() <= 300, "{error}");
        assert!(error.cause().reason().len() <= 123);
        assert!(!error.cause().as_str().contains(' '));
    }
}
