//! A client's WebSocket frames, right and wrong ones: nothing is checked here that isn't asked for.

/// A text message.
pub(crate) const TEXT: u8 = 1;
/// A binary message.
pub(crate) const BINARY: u8 = 2;
/// The next part of a message.
pub(crate) const CONTINUATION: u8 = 0;
/// The end of a connection.
pub(crate) const CLOSE: u8 = 8;
/// What has to be answered with a pong.
pub(crate) const PING: u8 = 9;
/// The last frame of its message.
pub(crate) const FIN: u8 = 0x80;
/// The bit that stands for a compressed message.
pub(crate) const RSV1: u8 = 0x40;

/// The key that all our frames are masked with.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame. `first` is its first byte: the opcode and the bits before it.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    for (byte, key) in bytes.iter_mut().skip(at).zip(MASK.iter().cycle()) {
        *byte ^= key;
    }
    bytes
}

/// The header of a masked frame that says it has `length` bytes, and the key.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes
}

/// A text message in one frame.
pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text.as_bytes())
}

/// A binary message in one frame.
pub(crate) fn binary(bytes: &[u8]) -> Vec<u8> {
    frame(FIN | BINARY, bytes)
}

/// A push of the second serializer. `payload` is JSON.
pub(crate) fn push(refs: [&str; 2], topic: &str, event: &str, payload: &str) -> Vec<u8> {
    text(&message(refs, topic, event, payload))
}

/// The text of a push.
pub(crate) fn message(
    [join_ref, reference]: [&str; 2],
    topic: &str,
    event: &str,
    payload: &str,
) -> String {
    format!(r#"["{join_ref}","{reference}","{topic}","{event}",{payload}]"#)
}
