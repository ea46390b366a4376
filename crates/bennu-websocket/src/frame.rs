//! The header of a client's frame (RFC 6455 section 5.2).

use crate::close::CloseError;

/// What a frame is (RFC 6455 section 5.2, `opcode`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of the message under way.
    Continuation = 0x0,
    /// A message of UTF-8, or its first fragment.
    Text = 0x1,
    /// A message of bytes, or its first fragment.
    Binary = 0x2,
    /// The last frame that its sender sends.
    Close = 0x8,
    /// To be answered with a pong of the same payload.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is a close, a ping or a pong: those are never fragmented, nor longer than 125 bytes.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }
}

/// The longest header that a client can send: two bytes, eight of length, four of mask.
pub(crate) const CLIENT_HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// A header that is right by itself. Whether it may follow what came before it, and isn't too long, is the decoder's to say.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    /// RSV1, which permessage-deflate sets on the first frame of a compressed message.
    pub(crate) compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: [u8; 4],
    pub(crate) payload_len: u64,
    /// Bytes of the header itself.
    pub(crate) len: usize,
}

impl Header {
    /// The header at the start of `bytes`, or `None` if it isn't all there, in which case what is there breaks no rule.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, CloseError> {
        let Some((first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let (fin, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
        let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
            return Err(CloseError::protocol("unknown opcode"));
        };
        if first & 0x30 != 0 || (compressed && opcode.is_control()) {
            return Err(CloseError::protocol("reserved bit set"));
        }
        if opcode.is_control() && !fin {
            return Err(CloseError::protocol("fragmented control frame"));
        }

        let Some((second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(CloseError::protocol("frame without a mask"));
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(CloseError::protocol("control frame too long"));
        }
        let Some((payload_len, rest)) = payload_len(short, rest)? else {
            return Ok(None);
        };
        let Some((&mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let len = bytes.len() - rest.len();
        Ok(Some(Self {
            fin,
            compressed,
            opcode,
            mask,
            payload_len,
            len,
        }))
    }
}

/// The payload's length and the bytes after it.
pub(crate) fn payload_len(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, CloseError> {
    let (len, rest, len_min) = match short {
        126 => {
            let Some((len, rest)) = bytes.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes(*len)), rest, 126)
        }
        127 => {
            let Some((len, rest)) = bytes.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*len), rest, 1 << 16)
        }
        short => (u64::from(short), bytes, 0),
    };
    if len < len_min {
        return Err(CloseError::protocol("length not in its shortest form"));
    }
    if len >> 63 != 0 {
        return Err(CloseError::protocol("length out of range"));
    }
    Ok(Some((len, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_header_is_refused_by_its_first_wrong_byte() {
        let check = |bytes: &[u8], reason: &str| {
            assert_eq!(
                Header::parse(bytes).map_err(|error| error.reason()),
                Err(reason),
                "{bytes:x?}"
            );
            assert_eq!(
                Header::parse(&bytes[..bytes.len() - 1]),
                Ok(None),
                "{bytes:x?} without its last byte"
            );
        };
        for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            check(&[0x80 | opcode], "unknown opcode");
            check(&[opcode], "unknown opcode");
        }
        for first in [0xa1, 0x91, 0xb1, 0xf1, 0x20, 0x10, 0xc8, 0xc9, 0xca, 0xa8] {
            check(&[first], "reserved bit set");
        }
        for first in [0x08, 0x09, 0x0a] {
            check(&[first], "fragmented control frame");
        }
        check(&[0x81, 0x05], "frame without a mask");
        check(&[0x81, 0x7f], "frame without a mask");
        for second in [0xfe, 0xff] {
            check(&[0x88, second], "control frame too long");
        }
        check(&[0x81, 0xfe, 0, 125], "length not in its shortest form");
        check(
            &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            "length not in its shortest form",
        );
        check(
            &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
            "length out of range",
        );
    }

    #[test]
    fn a_header_is_whole_with_its_last_byte() {
        let check = |bytes: &[u8], payload_len: u64| {
            for cut in 0..bytes.len() {
                assert_eq!(
                    Header::parse(&bytes[..cut]),
                    Ok(None),
                    "{bytes:x?} cut at {cut}"
                );
            }
            let expected = Header {
                fin: bytes[0] & 0x80 != 0,
                compressed: bytes[0] & 0x40 != 0,
                opcode: Opcode::from_bits(bytes[0] & 15).unwrap(),
                mask: [1, 2, 3, 4],
                payload_len,
                len: bytes.len(),
            };
            let with_payload = [bytes, b"payload"].concat();
            assert_eq!(Header::parse(&with_payload), Ok(Some(expected)));
        };
        check(&[0x81, 0x80, 1, 2, 3, 4], 0);
        check(&[0x02, 0xfd, 1, 2, 3, 4], 125);
        check(&[0xc1, 0xfe, 0, 126, 1, 2, 3, 4], 126);
        check(&[0x00, 0xfe, 0xff, 0xff, 1, 2, 3, 4], 65_535);
        check(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4], 65_536);
        check(
            &[
                0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4,
            ],
            u64::MAX >> 1,
        );
        check(&[0x8a, 0x80, 1, 2, 3, 4], 0);
    }
}
