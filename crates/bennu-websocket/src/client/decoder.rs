//! From a server's bytes to its messages, pings and closes.

use std::borrow::Cow;

use crate::close::{CloseError, close_payload};
use crate::decoder::Event;
use crate::frame::{CONTROL_BYTES_MAX, Opcode, payload_len};

/// The receiving half of one connection, which holds memory only while a frame or a message is under way.
#[derive(Debug)]
pub struct Decoder {
    message_bytes_max: usize,
    partial: Option<Box<Partial>>,
    /// A close has come, or an error was returned.
    closed: bool,
}

#[derive(Default, Debug)]
struct Partial {
    /// What there is of a frame whose end hasn't come, header included.
    frame: Vec<u8>,
    /// The fragments so far of a message, and what it is.
    message: Option<(Opcode, Vec<u8>)>,
}

/// A whole frame.
type Frame<'b> = (Header, Cow<'b, [u8]>);

struct Header {
    fin: bool,
    opcode: Opcode,
    /// Bytes of the header itself.
    len: usize,
    payload_len: usize,
}

impl Decoder {
    /// A decoder that refuses (1009) a message of more bytes than this, by its header.
    #[must_use]
    pub const fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max,
            partial: None,
            closed: false,
        }
    }

    /// Takes in the beginning of `input` up to the end of the first event, and returns how many bytes that were, and
    /// the event.
    ///
    /// Call it again with the rest for the next event, until it returns `None`: then all of `input` has been taken in.
    /// What lies in `input` as one frame is borrowed. After a close or an error input is swallowed.
    ///
    /// # Errors
    /// The first rule of RFC 6455 that the server breaks, or the limit.
    pub fn decode<'b>(
        &mut self,
        input: &'b [u8],
    ) -> Result<(usize, Option<Event<'b>>), CloseError> {
        if self.closed {
            return Ok((input.len(), None));
        }
        let mut rest = input;
        let result = self.advance(&mut rest);
        if matches!(result, Err(_) | Ok(Some(Event::Close(_)))) {
            self.closed = true;
            self.partial = None;
        }
        Ok((input.len() - rest.len(), result?))
    }

    /// Bytes of memory held for what is under way; 0 between messages.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |it| {
            let message = it.message.as_ref().map_or(0, |it| it.1.capacity());
            size_of::<Partial>() + it.frame.capacity() + message
        })
    }

    fn advance<'b>(&mut self, rest: &mut &'b [u8]) -> Result<Option<Event<'b>>, CloseError> {
        while !rest.is_empty() {
            let Some((header, payload)) = self.frame(rest)? else {
                return Ok(None);
            };
            let event = self.event(&header, payload)?;
            let is_idle = |it: &Partial| it.frame.is_empty() && it.message.is_none();
            if self.partial.as_deref().is_some_and(is_idle) {
                self.partial = None;
            }
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The next frame, once it's whole.
    fn frame<'b>(&mut self, rest: &mut &'b [u8]) -> Result<Option<Frame<'b>>, CloseError> {
        let partial = match &mut self.partial {
            Some(partial) if !partial.frame.is_empty() => partial,
            partial => {
                if let Some(header) = Header::parse(rest, self.message_bytes_max)?
                    && let Some(payload) = rest.get(header.len..header.len + header.payload_len)
                {
                    *rest = rest
                        .get(header.len + header.payload_len..)
                        .unwrap_or_default();
                    return Ok(Some((header, Cow::Borrowed(payload))));
                }
                partial.get_or_insert_default()
            }
        };
        // The header first, byte by byte: how much of the rest is the frame's isn't known before.
        let header = loop {
            if let Some(header) = Header::parse(&partial.frame, self.message_bytes_max)? {
                break header;
            }
            let Some((byte, after)) = rest.split_first() else {
                return Ok(None);
            };
            partial.frame.push(*byte);
            *rest = after;
        };
        let missing = (header.len + header.payload_len).saturating_sub(partial.frame.len());
        let (piece, after) = rest.split_at(missing.min(rest.len()));
        partial.frame.extend_from_slice(piece);
        *rest = after;
        if piece.len() < missing {
            return Ok(None);
        }
        let mut payload = std::mem::take(&mut partial.frame);
        payload.drain(..header.len);
        Ok(Some((header, Cow::Owned(payload))))
    }

    /// What a frame comes to: nothing yet, if it's a fragment with others to follow.
    fn event<'b>(
        &mut self,
        header: &Header,
        payload: Cow<'b, [u8]>,
    ) -> Result<Option<Event<'b>>, CloseError> {
        match header.opcode {
            Opcode::Ping => return Ok(Some(Event::Ping(payload))),
            Opcode::Pong => return Ok(Some(Event::Pong(payload))),
            Opcode::Close => return Ok(Some(Event::Close(close_payload(payload)?))),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
        }
        let under_way = self.partial.as_mut().and_then(|it| it.message.take());
        let (opcode, bytes) = match (header.opcode, under_way) {
            (Opcode::Continuation, None) => {
                return Err(CloseError::protocol("continuation of no message"));
            }
            (Opcode::Continuation, Some((opcode, mut bytes))) => {
                if bytes.len() + payload.len() > self.message_bytes_max {
                    return Err(CloseError::too_big("message too big"));
                }
                bytes.extend_from_slice(&payload);
                (opcode, Cow::Owned(bytes))
            }
            (_, Some(_)) => return Err(CloseError::protocol("message within a message")),
            (opcode, None) => (opcode, payload),
        };
        if !header.fin {
            self.partial.get_or_insert_default().message = Some((opcode, bytes.into_owned()));
            return Ok(None);
        }
        match opcode {
            Opcode::Text => text(bytes).map(|it| Some(Event::Text(it))),
            _ => Ok(Some(Event::Binary(bytes))),
        }
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, CloseError> {
    let not_utf8 = || CloseError::invalid("text that isn't UTF-8");
    match bytes {
        Cow::Borrowed(bytes) => simdutf8::basic::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|_| not_utf8()),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| not_utf8()),
    }
}

impl Header {
    fn parse(bytes: &[u8], message_bytes_max: usize) -> Result<Option<Self>, CloseError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
            return Err(CloseError::protocol("unknown opcode"));
        };
        let fin = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(CloseError::protocol("reserved bit set"));
        }
        if opcode.is_control() && !fin {
            return Err(CloseError::protocol("fragmented control frame"));
        }
        let Some((&short, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if short & 0x80 != 0 {
            return Err(CloseError::protocol("frame with a mask"));
        }
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(CloseError::protocol("control frame too long"));
        }
        let Some((payload_len, rest)) = payload_len(short, rest)? else {
            return Ok(None);
        };
        match usize::try_from(payload_len) {
            Ok(payload_len) if payload_len <= message_bytes_max => Ok(Some(Self {
                fin,
                opcode,
                len: bytes.len() - rest.len(),
                payload_len,
            })),
            _ => Err(CloseError::too_big("message too big")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, cut in two at every place, and byte by byte, `input` must come to the same.
    fn check(input: &[u8], expected: &[Event<'static>], error: Option<(u16, &str)>) {
        let mut cuts: Vec<Vec<&[u8]>> = (0..input.len().min(40))
            .map(|at| {
                let (a, b) = input.split_at(at);
                vec![a, b]
            })
            .collect();
        cuts.push(input.chunks(1).collect());
        for pieces in cuts {
            let mut decoder = Decoder::new(70_000);
            let (mut events, mut failed) = (Vec::new(), None);
            for mut piece in pieces {
                while !piece.is_empty() && failed.is_none() {
                    match decoder.decode(piece) {
                        Ok((used, event)) => {
                            events.extend(event.map(own));
                            piece = &piece[used..];
                        }
                        Err(it) => failed = Some((it.code(), it.reason())),
                    }
                }
            }
            assert_eq!(events, expected);
            assert_eq!(failed, error);
            assert_eq!(decoder.held_bytes(), 0);
        }
    }

    fn own(event: Event<'_>) -> Event<'static> {
        match event {
            Event::Text(it) => Event::Text(it.into_owned().into()),
            Event::Binary(it) => Event::Binary(it.into_owned().into()),
            Event::Ping(it) => Event::Ping(it.into_owned().into()),
            Event::Pong(it) => Event::Pong(it.into_owned().into()),
            Event::Close(it) => Event::Close(it.map(|(code, why)| (code, why.into_owned().into()))),
        }
    }

    #[test]
    fn frames_become_events_however_they_are_cut() {
        check(
            b"\x81\x05Hello\x82\x00\x89\x01x\x8a\x00",
            &[
                Event::Text("Hello".into()),
                Event::Binary(b""[..].into()),
                Event::Ping(b"x"[..].into()),
                Event::Pong(b""[..].into()),
            ],
            None,
        );
        check(
            b"\x01\x03Hel\x89\x00\x80\x02lo",
            &[Event::Ping(b""[..].into()), Event::Text("Hello".into())],
            None,
        );
        let long = [b"\x82\x7e\x01\x00".to_vec(), vec![7; 256]].concat();
        check(&long, &[Event::Binary(vec![7; 256].into())], None);
        let longer = [b"\x82\x7f\0\0\0\0\0\x01\0\0".to_vec(), vec![7; 65_536]].concat();
        check(&longer, &[Event::Binary(vec![7; 65_536].into())], None);
        check(
            b"\x88\x06\x03\xe9idle\x81\x02hi",
            &[Event::Close(Some((1001, "idle".into())))],
            None,
        );
        check(b"\x88\x00", &[Event::Close(None)], None);
    }

    #[test]
    fn a_server_that_breaks_a_rule_is_told_which() {
        check(b"\x83\x00", &[], Some((1002, "unknown opcode")));
        check(b"\xc1\x00", &[], Some((1002, "reserved bit set")));
        check(b"\x09\x00", &[], Some((1002, "fragmented control frame")));
        check(b"\x81\x81", &[], Some((1002, "frame with a mask")));
        check(b"\x89\x7e", &[], Some((1002, "control frame too long")));
        check(b"\x80\x00", &[], Some((1002, "continuation of no message")));
        check(
            b"\x01\x00\x01\x00",
            &[],
            Some((1002, "message within a message")),
        );
        check(b"\x88\x01x", &[], Some((1002, "close payload of one byte")));
        check(b"\x81\x01\xff", &[], Some((1007, "text that isn't UTF-8")));
        check(
            b"\x82\x7f\0\0\0\0\x7f\0\0\0",
            &[],
            Some((1009, "message too big")),
        );
        let many = [b"\x02\x7e\xff\xff".to_vec(), vec![0; 65_535]].concat();
        let rest = [b"\x80\x7e\xff\xff".to_vec(), vec![0; 65_535]].concat();
        check(&[many, rest].concat(), &[], Some((1009, "message too big")));
    }
}
