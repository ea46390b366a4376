//! Text that arrives in pieces and is checked as it arrives.

/// A string under construction, and the first bytes of a character that the last piece broke off in.
///
/// Each byte is validated once, in the piece it came in, and wrong ones are refused there: RFC 6455 section 8.1 wants the
/// connection failed, and the sooner the better for both sides.
#[derive(Default, Debug)]
pub(crate) struct Text {
    valid: String,
    tail: [u8; 3],
    tail_len: usize,
}

/// The bytes so far can't be the beginning of UTF-8.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct NotUtf8;

impl Text {
    /// Bytes so far, those of an unfinished character included.
    pub(crate) fn len(&self) -> usize {
        self.valid.len() + self.tail_len
    }

    pub(crate) fn capacity(&self) -> usize {
        self.valid.capacity()
    }

    /// Makes room for text of `capacity` bytes in all.
    pub(crate) fn reserve_exact(&mut self, capacity: usize) {
        self.valid
            .reserve_exact(capacity.saturating_sub(self.valid.len()));
    }

    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.tail_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else {
                return Ok(());
            };
            piece = rest;
            self.finish_character(byte)?;
        }
        let (whole, tail) = piece
            .split_at_checked(piece.len() - unfinished_len(piece))
            .ok_or(NotUtf8)?;
        self.valid
            .push_str(simdutf8::basic::from_utf8(whole).map_err(|_| NotUtf8)?);
        for &byte in tail {
            self.finish_character(byte)?;
        }
        Ok(())
    }

    /// The whole text, unless it ends within a character.
    pub(crate) fn finish(self) -> Result<String, NotUtf8> {
        if self.tail_len == 0 {
            Ok(self.valid)
        } else {
            Err(NotUtf8)
        }
    }

    /// Adds one byte to the unfinished character, which may thereby be finished, or be shown to be none.
    fn finish_character(&mut self, byte: u8) -> Result<(), NotUtf8> {
        let [a, b, c] = self.tail;
        let mut bytes = [a, b, c, 0];
        *bytes.get_mut(self.tail_len).ok_or(NotUtf8)? = byte;
        match std::str::from_utf8(bytes.get(..=self.tail_len).ok_or(NotUtf8)?) {
            Ok(character) => {
                self.valid.push_str(character);
                self.tail_len = 0;
            }
            Err(error) if error.error_len().is_none() => {
                *self.tail.get_mut(self.tail_len).ok_or(NotUtf8)? = byte;
                self.tail_len += 1;
            }
            Err(_) => return Err(NotUtf8),
        }
        Ok(())
    }
}

/// How many of the last bytes, three at most, begin a character that they don't finish.
fn unfinished_len(piece: &[u8]) -> usize {
    for (index, byte) in piece.iter().rev().take(3).enumerate() {
        let len = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            0x00..=0x7f => 1,
        };
        return if index + 1 < len { index + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index of the byte after which the text is refused, if it is; pushed byte by byte.
    fn refused_at(bytes: &[u8]) -> Option<usize> {
        let mut text = Text::default();
        (0..bytes.len()).find(|&index| text.push(&bytes[index..=index]).is_err())
    }

    #[test]
    fn text_cut_anywhere_is_the_same_text() {
        let whole = "aé€😀z\u{7ff}\u{ffff}\u{10ffff}";
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let mut text = Text::default();
                for piece in [
                    &whole.as_bytes()[..first],
                    &whole.as_bytes()[first..second],
                    &whole.as_bytes()[second..],
                ] {
                    text.push(piece).unwrap();
                }
                assert_eq!(text.len(), whole.len());
                assert_eq!(text.finish().as_deref(), Ok(whole));
            }
        }
    }

    #[test]
    fn a_wrong_byte_is_refused_at_once() {
        for (bytes, expected) in [
            (&b"\xff"[..], Some(0)),
            (b"\x80", Some(0)),
            (b"\xc0\x80", Some(0)),
            (b"\xe0\x80", Some(1)),
            (b"\xed\xa0\x80", Some(1)),
            (b"\xf4\x90\x80\x80", Some(1)),
            (b"\xf5", Some(0)),
            (b"ab\xce\xba\xcex", Some(5)),
            (b"\xf0\x9f\x98x", Some(3)),
            (b"\xf0\x9f\x98\x80", None),
        ] {
            assert_eq!(refused_at(bytes), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn pieces_are_refused_exactly_when_no_continuation_could_save_them() {
        // Every sequence of up to three bytes out of those at which UTF-8's rules turn, judged against the standard library.
        let turning = [
            0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef,
            0xf0, 0xf4, 0xf5,
        ];
        for a in turning {
            for b in turning {
                for c in turning {
                    let bytes = [a, b, c];
                    let hopeless =
                        std::str::from_utf8(&bytes).is_err_and(|error| error.error_len().is_some());
                    let mut text = Text::default();
                    assert_eq!(text.push(&bytes).is_err(), hopeless, "{bytes:x?}");
                    assert_eq!(
                        refused_at(&bytes).is_some(),
                        hopeless,
                        "{bytes:x?} byte by byte"
                    );
                    if !hopeless {
                        assert_eq!(
                            text.finish().is_ok(),
                            std::str::from_utf8(&bytes).is_ok(),
                            "{bytes:x?} as a whole"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_that_ends_within_a_character_is_refused() {
        let mut text = Text::default();
        text.push("ab€".as_bytes().split_last().unwrap().1).unwrap();
        assert_eq!(text.finish(), Err(NotUtf8));
    }
}
