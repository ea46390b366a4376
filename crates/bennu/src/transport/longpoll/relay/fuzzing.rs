//! What must hold of whatever another node sends, for the project's fuzzer.

use bytes::Bytes;

use super::{Ask, Memory, Message, Pieces, Said, Told, What};

/// Messages, each behind its length (two bytes, little-endian): one that is read is written as what is read the same, and
/// no more is put together than was said to come, or came.
///
/// # Panics
/// When that isn't so.
pub fn relay(mut bytes: &[u8]) {
    let mut pieces = Pieces::new(0);
    let memory = Memory::default();
    let mut came = 0;
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (message, rest) = rest.split_at(length);
        bytes = rest;
        let Some(message) = Message::decode(Bytes::copy_from_slice(message)) else {
            continue;
        };
        let again = message.encode().and_then(Message::decode);
        assert_eq!(again.as_ref(), Some(&message));
        match message.what {
            What::Said(Said::Ask(Ask { body_bytes, .. })) => {
                (pieces, came) = (Pieces::new(body_bytes), 0)
            }
            What::Told(Told::Messages(total)) => (pieces, came) = (Pieces::new(total), 0),
            What::Said(Said::Body(part)) | What::Told(Told::Part(part)) => {
                let before = pieces.bytes.len();
                let Some(room) = memory.take(part.bytes.len()) else {
                    continue;
                };
                let added = pieces.add(&part, room);
                came += if added { part.bytes.len() } else { 0 };
                assert_eq!(added, part.at == before && pieces.bytes.len() > before);
            }
            _ => {}
        }
        assert!(pieces.bytes.len() == came && came <= pieces.total);
        assert_eq!(memory.bytes(), came);
        assert_eq!(pieces.is_whole(), came == pieces.total);
    }
}
