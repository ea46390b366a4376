//! A list that follows whatever a server says of presences: for the project's fuzzer.

use bennu_wire::Payload;

use super::roster::Roster;

/// What a list may take here.
const BYTES_MAX: usize = 4_096;

/// Follows payloads, each behind a byte that says what it is and its length (two bytes, little-endian): the list has no key
/// without metas, and takes what is counted and no more than it may.
///
/// # Panics
/// When that isn't so.
pub fn roster(mut bytes: &[u8]) {
    let mut roster = Roster::new(BYTES_MAX);
    while let Some(([kind, length @ ..], rest)) = bytes.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (json, rest) = rest.split_at(length);
        bytes = rest;
        let Ok(json) = serde_json::from_slice(json) else {
            continue;
        };
        let payload = Payload::Json(json);
        let before = roster.list().len();
        let changes = match kind % 8 {
            0 => {
                roster.joined();
                Vec::new()
            }
            1..4 => roster.state(&payload),
            _ => roster.diff(&payload),
        };
        assert!(roster.bytes() <= BYTES_MAX);
        let after = roster.list().len();
        assert!(
            before == after || !changes.is_empty(),
            "nobody was told of it"
        );
    }
}
