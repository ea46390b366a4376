//! What can be wrong with what a peer sent, and with what we were asked to send.

use std::{borrow::Cow, error, fmt};

use serde::de;

/// Longest text of a [`DecodeError`]. Serde quotes what it found, and what it found may be megabytes.
const TEXT_BYTES_MAX: usize = 300;
/// How much of an unknown event's name is repeated, so that the names that would have been right still fit.
const EVENT_BYTES_MAX: usize = 64;

/// A frame that is no message, or a payload that is not what was asked for.
///
/// The text says what was expected and what was found, in words a client may see, and is at most 300 bytes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    cause: Cause,
    text: Cow<'static, str>,
}

/// Why something did not decode: a label to count by, and the reason to close with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Bytes that should be text are not UTF-8.
    Utf8,
    /// Text that should be JSON is not.
    Json,
    /// JSON that is not a message of the serializer in use.
    Shape,
    /// JSON nested deeper than `DecodeLimits::depth_max`.
    Depth,
    /// A binary frame that is cut short or of an unknown kind.
    Frame,
    /// A topic, event or ref longer than `DecodeLimits` allow.
    Size,
    /// An event the receiver has no name for.
    Event,
    /// A payload that is not of the type asked for.
    Payload,
}

impl Cause {
    /// A metric label: one lowercase word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Json => "json",
            Self::Shape => "shape",
            Self::Depth => "depth",
            Self::Frame => "frame",
            Self::Size => "size",
            Self::Event => "event",
            Self::Payload => "payload",
        }
    }

    /// The text for a close frame, far below the 123 bytes RFC 6455 section 5.5 leaves for it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Utf8 => "invalid utf-8",
            Self::Json => "invalid json",
            Self::Shape => "not a message",
            Self::Depth => "json nested too deep",
            Self::Frame => "invalid binary frame",
            Self::Size => "topic, event or ref too long",
            Self::Event => "unknown event",
            Self::Payload => "invalid payload",
        }
    }

    /// The code to close the connection with when a whole frame is at fault: 1002 for a broken binary layout, 1009 for
    /// sizes, else 1007 (RFC 6455 section 7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Frame => 1002,
            Self::Size => 1009,
            Self::Utf8 | Self::Json | Self::Shape | Self::Depth | Self::Event | Self::Payload => {
                1007
            }
        }
    }
}

impl DecodeError {
    pub(crate) fn new(cause: Cause, text: impl Into<Cow<'static, str>>) -> Self {
        let mut text = text.into();
        if text.len() > TEXT_BYTES_MAX {
            text = Cow::Owned(format!("{}...", clip(&text, TEXT_BYTES_MAX - 3)));
        }
        Self { cause, text }
    }

    /// A serde_json error about a payload: its position means nothing to who never saw the text, so it goes.
    pub(crate) fn payload(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        Self::new(
            Cause::Payload,
            text.strip_suffix(&position).unwrap_or(&text).to_owned(),
        )
    }

    /// Why, as something to count and to close by.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Cause::Payload, text.to_string())
    }

    /// Our own deserializers offer an enum one name only, that of the event.
    fn unknown_variant(event: &str, expected: &'static [&'static str]) -> Self {
        let mut text = format!("unknown event `{}`", clip(event, EVENT_BYTES_MAX));
        let words = match expected {
            [] => ", none is expected",
            [_] => ", expected `",
            _ => ", expected one of `",
        };
        text.push_str(words);
        text.push_str(&expected.join("`, `"));
        if !expected.is_empty() {
            text.push('`');
        }
        Self::new(Cause::Event, text)
    }
}

/// As much of a text as fits, without cutting a character.
fn clip(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Something that cannot be sent in the serializer that was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(Fault);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Binary,
    Long { field: &'static str, bytes: usize },
    Value(Box<str>),
}

impl EncodeError {
    /// Version 1 of the format has no binary frames.
    pub(crate) const BINARY: Self = Self(Fault::Binary);

    pub(crate) fn long(field: &'static str, bytes: usize) -> Self {
        Self(Fault::Long { field, bytes })
    }

    pub(crate) fn value(error: &serde_json::Error) -> Self {
        Self(Fault::Value(error.to_string().into()))
    }

    /// Whether it is the receiver's format that cannot carry this message (a binary payload and version 1): such a
    /// subscriber is skipped and counted, others still get it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.0 == Fault::Binary
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Binary => {
                f.write_str("a binary payload cannot be sent to a client of version 1.0")
            }
            Fault::Long { field, bytes } => {
                write!(
                    f,
                    "a {field} of a binary message may have 255 bytes, this one has {bytes}"
                )
            }
            Fault::Value(text) => write!(f, "the value has no JSON form: {text}"),
        }
    }
}

impl error::Error for EncodeError {}
