//! Bodies of posts.

use bennu_wire::{
    Frame, Serializer,
    longpoll::{BATCH_ENTRIES_MAX, Batch, Entry},
};
use bytes::Bytes;

use crate::Input;

const MEDIA_TYPES: &[&str] = &[
    "application/x-ndjson",
    "application/x-ndjson; charset=utf-8",
    "application/json",
    "",
];

/// There are no more entries than allowed, none is longer than the body, and each is decoded or refused.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let media_type = input.one(MEDIA_TYPES);
    let body = Bytes::copy_from_slice(input.rest());
    let length = body.len();
    let Ok(batch) = Batch::new(media_type, body) else {
        return;
    };
    let mut entries = 0;
    for entry in batch {
        entries += 1;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                assert!((400..500).contains(&error.status()));
                continue;
            }
        };
        assert!(entry.len() <= length);
        let frame = entry.as_frame();
        assert_eq!(
            matches!(frame, Frame::Text(_)),
            matches!(entry, Entry::Text(_))
        );
        let _ = Serializer::V2.decode(frame);
    }
    assert!(entries <= BATCH_ENTRIES_MAX);
}
