//! WebSocket frames, the client's side: masked as they go (RFC 6455 section 5.3), whole and plain as a server of ours
//! sends them.

use bennu_websocket::{Opcode, encoder};
use bytes::{Buf, Bytes, BytesMut};

/// A mask has to be there, and shall not be zeros; nobody listens in whom a random one could keep out.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The bit of the second byte that says that a mask follows.
const MASKED: u8 = 0x80;

/// A frame from the client.
pub(super) fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = encoder::header(opcode, false, payload.len())
        .as_slice()
        .to_vec();
    if let Some(second) = frame.get_mut(1) {
        *second |= MASKED;
    }
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(it, mask)| it ^ mask),
    );
    frame
}

/// A close frame from the client.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    masked(Opcode::Close, &payload)
}

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    Close { code: Option<u16>, reason: String },
}

/// What came from the server and isn't taken yet.
#[derive(Debug, Default)]
pub(super) struct Frames(BytesMut);

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// The error says what a server of ours never sends: fragments, compressed or masked frames, text that isn't
    /// UTF-8.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, String> {
        let Some((first, len, header_len)) = header(&self.0)? else {
            return Ok(None);
        };
        if self.0.len() - header_len < len {
            return Ok(None);
        }
        self.0.advance(header_len);
        let payload = self.0.split_to(len).freeze();
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|error| format!("no UTF-8: {error}"))
        };
        Ok(Some(match first {
            0x81 => Frame::Text(text(&payload)?),
            0x82 => Frame::Binary(payload),
            0x88 => match payload.split_first_chunk() {
                Some((code, reason)) => Frame::Close {
                    code: Some(u16::from_be_bytes(*code)),
                    reason: text(reason)?,
                },
                None => Frame::Close {
                    code: None,
                    reason: String::new(),
                },
            },
            0x89 => Frame::Ping(payload),
            0x8a => Frame::Pong,
            other => return Err(format!("a frame that begins with {other:#04x}")),
        }))
    }
}

/// The first byte, the payload's length and the header's, once they are there.
fn header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, String> {
    let (first, len, header_len) = match bytes {
        [_, second, ..] if second & MASKED != 0 => return Err("a masked frame".to_owned()),
        [first, len @ ..126, ..] => (*first, u64::from(*len), 2),
        [first, 126, a, b, ..] => (*first, u64::from(u16::from_be_bytes([*a, *b])), 4),
        [first, 127, a, b, c, d, e, f, g, h, ..] => {
            let len = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (*first, len, 10)
        }
        _ => return Ok(None),
    };
    let len = usize::try_from(len).map_err(|_| format!("a frame of {len} bytes"))?;
    Ok(Some((first, len, header_len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &Result<Option<Frame>, &str>) {
        let mut frames = Frames::default();
        // However the stream cuts it up.
        for byte in bytes.split_last().map_or(&[][..], |(_, rest)| rest) {
            frames.push(&[*byte]);
            assert!(matches!(frames.next(), Ok(None) | Err(_)));
        }
        frames.push(bytes.last().map_or(&[][..], std::slice::from_ref));
        assert_eq!(
            &frames.next().as_ref().map_err(String::as_str).cloned(),
            expected
        );
    }

    #[test]
    fn frames_of_the_server_are_read_however_they_are_cut() {
        check(b"\x81\x05Hello", &Ok(Some(Frame::Text("Hello".into()))));
        check(b"\x82\x00", &Ok(Some(Frame::Binary(Bytes::new()))));
        check(b"\x89\x01x", &Ok(Some(Frame::Ping("x".into()))));
        let long = [b"\x82\x7e\x01\x00".to_vec(), vec![7; 256]].concat();
        check(&long, &Ok(Some(Frame::Binary(vec![7; 256].into()))));
        let longer = [b"\x82\x7f\0\0\0\0\0\x01\0\0".to_vec(), vec![7; 65536]].concat();
        check(&longer, &Ok(Some(Frame::Binary(vec![7; 65536].into()))));
        let close = Frame::Close {
            code: Some(1001),
            reason: "idle".into(),
        };
        check(b"\x88\x06\x03\xe9idle", &Ok(Some(close)));
        check(b"\x01\x01x", &Err("a frame that begins with 0x01"));
        check(b"\x81\x81", &Err("a masked frame"));
    }

    #[test]
    fn frames_of_the_client_are_masked() {
        assert_eq!(
            masked(Opcode::Text, b"Hello"),
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(masked(Opcode::Binary, &[0; 200])[..4], *b"\x82\xfe\x00\xc8");
    }
}
