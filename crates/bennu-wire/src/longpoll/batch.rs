//! The body of a POST: one message, or a batch of them.

use std::{error, fmt, str};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::Frame;

/// Entries in one body. Phoenix handles as many and forgets the rest; here the whole body is refused.
pub const BATCH_ENTRIES_MAX: usize = 100;

const NDJSON: &str = "application/x-ndjson";

/// Phoenix's clients pad; what isn't padded is as clear.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The messages of a posted body, in order (`Phoenix.Transports.LongPoll`).
///
/// A body of type `application/x-ndjson` has a message on each line: a text where the line starts with `[` or `{`,
/// else the Base64 of a binary frame. Empty lines count for nothing. Any other body is one text.
///
/// ```
/// use bennu_wire::longpoll::{Batch, Entry};
///
/// let body = "[null,\"1\",\"phoenix\",\"heartbeat\",{}]\nAAEC\n";
/// let mut batch = Batch::new(Some("application/x-ndjson; charset=utf-8"), body.into())?;
/// assert_eq!(batch.next(), Some(Ok(Entry::Text(r#"[null,"1","phoenix","heartbeat",{}]"#.into()))));
/// assert_eq!(batch.next(), Some(Ok(Entry::Binary(vec![0, 1, 2]))));
/// assert_eq!(batch.next(), None);
/// # Ok::<(), bennu_wire::longpoll::BatchError>(())
/// ```
#[derive(Debug)]
pub struct Batch {
    /// What isn't read yet.
    body: Option<Bytes>,
    lines: bool,
}

/// One message of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A text.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
}

impl Entry {
    /// The same as a frame, ready for [`Serializer::decode`](crate::Serializer::decode).
    #[must_use]
    pub fn as_frame(&self) -> Frame<'_> {
        match self {
            Self::Text(text) => Frame::Text(text),
            Self::Binary(bytes) => Frame::Binary(bytes),
        }
    }

    /// Bytes of the message.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl Batch {
    /// Takes a body of this content type.
    ///
    /// # Errors
    /// When it has more than [`BATCH_ENTRIES_MAX`] entries.
    pub fn new(content_type: Option<&str>, body: Bytes) -> Result<Self, BatchError> {
        let media_type = content_type.unwrap_or_default().split(';').next();
        let lines = media_type.is_some_and(|it| it.trim().eq_ignore_ascii_case(NDJSON));
        if lines {
            let entries = body
                .split(|&byte| byte == b'\n')
                .filter(|line| !trimmed(line).is_empty());
            if entries.take(BATCH_ENTRIES_MAX + 1).count() > BATCH_ENTRIES_MAX {
                return Err(BatchError::TooManyEntries);
            }
        }
        Ok(Self {
            body: Some(body),
            lines,
        })
    }

    /// The next line that isn't empty.
    fn line(&mut self) -> Option<Bytes> {
        loop {
            let body = self.body.as_mut()?;
            let line = match memchr::memchr(b'\n', body) {
                Some(end) => {
                    let mut line = body.split_to(end + 1);
                    line.truncate(end);
                    line
                }
                None => self.body.take()?,
            };
            let length = trimmed(&line).len();
            if length > 0 {
                return Some(line.slice(..length));
            }
        }
    }
}

impl Iterator for Batch {
    type Item = Result<Entry, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.lines {
            return self.body.take().map(|body| text(&body));
        }
        let line = self.line()?;
        Some(match line.first() {
            // Neither starts anything in Base64, so texts of serializer V1 are welcome as well.
            Some(b'[' | b'{') => text(&line),
            _ => BASE64
                .decode(&line)
                .map(Entry::Binary)
                .map_err(|_| BatchError::Base64),
        })
    }
}

/// Lines may end in `\r\n`.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn text(bytes: &[u8]) -> Result<Entry, BatchError> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok(Entry::Text(text.to_owned())),
        Err(_) => Err(BatchError::Utf8),
    }
}

/// Why a body, or an entry of it, is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// A body has more entries than [`BATCH_ENTRIES_MAX`].
    TooManyEntries,
    /// A text isn't UTF-8.
    Utf8,
    /// A line is neither JSON nor Base64.
    Base64,
}

impl BatchError {
    /// What the answer's body gives as status: 413 or 400.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TooManyEntries => 413,
            Self::Utf8 | Self::Base64 => 400,
        }
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyEntries => write!(f, "a batch may have {BATCH_ENTRIES_MAX} entries"),
            Self::Utf8 => f.write_str("an entry isn't UTF-8"),
            Self::Base64 => f.write_str("an entry is neither JSON nor Base64"),
        }
    }
}

impl error::Error for BatchError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries are told as `text`, `0x00ff` or the status of their error.
    #[track_caller]
    fn check(content_type: Option<&str>, body: &[u8], expected: &[&str]) {
        let entries: Vec<_> = match Batch::new(content_type, Bytes::copy_from_slice(body)) {
            Ok(batch) => batch.map(shown).collect(),
            Err(error) => vec![error.status().to_string()],
        };
        assert_eq!(entries, expected, "{content_type:?} {body:?}");
    }

    fn shown(entry: Result<Entry, BatchError>) -> String {
        match entry {
            Ok(Entry::Text(text)) => text,
            Ok(Entry::Binary(bytes)) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("0x{digits}")
            }
            Err(error) => error.status().to_string(),
        }
    }

    #[test]
    fn a_body_of_any_other_type_is_one_text() {
        for content_type in [None, Some(""), Some("application/json"), Some("text/plain")] {
            check(content_type, b"[1]\n[2]\n", &["[1]\n[2]\n"]);
            check(content_type, b"", &[""]);
        }
        check(None, b"\xff", &["400"]);
    }

    #[test]
    fn the_media_type_is_compared_without_its_parameters() {
        for content_type in [
            "application/x-ndjson",
            "application/x-ndjson; charset=utf-8",
            "application/x-ndjson;charset=utf-8",
            "Application/X-NDJSON ;a=b",
        ] {
            check(Some(content_type), b"[1]\n[2]", &["[1]", "[2]"]);
        }
        for content_type in ["application/x-ndjsonp", "application/x-ndjson2", "x-ndjson"] {
            check(Some(content_type), b"[1]\n[2]", &["[1]\n[2]"]);
        }
    }

    #[test]
    fn lines_are_texts_or_binary_frames() {
        let check = |body, expected: &[&str]| check(Some(NDJSON), body, expected);
        check(b"[1]\nAP8=\n{\"a\":1}", &["[1]", "0x00ff", "{\"a\":1}"]);
        check(b"[1]\r\nAP8=\r\n[2]", &["[1]", "0x00ff", "[2]"]);
        check(b"AP8", &["0x00ff"]);
        check(b"", &[]);
        check(b"[1]\n", &["[1]"]);
        check(b"\n\n[1]\n\r\n\n[2]\r\n", &["[1]", "[2]"]);
    }

    #[test]
    fn a_bad_entry_costs_no_other() {
        let check = |body, expected: &[&str]| check(Some(NDJSON), body, expected);
        check(b"[1]\n!\n[2]", &["[1]", "400", "[2]"]);
        check(b"[\xff]\n[2]", &["400", "[2]"]);
        check(b"AP8=AP8=", &["400"]);
        check(b"_-8=", &["400"]);
    }

    #[test]
    fn a_batch_has_a_hundred_entries_and_not_one_more() {
        let body = |entries: usize| "[1]\n\n".repeat(entries);
        let hundred = vec!["[1]"; BATCH_ENTRIES_MAX];
        check(Some(NDJSON), body(BATCH_ENTRIES_MAX).as_bytes(), &hundred);
        check(
            Some(NDJSON),
            body(BATCH_ENTRIES_MAX + 1).as_bytes(),
            &["413"],
        );
        check(Some(NDJSON), "\n".repeat(10_000).as_bytes(), &[]);
    }

    #[test]
    fn no_bytes_at_all_break_it() {
        let alphabet: [&[u8]; 9] = [
            b"[", b"{}", b"\n", b"\r", b"A", b"AAAA", b"=", b"\xff", b"\0",
        ];
        let mut seed = 7_u64;
        for _ in 0..20_000 {
            let mut body = Vec::new();
            while seed >> 60 != 0 {
                seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                body.extend_from_slice(alphabet[(seed >> 33) as usize % alphabet.len()]);
            }
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(3);
            let lines = body.split(|&it| it == b'\n');
            let expected = lines.filter(|it| !matches!(it, [] | [b'\r'])).count();
            match Batch::new(Some(NDJSON), Bytes::from(body)) {
                Ok(batch) => assert_eq!(batch.count(), expected),
                Err(error) => assert!(error.status() == 413 && expected > BATCH_ENTRIES_MAX),
            }
        }
    }
}
