//! Frames for a client: never masked, never fragmented (RFC 6455 sections 5.1 and 5.2).
//!
//! [`frame`] makes one from a payload at hand. To encode a payload straight into place, leave room for the header with
//! [`begin_frame`], append the payload, and let [`finish_frame`] fill the room: then the payload isn't moved.

use bytes::Bytes;

use crate::frame::{CONTROL_BYTES_MAX, Opcode};

/// The longest header of a server's frame: two bytes and eight of length.
pub const HEADER_BYTES_MAX: usize = 10;

/// The header of one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl Header {
    /// Its 2, 4 or 10 bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

/// The header of a whole message of `payload_len` bytes, or of a control frame.
///
/// `compressed` says that the payload is what [`Deflater::deflate`](crate::Deflater::deflate) made, for a client with
/// whom permessage-deflate was agreed on.
///
/// ```
/// use bennu_websocket::{Opcode, encoder};
///
/// assert_eq!(encoder::header(Opcode::Text, false, 5).as_slice(), [0x81, 5]);
/// assert_eq!(encoder::header(Opcode::Binary, false, 256).as_slice(), [0x82, 126, 1, 0]);
/// assert_eq!(encoder::header(Opcode::Text, true, 7).as_slice(), [0xc1, 7]);
/// ```
#[must_use]
pub const fn header(opcode: Opcode, compressed: bool, payload_len: usize) -> Header {
    let first = 0x80 | ((compressed as u8) << 6) | opcode as u8;
    let [.., e, f, g, h] = (payload_len as u64).to_be_bytes();
    let (bytes, len) = match payload_len {
        0..=125 => ([first, h, 0, 0, 0, 0, 0, 0, 0, 0], 2),
        126..=0xffff => ([first, 126, g, h, 0, 0, 0, 0, 0, 0], 4),
        _ => {
            let [a, b, c, d, ..] = (payload_len as u64).to_be_bytes();
            ([first, 127, a, b, c, d, e, f, g, h], 10)
        }
    };
    Header { bytes, len }
}

/// One frame, in exactly as many bytes as it takes.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let header = header(opcode, false, payload.len());
    let mut frame = Vec::with_capacity(header.as_slice().len() + payload.len());
    frame.extend_from_slice(header.as_slice());
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

/// A close frame. A `reason` of more than 123 bytes is cut off at a character.
///
/// ```
/// use bennu_websocket::encoder;
///
/// assert_eq!(encoder::close(1001, "idle"), &b"\x88\x06\x03\xe9idle"[..]);
/// ```
#[must_use]
pub fn close(code: u16, reason: &str) -> Bytes {
    let code = code.to_be_bytes();
    let mut end = reason.len().min(CONTROL_BYTES_MAX - code.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = reason.get(..end).unwrap_or_default();
    frame(Opcode::Close, &[&code, reason.as_bytes()].concat())
}

/// A ping. A `payload` of more than 125 bytes is cut off.
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    frame(
        Opcode::Ping,
        payload.get(..CONTROL_BYTES_MAX).unwrap_or(payload),
    )
}

/// A pong, with the payload of the ping that it answers. A `payload` of more than 125 bytes is cut off.
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    frame(
        Opcode::Pong,
        payload.get(..CONTROL_BYTES_MAX).unwrap_or(payload),
    )
}

/// Leaves room for a header at the end of `scratch`, and returns where the room begins. Append the payload next.
pub fn begin_frame(scratch: &mut Vec<u8>) -> usize {
    let room = scratch.len();
    scratch.extend_from_slice(&[0; HEADER_BYTES_MAX]);
    room
}

/// Writes the header for all that was appended since [`begin_frame`] returned `room`, and returns the frame.
///
/// The header stands right before the payload, so that up to eight bytes of the room stay unused before it; the returned
/// slice begins after them. If `scratch` was cut back into the room, the frame is empty.
///
/// ```
/// use bennu_websocket::{Opcode, encoder};
///
/// let mut scratch = Vec::new();
/// let room = encoder::begin_frame(&mut scratch);
/// scratch.extend_from_slice(b"[null,null,\"room:1\",\"tick\",{}]");
/// let frame = encoder::finish_frame(&mut scratch, room, Opcode::Text, false);
/// assert_eq!(frame, b"\x81\x1e[null,null,\"room:1\",\"tick\",{}]");
/// ```
pub fn finish_frame(scratch: &mut [u8], room: usize, opcode: Opcode, compressed: bool) -> &[u8] {
    let Some(frame) = scratch.get_mut(room..) else {
        return &[];
    };
    let Some(payload_len) = frame.len().checked_sub(HEADER_BYTES_MAX) else {
        return &[];
    };
    let header = header(opcode, compressed, payload_len);
    let header = header.as_slice();
    let Some(frame) = frame.get_mut(HEADER_BYTES_MAX - header.len()..) else {
        return &[];
    };
    for (byte, header) in frame.iter_mut().zip(header) {
        *byte = *header;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        let check = |len: usize, expected: &[u8]| {
            assert_eq!(
                header(Opcode::Binary, false, len).as_slice(),
                expected,
                "{len}"
            );
        };
        check(0, &[0x82, 0]);
        check(125, &[0x82, 125]);
        check(126, &[0x82, 126, 0, 126]);
        check(65_535, &[0x82, 126, 255, 255]);
        check(65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        check(10_000_000, &[0x82, 127, 0, 0, 0, 0, 0, 0x98, 0x96, 0x80]);
    }

    #[test]
    fn a_frame_finished_in_place_is_the_frame_made_at_once() {
        let mut scratch = b"earlier".to_vec();
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..=255).cycle().take(len).collect();
            let room = begin_frame(&mut scratch);
            scratch.extend_from_slice(&payload);
            let finished = finish_frame(&mut scratch, room, Opcode::Text, false);
            assert_eq!(finished, frame(Opcode::Text, &payload));
        }
        assert!(scratch.starts_with(b"earlier"));
    }

    #[test]
    fn a_scratch_without_its_room_makes_an_empty_frame() {
        assert_eq!(finish_frame(&mut [0; 9], 0, Opcode::Text, false), b"");
        assert_eq!(finish_frame(&mut [0; 9], 10, Opcode::Text, false), b"");
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let check = |reason: &str, expected_len: usize| {
            let frame = close(1008, reason);
            assert_eq!(usize::from(frame[1]), 2 + expected_len);
            assert_eq!(&frame[4..], &reason.as_bytes()[..expected_len]);
        };
        check("", 0);
        check(&"x".repeat(123), 123);
        check(&"x".repeat(124), 123);
        check(&"é".repeat(62), 122);
        check(&"😀".repeat(31), 120);
    }

    #[test]
    fn control_frames_are_cut_at_125_bytes() {
        assert_eq!(ping(&[7; 200]), [&[0x89, 125][..], &[7; 125]].concat());
        assert_eq!(pong(b"x"), &b"\x8a\x01x"[..]);
    }
}
