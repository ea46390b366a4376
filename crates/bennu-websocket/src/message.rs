//! A message that arrives in several pieces: in fragments, or in a frame that the reads cut up.

use crate::close::CloseError;
use crate::decoder::{Config, Event};
use crate::deflate::{Inflater, Inflation};
use crate::text::{NotUtf8, Text};

/// What has arrived of a message, in one contiguous buffer that grows with what arrives.
#[derive(Debug)]
pub(crate) struct Message {
    /// Of a compressed one as it came: it's inflated when it is whole, so that no connection holds an inflater meanwhile.
    content: Content,
    /// Whether it's compressed, and then whether it's text.
    deflated: Option<bool>,
    /// How many fragments in a row had nothing in them.
    pub(crate) empty_fragments: u32,
}

/// A message whose last piece has come.
pub(crate) enum Whole {
    Event(Event<'static>),
    /// It's to be inflated.
    Deflated {
        is_text: bool,
        bytes: Vec<u8>,
    },
}

impl Message {
    pub(crate) fn new(is_text: bool, compressed: bool) -> Self {
        Self {
            content: Content::new(is_text && !compressed),
            deflated: compressed.then_some(is_text),
            empty_fragments: 0,
        }
    }

    /// Bytes so far, as they came.
    pub(crate) fn len(&self) -> usize {
        self.content.len()
    }

    /// Bytes of memory that the buffer takes.
    pub(crate) fn capacity(&self) -> usize {
        self.content.capacity()
    }

    /// Adds a piece, unmasked. The buffer doubles when it's full, but not beyond `len_max`, the most that the message can reach.
    pub(crate) fn push(&mut self, piece: &[u8], len_max: usize) -> Result<(), CloseError> {
        let needed = self.len() + piece.len();
        let capacity = self.capacity();
        if needed > capacity {
            self.content
                .reserve_exact(needed.max(len_max.min(2 * capacity)));
        }
        self.content.push(piece)
    }

    pub(crate) fn finish(self) -> Result<Whole, CloseError> {
        match (self.deflated, self.content) {
            (Some(is_text), Content::Binary(bytes)) => Ok(Whole::Deflated { is_text, bytes }),
            (_, content) => content.finish().map(Whole::Event),
        }
    }
}

/// What a message says, so far.
#[derive(Debug)]
enum Content {
    Text(Text),
    Binary(Vec<u8>),
}

impl Content {
    fn new(is_text: bool) -> Self {
        if is_text {
            Self::Text(Text::default())
        } else {
            Self::Binary(Vec::new())
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Makes room for `capacity` bytes in all.
    fn reserve_exact(&mut self, capacity: usize) {
        match self {
            Self::Text(text) => text.reserve_exact(capacity),
            Self::Binary(bytes) => bytes.reserve_exact(capacity.saturating_sub(bytes.len())),
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), CloseError> {
        match self {
            Self::Text(text) => text.push(piece).map_err(|NotUtf8| not_utf8()),
            Self::Binary(bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Event<'static>, CloseError> {
        match self {
            Self::Text(text) => Ok(Event::Text(
                text.finish().map_err(|NotUtf8| not_utf8())?.into(),
            )),
            Self::Binary(bytes) => Ok(Event::Binary(bytes.into())),
        }
    }
}

/// The message that was compressed to `bytes`.
pub(crate) fn inflate(
    config: &Config,
    inflater: &mut Inflater,
    is_text: bool,
    bytes: &[u8],
) -> Result<Event<'static>, CloseError> {
    let mut content = Content::new(is_text);
    inflater.inflate_into(config, bytes, |piece| content.push(piece))?;
    content.finish()
}

/// A long message that is inflated in parts.
#[derive(Debug)]
pub(crate) struct Inflating {
    compressed: Vec<u8>,
    inflated_len: usize,
    inflation: Inflation,
    content: Content,
}

impl Inflating {
    pub(crate) fn new(
        config: &Config,
        inflater: &mut Inflater,
        is_text: bool,
        compressed: Vec<u8>,
    ) -> Self {
        Self {
            inflation: inflater.begin(config, compressed.len()),
            compressed,
            inflated_len: 0,
            content: Content::new(is_text),
        }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.compressed.capacity() + self.content.capacity() + Inflater::BYTES
    }

    /// Inflates the next part. True once that was the last.
    pub(crate) fn advance(&mut self, config: &Config) -> Result<bool, CloseError> {
        let rest = self.compressed.get(self.inflated_len..).unwrap_or_default();
        let part = rest
            .get(..config.inflate_at_once_bytes.max(1))
            .unwrap_or(rest);
        let is_last = part.len() == rest.len();
        self.inflation
            .run(part, is_last, |piece| self.content.push(piece))?;
        self.inflated_len += part.len();
        Ok(is_last)
    }

    pub(crate) fn finish(self, inflater: &mut Inflater) -> Result<Event<'static>, CloseError> {
        inflater.take_back(self.inflation);
        self.content.finish()
    }
}

pub(crate) fn not_utf8() -> CloseError {
    CloseError::invalid("text that isn't UTF-8")
}
