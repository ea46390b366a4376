//! From a message to the bytes that a transport writes.

use std::cell::Cell;

use base64::{Engine, engine::general_purpose::STANDARD};
use bennu_websocket::{Deflater, Opcode, encoder};
use bennu_wire::{EncodeError, Encoding, Framing, Kind, Outgoing};
use bytes::Bytes;

/// Scratch memory beyond this is given back after use.
const SCRATCH_BYTES_KEPT: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static DEFLATER: Cell<Deflater> = Cell::default();
}

/// Encodes a message once, framed for its transport. Empty where the transport can't carry it.
pub(crate) fn encode(encoding: Encoding, outgoing: &Outgoing<'_>) -> Result<Bytes, EncodeError> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let room = encoder::begin_frame(&mut scratch);
    let payload = scratch.len();
    let frame = encoding
        .serializer
        .encode(outgoing, &mut scratch)
        .map(|kind| match encoding.framing {
            Framing::WebSocket => Bytes::copy_from_slice(encoder::finish_frame(
                &mut scratch,
                room,
                opcode(kind),
                false,
            )),
            Framing::WebSocketDeflate => deflate(&mut scratch, room, opcode(kind)),
            framing @ (Framing::LongPoll | Framing::LongPollBase64) => {
                entry(framing, kind, scratch.get(payload..).unwrap_or_default())
            }
        });
    if scratch.capacity() <= SCRATCH_BYTES_KEPT {
        SCRATCH.set(scratch);
    }
    frame
}

/// Frames the payload behind `room` compressed, unless that makes it longer.
fn deflate(scratch: &mut Vec<u8>, room: usize, opcode: Opcode) -> Bytes {
    let mut deflater = DEFLATER.take();
    let plain = scratch.split_off(room + encoder::HEADER_BYTES_MAX);
    let compressed = deflater.deflate(&plain, scratch);
    if !compressed {
        scratch.extend_from_slice(&plain);
    }
    DEFLATER.set(deflater);
    Bytes::copy_from_slice(encoder::finish_frame(scratch, room, opcode, compressed))
}

/// A message as it stands in the list of a long-poll answer: a JSON string.
fn entry(framing: Framing, kind: Kind, payload: &[u8]) -> Bytes {
    let mut entry = Vec::with_capacity(payload.len() + payload.len() / 4 + 2);
    let written = match (kind, framing) {
        (Kind::Text, _) => serde_json::to_writer(&mut entry, &String::from_utf8_lossy(payload)),
        (Kind::Binary, Framing::LongPollBase64) => {
            serde_json::to_writer(&mut entry, &STANDARD.encode(payload))
        }
        (Kind::Binary, _) => return Bytes::new(),
    };
    // A `Vec` takes all, and a string is never refused.
    debug_assert!(written.is_ok());
    // It may wait for a while: without the room that wasn't needed.
    Bytes::from(entry.into_boxed_slice())
}

/// Frames a message of a raw socket. Empty where the transport can't carry it.
pub(crate) fn frame(framing: Framing, opcode: Opcode, payload: &[u8]) -> Bytes {
    if let Framing::LongPoll | Framing::LongPollBase64 = framing {
        return match opcode {
            Opcode::Text => entry(framing, Kind::Text, payload),
            Opcode::Binary => entry(framing, Kind::Binary, payload),
            _ => Bytes::new(),
        };
    }
    if framing != Framing::WebSocketDeflate || opcode.is_control() {
        return encoder::frame(opcode, payload);
    }
    let mut scratch = Vec::with_capacity(encoder::HEADER_BYTES_MAX + payload.len());
    let room = encoder::begin_frame(&mut scratch);
    scratch.extend_from_slice(payload);
    deflate(&mut scratch, room, opcode)
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
