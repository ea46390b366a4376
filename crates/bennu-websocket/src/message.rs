//! A message that arrives in several pieces: in fragments, or in a frame that the reads cut up.

use crate::close::CloseError;
use crate::decoder::{Config, Event};
use crate::deflate::Inflater;
use crate::text::{NotUtf8, Text};

/// What has arrived of a message, in one contiguous buffer that grows with what arrives.
#[derive(Debug)]
pub(crate) struct Message {
    body: Body,
    /// How many fragments in a row had nothing in them.
    pub(crate) empty_fragments: u32,
}

#[derive(Debug)]
enum Body {
    Text(Text),
    Binary(Vec<u8>),
    /// Kept as it came, and inflated when it is whole: then no connection holds an inflater.
    Deflated {
        is_text: bool,
        bytes: Vec<u8>,
    },
}

impl Message {
    pub(crate) fn new(is_text: bool, compressed: bool) -> Self {
        let body = match (compressed, is_text) {
            (true, is_text) => Body::Deflated {
                is_text,
                bytes: Vec::new(),
            },
            (false, true) => Body::Text(Text::default()),
            (false, false) => Body::Binary(Vec::new()),
        };
        Self {
            body,
            empty_fragments: 0,
        }
    }

    /// Bytes so far, as they came.
    pub(crate) fn len(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) | Body::Deflated { bytes, .. } => bytes.len(),
        }
    }

    /// Bytes of memory that the buffer takes.
    pub(crate) fn capacity(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.capacity(),
            Body::Binary(bytes) | Body::Deflated { bytes, .. } => bytes.capacity(),
        }
    }

    /// Adds a piece, unmasked. The buffer doubles when it's full, but not beyond `len_max`, the most that the message can reach.
    pub(crate) fn push(&mut self, piece: &[u8], len_max: usize) -> Result<(), CloseError> {
        let needed = self.len() + piece.len();
        let capacity = self.capacity();
        let grown = if needed > capacity {
            needed.max(len_max.min(2 * capacity))
        } else {
            capacity
        };
        match &mut self.body {
            Body::Text(text) => {
                text.reserve_exact(grown);
                text.push(piece).map_err(|NotUtf8| not_utf8())
            }
            Body::Binary(bytes) | Body::Deflated { bytes, .. } => {
                bytes.reserve_exact(grown - bytes.len());
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// The whole message.
    pub(crate) fn finish(
        self,
        config: &Config,
        inflater: &mut Inflater,
    ) -> Result<Event<'static>, CloseError> {
        match self.body {
            Body::Text(text) => Ok(Event::Text(
                text.finish().map_err(|NotUtf8| not_utf8())?.into(),
            )),
            Body::Binary(bytes) => Ok(Event::Binary(bytes.into())),
            Body::Deflated { is_text, bytes } => inflate(config, inflater, is_text, &bytes),
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
    if is_text {
        let mut text = Text::default();
        inflater.inflate_into(config, bytes, |piece| {
            text.push(piece).map_err(|NotUtf8| not_utf8())
        })?;
        Ok(Event::Text(
            text.finish().map_err(|NotUtf8| not_utf8())?.into(),
        ))
    } else {
        Ok(Event::Binary(inflater.inflate(config, bytes)?.into()))
    }
}

pub(crate) fn not_utf8() -> CloseError {
    CloseError::invalid("text that isn't UTF-8")
}
