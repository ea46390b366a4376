//! The client's half, for programs that hold very many connections: a load generator, tests.
//!
//! What the rest of this crate does for a server, the other way round: a handshake is asked for, frames go out masked,
//! and come in plain. It agrees on no extension, so compressed frames are refused.
//!
//! ```
//! use bennu_websocket::{Event, Opcode, client};
//!
//! // The nonce of RFC 6455 section 1.3; a real one is random.
//! let handshake = client::Handshake::new(*b"the sample nonce");
//! let mut request = Vec::new();
//! handshake.request("example.com", "/socket/websocket?vsn=2.0.0", &[("origin", "http://example.com")], &mut request)?;
//! let head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
//!     sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
//! assert_eq!(handshake.response(head)?, Some(head.len()));
//!
//! let mut out = Vec::new();
//! client::frame(Opcode::Text, [0x37, 0xfa, 0x21, 0x3d], b"Hello", &mut out);
//! assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
//!
//! let mut decoder = client::Decoder::new(1024);
//! assert_eq!(decoder.decode(b"\x81\x02hi")?, (4, Some(Event::Text("hi".into()))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decoder;
mod handshake;

pub use decoder::Decoder;
pub use handshake::{Handshake, RequestError, ResponseError};

use crate::frame::Opcode;
use crate::{encoder, mask};

/// Appends one whole frame with this mask to `out`.
///
/// A browser's masks are random, so that no script can choose what an intermediary reads (RFC 6455 section 10.3);
/// where nobody's script chooses the payload a fixed one serves as well.
pub fn frame(opcode: Opcode, mask: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    let header = encoder::header(opcode, false, payload.len());
    let at = out.len();
    out.extend_from_slice(header.as_slice());
    if let Some(second) = out.get_mut(at + 1) {
        *second |= 0x80;
    }
    out.extend_from_slice(&mask);
    let at = out.len();
    out.extend_from_slice(payload);
    mask::unmask(out.get_mut(at..).unwrap_or_default(), mask);
}

/// Appends a close frame. A `reason` of more than 123 bytes is cut off at a character.
pub fn close(code: u16, reason: &str, mask: [u8; 4], out: &mut Vec<u8>) {
    let plain = encoder::close(code, reason);
    // Two bytes of header: a close has no more than 125 of payload.
    frame(Opcode::Close, mask, plain.get(2..).unwrap_or_default(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Event, Inflater};

    #[test]
    fn a_server_reads_what_a_client_writes() {
        let check = |len: usize| {
            let payload: Vec<u8> = (0..len).map(|it| it as u8).collect();
            let mut out = b"before".to_vec();
            frame(Opcode::Binary, [9, 8, 7, 6], &payload, &mut out);
            let mut input = out.split_off(6);
            assert_eq!(out, b"before");
            let whole = input.len();
            let (used, event) = crate::Decoder::default()
                .decode(&Config::default(), &mut Inflater::default(), &mut input)
                .unwrap();
            assert_eq!(used, whole);
            assert_eq!(event, Some(Event::Binary(payload.into())));
        };
        for len in [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 70_001] {
            check(len);
        }
    }

    #[test]
    fn a_close_is_read_with_its_code_and_reason() {
        let mut out = Vec::new();
        close(1000, "done", [1, 2, 3, 4], &mut out);
        let (_, event) = crate::Decoder::default()
            .decode(&Config::default(), &mut Inflater::default(), &mut out)
            .unwrap();
        assert_eq!(event, Some(Event::Close(Some((1000, "done".into())))));
    }
}
