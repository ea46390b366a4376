//! What replicas tell each other, as bytes.
//!
//! ```text
//! message   = 1 kind name start body              the first byte is the format's version
//! name      = text                                the presence's
//! start     = 8 bytes                             the sender's start number
//! heartbeat = "H" (version)*                      of each shard
//! state     = "S" answer? (shard size section)*
//! ask       = "A" start (shard have cursor?)*     whose state is asked for; cursor? is 0, or 1 more than it
//! bye       = "B"
//! section   = 0 from to (change)*                 what changed after `from` and up to `to`; when asked for what comes
//!                                                 after `from`: that nothing does, since this node is at `to`, `from` or less
//!           | 1 after upto at (change)*           what is there of these versions, as of version `at`
//! change    = gap flags gone? meta?               gap: from the version before; flags: 1 gone, 2 meta
//! meta      = prev topic? key members             topic? is 0 for that of the meta before, or 1 more than its
//!                                                 length, and the topic; members: a JSON object without its braces
//! text      = length bytes                        UTF-8
//! ```
//!
//! All numbers without a size are LEB128, at most ten bytes. Who sent a message, the bus says.

use std::{error, fmt};

use super::meta::VERSION_BITS;

/// The version of the format.
pub(super) const FORMAT: u8 = 1;
pub(super) const HEARTBEAT: u8 = b'H';
pub(super) const STATE: u8 = b'S';
pub(super) const ASK: u8 = b'A';
pub(super) const BYE: u8 = b'B';
pub(super) const DELTA: u64 = 0;
pub(super) const RANGE: u64 = 1;
pub(super) const GONE: u8 = 1;
pub(super) const META: u8 = 2;

/// A message of one replica to others, read from bytes without copying any of them. All of it has been checked, except
/// that metas are JSON, which is seen when they are made.
///
/// ```
/// use bennu_pubsub::tracker::Message;
///
/// let bye = b"\x01B\x05lobby\0\0\0\0\0\0\0\x07";
/// assert_eq!(Message::decode(bye)?.presence(), "lobby");
/// assert!(Message::decode(b"hello").is_err());
/// # Ok::<(), bennu_pubsub::tracker::MessageError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub(super) presence: &'a str,
    pub(super) start: u64,
    pub(super) body: Body<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    /// The version that others were told of, of each shard.
    Heartbeat(Versions<'a>),
    State {
        /// Whether it was asked for.
        answer: bool,
        sections: Sections<'a>,
    },
    Ask {
        start: u64,
        wants: Wants<'a>,
    },
    Bye,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// The bytes end too soon.
    Short,
    /// The first byte, the version of the format, is this one.
    Format(u8),
    /// That isn't what can stand there.
    Unexpected(&'static str),
}

impl<'a> Message<'a> {
    /// Reads a message. It allocates nothing, whatever the bytes say.
    ///
    /// # Errors
    /// When they are none of this version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader(bytes);
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(MessageError::Format(format));
        }
        let kind = reader.byte()?;
        let presence = reader.text()?;
        let start = reader.start()?;
        let body = match kind {
            HEARTBEAT => Body::Heartbeat(Versions(reader).checked()?),
            STATE => Body::State {
                answer: match reader.byte()? {
                    0 => false,
                    1 => true,
                    _ => return Err(MessageError::Unexpected("answer")),
                },
                sections: Sections(reader).checked()?,
            },
            ASK => Body::Ask {
                start: reader.start()?,
                wants: Wants(reader).checked()?,
            },
            BYE if reader.0.is_empty() => Body::Bye,
            _ => return Err(MessageError::Unexpected("kind")),
        };
        Ok(Self {
            presence,
            start,
            body,
        })
    }

    /// The name of the presence that a message is about, without a look at the rest.
    pub(super) fn presence_in(bytes: &'a [u8]) -> Option<&'a str> {
        let mut reader = Reader(bytes);
        let format = reader.byte().ok()?;
        reader.byte().ok()?;
        reader.text().ok().filter(|_| format == FORMAT)
    }

    /// The name of the presence that it's about.
    #[must_use]
    pub fn presence(&self) -> &'a str {
        self.presence
    }
}

/// Reads to the end and says whether that went well. Afterwards nothing can go wrong.
trait Checked: Iterator<Item = Result<Self::Part, MessageError>> + Clone {
    type Part;

    fn checked(self) -> Result<Self, MessageError> {
        self.clone().try_for_each(|it| it.map(drop))?;
        Ok(self)
    }
}

/// The versions of a heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions<'a>(Reader<'a>);

impl Iterator for Versions<'_> {
    type Item = Result<u64, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.some(Reader::version)
    }
}

impl Checked for Versions<'_> {
    type Part = u64;
}

/// What one replica lacks of another's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) shard: u64,
    /// The version up to which it has all changes.
    pub(super) have: u64,
    /// The version up to which it has the state, while it is being sent that.
    pub(super) cursor: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Wants<'a>(Reader<'a>);

impl Iterator for Wants<'_> {
    type Item = Result<Want, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.some(|it| {
            Ok(Want {
                shard: it.number()?,
                have: it.version()?,
                cursor: it.number()?.checked_sub(1),
            })
        })
    }
}

impl Checked for Wants<'_> {
    type Part = Want;
}

/// Some of the state of one shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub(super) shard: u64,
    pub(super) span: Span,
    pub(super) changes: Changes<'a>,
}

/// Which versions a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// All that changed after `from` and up to `to`, and isn't undone by then. In an answer to who asks for more than there
    /// is `to` is the node's version, and no more than `from`.
    Delta { from: u64, to: u64 },
    /// All metas of a version above `after` and up to `upto` that were there at version `at`. With `upto` being
    /// `at` they are the last.
    Range { after: u64, upto: u64, at: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sections<'a>(Reader<'a>);

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.some(|it| {
            let shard = it.number()?;
            let mut section = Reader(it.sized()?);
            let (span, after, upto) = match section.number()? {
                DELTA => {
                    let (from, to) = (section.version()?, section.version()?);
                    (Span::Delta { from, to }, from, to)
                }
                RANGE => {
                    let (after, upto) = (section.version()?, section.version()?);
                    let at = section.version()?;
                    if at < upto {
                        return Err(MessageError::Unexpected("at"));
                    }
                    (Span::Range { after, upto, at }, after, upto)
                }
                _ => return Err(MessageError::Unexpected("section")),
            };
            let changes = Changes {
                reader: section,
                version: after,
                upto,
                topic: None,
            };
            Ok(Section {
                shard,
                span,
                changes: changes.checked()?,
            })
        })
    }
}

impl<'a> Checked for Sections<'a> {
    type Part = Section<'a>;
}

/// One change of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told<'a> {
    pub(super) version: u64,
    /// The version of a meta that is no more.
    pub(super) gone: Option<u64>,
    /// A meta that is there, of the change's version.
    pub(super) meta: Option<ToldMeta<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ToldMeta<'a> {
    /// The version that it replaced, or 0.
    pub(super) prev: u64,
    pub(super) topic: &'a str,
    pub(super) key: &'a str,
    pub(super) members: &'a str,
}

/// The changes of a section, in the order of their versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes<'a> {
    reader: Reader<'a>,
    version: u64,
    upto: u64,
    topic: Option<&'a str>,
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Told<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (before, upto, before_topic) = (self.version, self.upto, self.topic);
        let told = self.reader.some(|it| {
            let gap = it.version()?;
            let version = before + gap;
            if gap == 0 || version > upto {
                return Err(MessageError::Unexpected("version"));
            }
            let flags = it.byte()?;
            if flags & !(GONE | META) != 0 {
                return Err(MessageError::Unexpected("flags"));
            }
            let gone = if flags & GONE != 0 {
                Some(it.version()?)
            } else {
                None
            };
            let meta = if flags & META != 0 {
                let prev = it.version()?;
                let topic = match it.number()?.checked_sub(1) {
                    None => before_topic.ok_or(MessageError::Unexpected("topic"))?,
                    Some(length) => text(it.take(length)?)?,
                };
                Some(ToldMeta {
                    prev,
                    topic,
                    key: it.text()?,
                    members: it.text()?,
                })
            } else {
                None
            };
            Ok(Told {
                version,
                gone,
                meta,
            })
        })?;
        if let Ok(told) = &told {
            self.version = told.version;
            self.topic = told.meta.map(|it| it.topic).or(before_topic);
        }
        Some(told)
    }
}

impl<'a> Checked for Changes<'a> {
    type Part = Told<'a>;
}

/// What of some bytes hasn't been read yet.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// One more, if there are bytes left. After an error there are none.
    fn some<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, MessageError>,
    ) -> Option<Result<T, MessageError>> {
        if self.0.is_empty() {
            return None;
        }
        let one = read(self);
        if one.is_err() {
            self.0 = &[];
        }
        Some(one)
    }

    fn byte(&mut self) -> Result<u8, MessageError> {
        let (first, rest) = self.0.split_first().ok_or(MessageError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, MessageError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(MessageError::Unexpected("number"))
    }

    fn version(&mut self) -> Result<u64, MessageError> {
        let version = self.number()?;
        if version >> VERSION_BITS != 0 {
            return Err(MessageError::Unexpected("version"));
        }
        Ok(version)
    }

    fn start(&mut self) -> Result<u64, MessageError> {
        let (start, rest) = self.0.split_first_chunk().ok_or(MessageError::Short)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*start))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], MessageError> {
        let length = usize::try_from(length).map_err(|_| MessageError::Short)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MessageError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn sized(&mut self) -> Result<&'a [u8], MessageError> {
        let length = self.number()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, MessageError> {
        self.sized().and_then(text)
    }
}

fn text(bytes: &[u8]) -> Result<&str, MessageError> {
    std::str::from_utf8(bytes).map_err(|_| MessageError::Unexpected("text"))
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the message ends too soon"),
            Self::Format(found) => write!(f, "expected format {FORMAT}, found {found}"),
            Self::Unexpected(what) => write!(f, "unexpected {what}"),
        }
    }
}

impl error::Error for MessageError {}
