//! Frames to messages and back: golden ones, hostile ones, and random ones.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails this way"
)]

mod binary;
mod hostile;
mod round_trip;
mod text;

use bennu_wire::{
    DecodeError, EncodeError, Frame, Kind, Message, NameRef, Outgoing, Payload, Ref, Serializer,
};

/// A decoded message as one line: refs and payload as JSON (bytes as hex), names as they are.
fn line(message: &Message) -> String {
    let payload = match message.payload.as_json() {
        Some(json) => json.to_owned(),
        None => format!("#{}", hex(message.payload.as_binary().unwrap())),
    };
    format!(
        "{:?} {:?} {} {} {payload}",
        message.join_ref, message.r#ref, message.topic, message.event
    )
}

fn decode(serializer: Serializer, text: &str) -> Result<String, DecodeError> {
    serializer
        .decode(Frame::Text(text))
        .map(|message| line(&message))
}

/// Encodes behind what is in the buffer already, which must stay, whatever happens.
fn encode(serializer: Serializer, outgoing: &Outgoing<'_>) -> Result<(Kind, Vec<u8>), EncodeError> {
    let mut buffer = b"before".to_vec();
    let kind = serializer.encode(outgoing, &mut buffer);
    let rest = buffer.split_off(6);
    assert_eq!(buffer, b"before");
    assert!(
        kind.is_ok() || rest.is_empty(),
        "an error left {rest:?} behind"
    );
    Ok((kind?, rest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|it| it.to_digit(16))
        .map(|it| u8::try_from(it).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn push<'a>(
    refs: [&'a Ref; 2],
    topic: &'a str,
    event: &'a str,
    payload: &'a Payload,
) -> Outgoing<'a> {
    let [join_ref, r#ref] = refs;
    Outgoing::Push {
        join_ref,
        r#ref,
        topic: NameRef::Text(topic),
        event,
        payload,
    }
}

fn reply<'a>(
    refs: [&'a Ref; 2],
    topic: &'a str,
    status: &'a str,
    response: &'a Payload,
) -> Outgoing<'a> {
    let [join_ref, r#ref] = refs;
    Outgoing::Reply {
        join_ref,
        r#ref,
        topic: NameRef::Text(topic),
        status,
        response,
    }
}
