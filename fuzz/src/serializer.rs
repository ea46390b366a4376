//! Messages: what was decoded says the same when it's encoded and decoded once more.

use bennu_wire::{DecodeLimits, Frame, Kind, Message, Outgoing, Serializer};

use crate::Input;

const LIMITS: DecodeLimits = DecodeLimits {
    topic_bytes_max: 100,
    event_bytes_max: 100,
    ref_bytes_max: 50,
    depth_max: 20,
};

/// Texts, of either version.
pub(crate) fn text(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let serializer = match input.below(2) {
        0 => Serializer::V1,
        _ => Serializer::V2,
    };
    let Ok(text) = std::str::from_utf8(input.rest()) else {
        return;
    };
    let message = decode(serializer, Frame::Text(text));
    if let Some(rest) = text.strip_prefix('[') {
        // With a blank it isn't read by the short way that most messages take.
        let long = decode(serializer, Frame::Text(&format!("[ {rest}")));
        assert_eq!(message, long, "{text:?}");
    }
    if let Some(message) = message {
        check(&message);
    }
}

/// Frames of bytes.
pub(crate) fn binary(bytes: &[u8]) {
    // The other version takes them as a text.
    decode(Serializer::V1, Frame::Binary(bytes));
    if let Some(message) = decode(Serializer::V2, Frame::Binary(bytes)) {
        assert!(message.payload.as_binary().is_some());
        check(&message);
    }
}

fn decode(serializer: Serializer, frame: Frame<'_>) -> Option<Message> {
    let message = match serializer.decode_within(&LIMITS, frame) {
        Ok(message) => message,
        Err(error) => {
            // Whoever is refused is told why, in so many words.
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    assert!(
        message
            .topic
            .as_str()
            .is_none_or(|it| it.len() <= LIMITS.topic_bytes_max)
    );
    assert!(
        message
            .event
            .as_str()
            .is_none_or(|it| it.len() <= LIMITS.event_bytes_max)
    );
    assert!(message.r#ref.as_json().len() <= LIMITS.ref_bytes_max);
    assert!(message.join_ref.as_json().len() <= LIMITS.ref_bytes_max);
    Some(message)
}

/// Pushes it back in both versions. What a client sends and what it is sent have one form as text.
fn check(message: &Message) {
    for serializer in [Serializer::V1, Serializer::V2] {
        let Some(event) = message.event.as_str() else {
            continue;
        };
        let outgoing = Outgoing::Push {
            join_ref: &message.join_ref,
            r#ref: &message.r#ref,
            topic: (&message.topic).into(),
            event,
            payload: &message.payload,
        };
        let mut buffer = b"before".to_vec();
        let Ok(kind) = serializer.encode(&outgoing, &mut buffer) else {
            assert_eq!(buffer, b"before", "what failed leaves nothing behind");
            continue;
        };
        let encoded = buffer.strip_prefix(b"before").unwrap_or_default();
        if kind == Kind::Binary {
            assert!(encoded.ends_with(message.payload.as_binary().map_or(&[][..], |it| it)));
            continue;
        }
        let text = std::str::from_utf8(encoded).unwrap_or_default();
        let again = serializer.decode(Frame::Text(text));
        assert!(
            again
                .as_ref()
                .is_ok_and(|it| says_the_same(serializer, it, message)),
            "{message:?} became {text:?} and that {again:?}"
        );
    }
}

fn says_the_same(serializer: Serializer, again: &Message, message: &Message) -> bool {
    again.topic == message.topic
        && again.event == message.event
        && again.r#ref == message.r#ref
        && again.payload.as_json() == message.payload.as_json()
        // V1 has no place for it.
        && (serializer == Serializer::V1 || again.join_ref == message.join_ref)
}
