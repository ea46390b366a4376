//! permessage-deflate on one message (RFC 7692 section 7.2), with no context taken over from one message to the next.
//!
//! A [`Deflater`] and an [`Inflater`] are large (some 300 and 50 KiB) and belong to a thread rather than to a connection:
//! both forget a message with its last byte. Neither allocates before its first use.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::close::CloseError;
use crate::decoder::Config;

/// A message may inflate to this many bytes whatever the ratio: small repetitive messages compress well and harm nobody.
pub const INFLATION_FREE_BYTES: usize = 64 * 1024;

/// A message may consist of this many deflate streams one after the other. One is usual; each costs a reset.
const STREAMS_MAX: u32 = 64;

/// Inflated bytes are handed on in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;

/// How a flush ends, and what RFC 7692 section 7.2.1 therefore leaves out of every message.
const FLUSH_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const BROKEN: CloseError = CloseError::invalid("compressed data is broken");

/// What is put back, and an empty final block after it: only a message that stopped at the end of a block gets past it.
const MESSAGE_TAIL: [u8; 6] = [0, 0, 0xff, 0xff, 3, 0];

/// Compresses messages, each by itself.
///
/// ```
/// use bennu_websocket::{Deflater, Opcode, encoder};
///
/// let payload = "tick ".repeat(100);
/// let mut deflater = Deflater::new(15);
/// let mut scratch = Vec::new();
///
/// let room = encoder::begin_frame(&mut scratch);
/// let compressed = deflater.deflate(payload.as_bytes(), &mut scratch);
/// if !compressed {
///     scratch.extend_from_slice(payload.as_bytes());
/// }
/// let frame = encoder::finish_frame(&mut scratch, room, Opcode::Text, compressed);
/// assert!(compressed && frame.len() < 30);
/// ```
#[derive(Debug)]
pub struct Deflater {
    window_bits: u8,
    stream: Option<Compress>,
}

impl Deflater {
    /// For clients that agreed on a window of `window_bits` (9 to 15, see [`Deflate::window_bits`]) or more.
    ///
    /// What was compressed with 15, the default, can't be sent to a client that asked for less: send it uncompressed
    /// there, which is allowed for every message, or compress it again.
    ///
    /// [`Deflate::window_bits`]: crate::Deflate::window_bits
    #[must_use]
    pub const fn new(window_bits: u8) -> Self {
        let window_bits = match window_bits {
            0..=9 => 9,
            10..=14 => window_bits,
            15.. => 15,
        };
        Self {
            window_bits,
            stream: None,
        }
    }

    /// Appends `payload`, compressed, to `out`, if that is shorter than `payload` itself, and says whether it did.
    ///
    /// If not, `out` is as it was, and the message is better sent uncompressed. The compressed form is good for one frame
    /// with the first reserved bit set, to any number of clients (RFC 7692 section 7.2.1).
    #[must_use = "what wasn't compressed has to be sent as it is"]
    pub fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let done = self
            .append(payload, out)
            .is_some_and(|len| len < payload.len());
        if !done {
            out.truncate(start);
        }
        done
    }

    /// Appends `payload`, compressed, and returns how many bytes that took, or `None` if the compressor failed.
    fn append(&mut self, mut payload: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let start = out.len();
        let stream = match &mut self.stream {
            Some(stream) => {
                stream.reset();
                stream
            }
            none => none.insert(Compress::new_with_window_bits(
                Compression::default(),
                false,
                self.window_bits,
            )),
        };
        out.reserve(payload.len() / 4 + 64);
        loop {
            let before = stream.total_in();
            stream
                .compress_vec(payload, out, FlushCompress::Sync)
                .ok()?;
            let consumed = usize::try_from(stream.total_in() - before).ok()?;
            payload = payload.get(consumed..)?;
            if out.len() < out.capacity() && payload.is_empty() {
                break;
            }
            out.reserve(out.len() - start + 64);
        }
        let end = out.strip_suffix(&FLUSH_TAIL)?.len();
        out.truncate(end);
        Some(end - start)
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new(15)
    }
}

/// Inflates messages, each by itself, whatever window they were compressed with.
///
/// ```
/// use bennu_websocket::{Config, Inflater};
///
/// // RFC 7692 section 7.2.3.1.
/// let hello = Inflater::default().inflate(&Config::default(), b"\xf2\x48\xcd\xc9\xc9\x07\x00")?;
/// assert_eq!(hello, b"Hello");
/// # Ok::<(), bennu_websocket::CloseError>(())
/// ```
#[derive(Default, Debug)]
pub struct Inflater {
    /// In a box, since who shares an inflater moves it with each read, and seldom uses it.
    stream: Option<Box<Stream>>,
}

/// What inflates, and room for a piece of what comes out.
#[derive(Debug)]
struct Stream {
    inflate: Decompress,
    piece: Vec<u8>,
}

impl Inflater {
    /// Some bytes more than one takes.
    pub(crate) const BYTES: usize = 64 * 1024;

    /// The message that was compressed to `payload`.
    ///
    /// # Errors
    ///
    /// 1007 if `payload` isn't deflated data that ends with a block; 1009 if it inflates to more than
    /// [`Config::inflated_bytes_max`] bytes, or to more than [`INFLATION_FREE_BYTES`] and [`Config::inflation_ratio_max`]
    /// times its own length. Both are found while inflating, before the memory is spent.
    pub fn inflate(&mut self, config: &Config, payload: &[u8]) -> Result<Vec<u8>, CloseError> {
        let mut message = Vec::new();
        self.inflate_into(config, payload, |piece| {
            message.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(message)
    }

    /// Hands the message on in pieces.
    pub(crate) fn inflate_into(
        &mut self,
        config: &Config,
        payload: &[u8],
        sink: impl FnMut(&[u8]) -> Result<(), CloseError>,
    ) -> Result<(), CloseError> {
        if payload.is_empty() {
            return Ok(());
        }
        let mut inflation = self.begin(config, payload.len());
        let result = inflation.run(payload, true, sink);
        self.take_back(inflation);
        result
    }

    /// For a message that is inflated in parts, `payload_len` bytes in all. It takes the stream with it.
    pub(crate) fn begin(&mut self, config: &Config, payload_len: usize) -> Inflation {
        let stream = match self.stream.take() {
            Some(mut stream) => {
                stream.inflate.reset(false);
                stream
            }
            None => Box::new(Stream {
                inflate: Decompress::new(false),
                piece: Vec::with_capacity(PIECE_BYTES),
            }),
        };
        let ratio = usize::try_from(config.inflation_ratio_max).unwrap_or(usize::MAX);
        Inflation {
            stream,
            left: Left {
                bytes: config.inflated_bytes_max,
                by_ratio: payload_len.saturating_mul(ratio).max(INFLATION_FREE_BYTES),
                streams: STREAMS_MAX,
            },
        }
    }

    /// For the next message.
    pub(crate) fn take_back(&mut self, inflation: Inflation) {
        self.stream = Some(inflation.stream);
    }
}

/// A message on its way through a stream.
#[derive(Debug)]
pub(crate) struct Inflation {
    stream: Box<Stream>,
    left: Left,
}

/// What a message may still cost.
#[derive(Debug)]
struct Left {
    bytes: usize,
    by_ratio: usize,
    streams: u32,
}

#[derive(PartialEq, Eq)]
enum Run {
    /// All input is consumed, and ended with a final block.
    Ended,
    /// All input is consumed.
    WantsMore,
}

impl Inflation {
    /// Inflates the next part of the payload, and hands on what comes out in pieces.
    pub(crate) fn run(
        &mut self,
        part: &[u8],
        is_last: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), CloseError>,
    ) -> Result<(), CloseError> {
        match (self.run_through(part, &mut sink)?, is_last) {
            (Run::Ended, true) | (Run::WantsMore, false) => Ok(()),
            (Run::Ended, false) => self.next_stream(),
            (Run::WantsMore, true) => match self.run_through(&MESSAGE_TAIL, &mut sink)? {
                Run::Ended => Ok(()),
                Run::WantsMore => Err(CloseError::invalid("compressed message cut short")),
            },
        }
    }

    /// A block marked final ends a stream, not the message: another may follow (RFC 7692 section 7.2.3.4).
    fn next_stream(&mut self) -> Result<(), CloseError> {
        self.left.streams = self.left.streams.checked_sub(1).ok_or(BROKEN)?;
        self.stream.inflate.reset(false);
        Ok(())
    }

    /// Inflates all of `input`, which goes on where the last run stopped.
    fn run_through(
        &mut self,
        mut input: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), CloseError>,
    ) -> Result<Run, CloseError> {
        loop {
            let Stream { inflate, piece } = &mut *self.stream;
            piece.clear();
            let before = inflate.total_in();
            let status = inflate
                .decompress_vec(input, piece, FlushDecompress::None)
                .map_err(|_| BROKEN)?;
            let consumed = usize::try_from(inflate.total_in() - before).map_err(|_| BROKEN)?;
            input = input.get(consumed..).ok_or(BROKEN)?;

            let left = &mut self.left;
            left.bytes = left
                .bytes
                .checked_sub(piece.len())
                .ok_or(CloseError::too_big("inflated message too big"))?;
            left.by_ratio = left
                .by_ratio
                .checked_sub(piece.len())
                .ok_or(CloseError::too_big("message inflates too much"))?;
            sink(piece)?;

            if status == Status::StreamEnd {
                if input.is_empty() {
                    return Ok(Run::Ended);
                }
                self.next_stream()?;
            } else if consumed == 0 && piece.is_empty() {
                return if input.is_empty() {
                    Ok(Run::WantsMore)
                } else {
                    Err(BROKEN)
                };
            }
        }
    }
}
