//! From a client's bytes to its messages, pings and closes.

use std::borrow::Cow;

use crate::close::{CloseError, close_payload};
use crate::deflate::Inflater;
use crate::frame::{CLIENT_HEADER_BYTES_MAX, Header, Opcode};
use crate::mask;
use crate::message::{self, Inflating, Message, Whole};

/// What a client may send. One value serves all connections that agreed on the same extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The longest frame, header included; a longer one is refused (1009) by its header, whatever it belongs to.
    pub frame_bytes_max: usize,
    /// The longest message that comes in fragments, as it came; refused (1009) by the header of the fragment that exceeds it.
    pub message_bytes_max: usize,
    /// Whether permessage-deflate was agreed on. If not, a compressed frame is refused (1002).
    pub deflate: bool,
    /// The longest message that was compressed, inflated; a longer one is refused (1009) while it is inflated.
    pub inflated_bytes_max: usize,
    /// How many times longer than itself a compressed message may become (1009), from 64 KiB up, see
    /// [`INFLATION_FREE_BYTES`](crate::deflate::INFLATION_FREE_BYTES).
    pub inflation_ratio_max: u32,
    /// How many bytes of a compressed message one call of [`Decoder::decode`] inflates: what is left of a longer one waits for
    /// the next call, see [`Decoder::is_inflating`].
    pub inflate_at_once_bytes: usize,
    /// How many fragments in a row may be empty; with one more the connection is refused (1008). Fragments with something
    /// in them are bounded by their bytes, not by their number.
    pub empty_fragments_max: u32,
}

impl Default for Config {
    /// What Phoenix allows (websock_adapter and Bandit): frames of 10,000,000 bytes, fragmented messages of 8,000,000, an
    /// inflation of 25; no compression, which is inflated at once, and 128 empty fragments.
    fn default() -> Self {
        Self {
            frame_bytes_max: 10_000_000,
            message_bytes_max: 8_000_000,
            deflate: false,
            inflated_bytes_max: 10_000_000,
            inflation_ratio_max: 25,
            inflate_at_once_bytes: usize::MAX,
            empty_fragments_max: 128,
        }
    }
}

/// One thing that a client said.
///
/// The payload lies in the input where a whole frame did, and else in a buffer of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'b> {
    /// A message of text.
    Text(Cow<'b, str>),
    /// A message of bytes.
    Binary(Cow<'b, [u8]>),
    /// To be answered with [`pong`](crate::encoder::pong) of the same 0 to 125 bytes.
    Ping(Cow<'b, [u8]>),
    /// Needs no answer.
    Pong(Cow<'b, [u8]>),
    /// The client is about to close, with the code and reason that it gave, if any: the code is what was on the wire, and
    /// [`close_reply`](crate::close::close_reply) judges it. Nothing comes after this.
    Close(Option<(u16, Cow<'b, str>)>),
}

/// The receiving half of one connection, 16 bytes as long as no frame and no message is under way.
#[derive(Default, Debug)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
    /// A close has come, or an error was returned.
    closed: bool,
}

/// What is under way: a header, a payload, or a message between two of its fragments.
#[derive(Default, Debug)]
struct Partial {
    header: [u8; CLIENT_HEADER_BYTES_MAX],
    header_len: usize,
    frame: Option<Frame>,
    /// The payload of a control frame so far; control frames may come between the fragments of a message.
    control: Vec<u8>,
    message: Option<Message>,
    inflating: Option<Box<Inflating>>,
}

/// A frame whose header has been judged.
#[derive(Debug)]
struct Frame {
    fin: bool,
    compressed: bool,
    opcode: Opcode,
    /// For the next byte of the payload.
    mask: [u8; 4],
    /// Bytes of the payload that are still to come.
    left: usize,
    /// The payload came in more than one piece.
    is_cut: bool,
}

impl Decoder {
    /// Takes in the beginning of `input` up to the end of the first event, and returns how many bytes that were, and the event.
    ///
    /// Call it again with the rest for the next event, until it returns `None`: then all of `input` has been taken in,
    /// unless it [is inflating](Self::is_inflating). An event that lies in `input` as one frame borrows it, unmasked in place. `inflater` is used for compressed messages
    /// only and keeps nothing between them, so one serves a whole thread. After a close or an error input is swallowed.
    ///
    /// ```
    /// use bennu_websocket::{Config, Decoder, Event, Inflater};
    ///
    /// let (config, mut inflater) = (Config::default(), Inflater::default());
    /// let mut decoder = Decoder::default();
    ///
    /// // The fragment "Hel" (masked with zeros), and half of the second fragment's header.
    /// let mut input = *b"\x01\x83\0\0\0\0Hel\x80\x82\0";
    /// assert_eq!(decoder.decode(&config, &mut inflater, &mut input)?, (12, None));
    /// let mut input = *b"\0\0\0lo\x89\x80\0\0\0\0";
    /// let (used, event) = decoder.decode(&config, &mut inflater, &mut input)?;
    /// assert_eq!((used, event), (5, Some(Event::Text("Hello".into()))));
    /// let (used, event) = decoder.decode(&config, &mut inflater, &mut input[5..])?;
    /// assert_eq!((used, event), (6, Some(Event::Ping(b""[..].into()))));
    /// # Ok::<(), bennu_websocket::CloseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first rule or limit that the client breaks, as early as it shows: a frame's header is judged before its
    /// payload has come, and text byte by byte.
    pub fn decode<'b>(
        &mut self,
        config: &Config,
        inflater: &mut Inflater,
        input: &'b mut [u8],
    ) -> Result<(usize, Option<Event<'b>>), CloseError> {
        let input_len = input.len();
        if self.closed {
            return Ok((input_len, None));
        }
        let result = self.advance(config, inflater, input);
        if matches!(result, Err(_) | Ok((_, Some(Event::Close(_))))) {
            self.closed = true;
            self.partial = None;
        }
        let (rest_len, event) = result?;
        Ok((input_len - rest_len, event))
    }

    /// Whether a message longer than [`Config::inflate_at_once_bytes`] is being inflated: once it has let others have their turn,
    /// the caller calls [`decode`](Self::decode) again with what wasn't taken in, which may be nothing.
    #[must_use]
    pub fn is_inflating(&self) -> bool {
        self.partial
            .as_ref()
            .is_some_and(|partial| partial.inflating.is_some())
    }

    /// Bytes of memory held for a frame or a message that is under way; 0 between messages.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            let message = partial.message.as_ref().map_or(0, Message::capacity);
            let inflating = partial.inflating.as_ref().map_or(0, |it| it.held_bytes());
            size_of::<Partial>() + partial.control.capacity() + message + inflating
        })
    }

    /// Goes through frames until there is an event or no more input; returns how many bytes are left.
    fn advance<'b>(
        &mut self,
        config: &Config,
        inflater: &mut Inflater,
        mut rest: &'b mut [u8],
    ) -> Result<(usize, Option<Event<'b>>), CloseError> {
        loop {
            if self.is_inflating() {
                let event = self.inflate_on(config, inflater)?;
                return Ok((rest.len(), event));
            }
            let mut frame = match self
                .partial
                .as_mut()
                .and_then(|partial| partial.frame.take())
            {
                Some(frame) => frame,
                None => {
                    let Some((header, after)) = self.header(rest)? else {
                        return Ok((0, None));
                    };
                    rest = after;
                    self.admit(config, &header)?
                }
            };
            let available = frame.left.min(rest.len());
            let Some((piece, after)) = rest.split_at_mut_checked(available) else {
                return Ok((0, None));
            };
            rest = after;
            mask::unmask(piece, frame.mask);
            frame.mask = mask::advance(frame.mask, available);
            frame.left -= available;

            let event = if frame.opcode.is_control() {
                self.control(frame, piece)?
            } else {
                self.data(config, inflater, frame, piece)?
            };
            self.let_go();
            if event.is_some() || rest.is_empty() {
                return Ok((rest.len(), event));
            }
        }
    }

    /// The next header and what comes after it, or `None` if `rest` ends before it does.
    fn header<'b>(
        &mut self,
        mut rest: &'b mut [u8],
    ) -> Result<Option<(Header, &'b mut [u8])>, CloseError> {
        if self
            .partial
            .as_ref()
            .is_none_or(|partial| partial.header_len == 0)
        {
            if let Some(header) = Header::parse(rest)? {
                return Ok(rest
                    .split_at_mut_checked(header.len)
                    .map(|(_, after)| (header, after)));
            }
            if rest.is_empty() {
                return Ok(None);
            }
        }
        let partial = self.partial.get_or_insert_default();
        while let Some((byte, after)) = rest.split_first_mut() {
            rest = after;
            let Some(slot) = partial.header.get_mut(partial.header_len) else {
                break;
            };
            *slot = *byte;
            partial.header_len += 1;
            if let Some(header) =
                Header::parse(partial.header.get(..partial.header_len).unwrap_or_default())?
            {
                partial.header_len = 0;
                return Ok(Some((header, rest)));
            }
        }
        Ok(None)
    }

    /// Judges a header by what came before it and by the limits, before a byte of its payload is looked at.
    fn admit(&mut self, config: &Config, header: &Header) -> Result<Frame, CloseError> {
        let left = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        if left.saturating_add(header.len) > config.frame_bytes_max {
            return Err(CloseError::too_big("frame too big"));
        }
        if !header.opcode.is_control() {
            self.admit_data(config, header, left)?;
        }
        Ok(Frame {
            fin: header.fin,
            compressed: header.compressed,
            opcode: header.opcode,
            mask: header.mask,
            left,
            is_cut: false,
        })
    }

    fn admit_data(
        &mut self,
        config: &Config,
        header: &Header,
        payload_len: usize,
    ) -> Result<(), CloseError> {
        let is_first = header.opcode != Opcode::Continuation;
        if header.compressed && !(config.deflate && is_first) {
            return Err(CloseError::protocol("reserved bit set"));
        }
        let message = self
            .partial
            .as_mut()
            .and_then(|partial| partial.message.as_mut());
        let (so_far, empty_fragments) = match (message, is_first) {
            (Some(_), true) => return Err(CloseError::protocol("message within a message")),
            (None, false) => return Err(CloseError::protocol("continuation of no message")),
            (Some(message), false) => {
                message.empty_fragments = if payload_len == 0 {
                    message.empty_fragments.saturating_add(1)
                } else {
                    0
                };
                (message.len(), message.empty_fragments)
            }
            (None, true) => (0, 0),
        };
        let is_fragment = !(header.fin && is_first);
        if is_fragment && so_far.saturating_add(payload_len) > config.message_bytes_max {
            return Err(CloseError::too_big("message too big"));
        }
        if empty_fragments > config.empty_fragments_max {
            return Err(CloseError::policy("too many empty fragments"));
        }
        Ok(())
    }

    fn control<'b>(
        &mut self,
        mut frame: Frame,
        piece: &'b [u8],
    ) -> Result<Option<Event<'b>>, CloseError> {
        let payload = if frame.left == 0 && !frame.is_cut {
            Cow::Borrowed(piece)
        } else {
            let partial = self.partial.get_or_insert_default();
            partial.control.extend_from_slice(piece);
            if frame.left > 0 {
                frame.is_cut = true;
                partial.frame = Some(frame);
                return Ok(None);
            }
            Cow::Owned(std::mem::take(&mut partial.control))
        };
        match frame.opcode {
            Opcode::Ping => Ok(Some(Event::Ping(payload))),
            Opcode::Pong => Ok(Some(Event::Pong(payload))),
            _ => Ok(Some(Event::Close(close_payload(payload)?))),
        }
    }

    fn data<'b>(
        &mut self,
        config: &Config,
        inflater: &mut Inflater,
        mut frame: Frame,
        piece: &'b [u8],
    ) -> Result<Option<Event<'b>>, CloseError> {
        let is_text = frame.opcode == Opcode::Text;
        let is_whole = frame.left == 0 && frame.fin && !frame.is_cut;
        if is_whole && frame.opcode != Opcode::Continuation {
            return if frame.compressed {
                self.inflate(config, inflater, is_text, Cow::Borrowed(piece))
            } else if is_text {
                let text = simdutf8::basic::from_utf8(piece).map_err(|_| message::not_utf8())?;
                Ok(Some(Event::Text(text.into())))
            } else {
                Ok(Some(Event::Binary(Cow::Borrowed(piece))))
            };
        }

        let partial = self.partial.get_or_insert_default();
        let message = partial
            .message
            .get_or_insert_with(|| Message::new(is_text, frame.compressed));
        // With the last fragment the message's length is known; until then it may grow up to the limit.
        let len_max = if frame.fin {
            message.len() + piece.len() + frame.left
        } else {
            config.message_bytes_max
        };
        message.push(piece, len_max)?;
        if frame.left > 0 {
            frame.is_cut = true;
            partial.frame = Some(frame);
            return Ok(None);
        }
        match partial.message.take_if(|_| frame.fin) {
            Some(message) => match message.finish()? {
                Whole::Event(event) => Ok(Some(event)),
                Whole::Deflated { is_text, bytes } => {
                    self.inflate(config, inflater, is_text, Cow::Owned(bytes))
                }
            },
            None => Ok(None),
        }
    }

    /// A compressed message is whole: inflates it, or begins to.
    fn inflate<'b>(
        &mut self,
        config: &Config,
        inflater: &mut Inflater,
        is_text: bool,
        bytes: Cow<'_, [u8]>,
    ) -> Result<Option<Event<'b>>, CloseError> {
        if bytes.len() <= config.inflate_at_once_bytes {
            return message::inflate(config, inflater, is_text, &bytes).map(Some);
        }
        let inflating = Inflating::new(config, inflater, is_text, bytes.into_owned());
        self.partial.get_or_insert_default().inflating = Some(Box::new(inflating));
        Ok(None)
    }

    /// Inflates the next part of a message, and returns it after the last.
    fn inflate_on(
        &mut self,
        config: &Config,
        inflater: &mut Inflater,
    ) -> Result<Option<Event<'static>>, CloseError> {
        let Some(partial) = &mut self.partial else {
            return Ok(None);
        };
        let Some(mut inflating) = partial.inflating.take() else {
            return Ok(None);
        };
        if !inflating.advance(config)? {
            partial.inflating = Some(inflating);
            return Ok(None);
        }
        self.let_go();
        inflating.finish(inflater).map(Some)
    }

    /// Holds no memory where nothing is under way.
    fn let_go(&mut self) {
        if self.partial.as_ref().is_some_and(|it| it.is_empty()) {
            self.partial = None;
        }
    }
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.header_len == 0
            && self.frame.is_none()
            && self.message.is_none()
            && self.inflating.is_none()
    }
}
