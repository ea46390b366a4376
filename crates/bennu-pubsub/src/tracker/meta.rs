//! Metas: what somebody says of themselves under a key, and the refs that tell metas apart.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bennu_wire::{DecodeError, DecodeLimits, Payload};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::PresenceError;

/// The names that a tracker adds to a meta. Those of the caller give way.
const RESERVED: [&str; 2] = ["phx_ref", "phx_ref_prev"];

/// A meta to be tracked: a JSON object.
///
/// ```
/// use bennu_pubsub::tracker::Meta;
///
/// assert!(Meta::new(&serde_json::json!({"status": "away"})).is_ok());
/// assert!(Meta::new(&()).is_ok(), "nothing to say is an empty object");
/// assert!(Meta::new(&"away").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Meta {
    /// The object without its braces.
    members: Box<str>,
}

impl Meta {
    /// Serializes a meta. Members named `phx_ref` or `phx_ref_prev` are left out: the tracker adds its own.
    ///
    /// # Errors
    /// When the value doesn't serialize to a JSON object, or to one that a client might not send either: nested deeper
    /// than 128, or with half of a surrogate pair ([`DecodeLimits::check_json`]).
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, PresenceError> {
        let payload =
            Payload::new(value).map_err(|error| PresenceError::Meta(error.to_string()))?;
        let json = payload.as_json().and_then(members).ok_or_else(not_object)?;
        // It will be sent on, to other nodes and to clients.
        let passable = DecodeLimits::default().check_json(payload.as_json().unwrap_or_default());
        passable.map_err(|error| PresenceError::Meta(error.to_string()))?;
        // A reserved name may also be hidden behind escapes.
        let suspect = json.contains("phx_ref") || json.contains("\\u");
        let members = if suspect {
            unreserved(payload.as_json().unwrap_or_default())?
        } else {
            json.into()
        };
        Ok(Self { members })
    }

    /// The members of an object, as [`unstamped`] has them. What comes from elsewhere is checked like any other.
    pub(super) fn from_members(members: &str) -> Option<Self> {
        let json = RawValue::from_string(format!("{{{members}}}")).ok()?;
        Self::new(&json).ok()
    }

    /// Length of the object's text in bytes, without what a tracker adds.
    pub(super) fn len(&self) -> usize {
        self.members.len() + 2
    }

    /// The meta as clients see it.
    pub(super) fn stamped(&self, current: PresenceRef, prev: Option<PresenceRef>) -> Box<RawValue> {
        let members = &self.members;
        let comma = if members.is_empty() { "" } else { "," };
        let mut json = format!("{{{members}{comma}\"phx_ref\":\"{current}\"");
        if let Some(prev) = prev {
            json.push_str(&format!(",\"phx_ref_prev\":\"{prev}\""));
        }
        json.push('}');
        // Members of a valid object and a ref make a valid object.
        RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

/// What a stamped meta's text has besides the refs: its members. Refs are as long as each other.
pub(super) fn unstamped(json: &str, replaced: bool) -> Option<&str> {
    const REF: usize = r#""phx_ref":"0123456789abcdef""#.len();
    const PREV: usize = r#","phx_ref_prev":"0123456789abcdef""#.len();
    let json = json.strip_prefix('{')?.strip_suffix('}')?;
    let refs = if replaced { REF + PREV } else { REF };
    let members = json.get(..json.len().checked_sub(refs)?)?;
    Some(members.strip_suffix(',').unwrap_or(members))
}

fn members(json: &str) -> Option<&str> {
    Some(json.strip_prefix('{')?.strip_suffix('}')?.trim())
}

fn unreserved(json: &str) -> Result<Box<str>, PresenceError> {
    let unreadable = |error: serde_json::Error| PresenceError::Meta(error.to_string());
    let mut map: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(unreadable)?;
    map.retain(|name, _| !RESERVED.contains(&name.as_str()));
    let json = serde_json::to_string(&map).map_err(unreadable)?;
    members(&json).map(Into::into).ok_or_else(not_object)
}

fn not_object() -> PresenceError {
    PresenceError::Meta("expected an object".to_owned())
}

/// The name of one meta: unique, opaque, 16 characters of URL-safe base64. Phoenix's `phx_ref`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PresenceRef([u8; 16]);

impl PresenceRef {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for PresenceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PresenceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One life of one node: what it tracks is named after it. A node that starts again is another replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    /// The node's name, unique in its cluster.
    pub node: Box<str>,
    /// Unlike that of any other start of a node of this name.
    pub start: u64,
}

/// How many bits of a version a ref has: enough for nine years of a million changes a second.
pub(super) const VERSION_BITS: u32 = 48;

/// Makes refs from versions: no entry has to keep its ref, and no ref comes twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp([u8; 6]);

impl Stamp {
    /// `stream` tells the trackers of one replica apart.
    pub(super) fn new(replica: &Replica, stream: &str) -> Self {
        let start = replica.start.to_be_bytes();
        let name = [replica.node.as_bytes(), &start, stream.as_bytes()];
        let [_, _, tag @ ..] = hash(&name).to_be_bytes();
        Self(tag)
    }

    pub(super) fn stamp(self, version: u64) -> PresenceRef {
        let mut raw = [0; 12];
        let (tag, count) = raw.split_at_mut(6);
        tag.copy_from_slice(&self.0);
        let [_, _, low @ ..] = version.to_be_bytes();
        count.copy_from_slice(&low);
        let mut text = [b'A'; 16];
        // Twelve bytes are sixteen characters.
        let _ = URL_SAFE_NO_PAD.encode_slice(raw, &mut text);
        PresenceRef(text)
    }
}

/// FNV-1a with a final mix: the same on every node and in every release, which std's hashers don't promise.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        // 0xff isn't in any UTF-8 text, so "a", "bc" and "ab", "c" differ.
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// A meta that is tracked, with its `phx_ref`, and `phx_ref_prev` when it replaced another one.
#[derive(Clone, Debug)]
pub struct PresenceMeta {
    pub(super) json: Box<RawValue>,
    pub(super) phx_ref: PresenceRef,
}

impl PresenceMeta {
    /// The object's text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.json.get()
    }

    /// The meta's name.
    #[must_use]
    pub fn phx_ref(&self) -> PresenceRef {
        self.phx_ref
    }

    /// The name of the meta it replaced.
    #[must_use]
    pub fn phx_ref_prev(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Prev {
            phx_ref_prev: Option<String>,
        }
        self.decode().ok().and_then(|it: Prev| it.phx_ref_prev)
    }

    /// Deserializes the meta.
    ///
    /// # Errors
    /// When it isn't of that type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        Payload::Json(self.json.clone()).decode()
    }
}

impl Serialize for PresenceMeta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{Meta, Replica, Stamp, unstamped};

    fn check(meta: &str, expected: Option<&str>) {
        let stamp = Stamp([0; 6]);
        let raw = RawValue::from_string(meta.to_owned()).unwrap();
        let found = Meta::new(&raw)
            .ok()
            .map(|it| it.stamped(stamp.stamp(1), Some(stamp.stamp(0))));
        let expected = expected.map(|it| {
            it.replace(
                "REFS",
                r#""phx_ref":"AAAAAAAAAAAAAAAB","phx_ref_prev":"AAAAAAAAAAAAAAAA""#,
            )
        });
        if let Some(stamped) = &found {
            let members = unstamped(stamped.get(), true).unwrap();
            let again = Meta::from_members(members).unwrap();
            let again = again.stamped(stamp.stamp(1), Some(stamp.stamp(0)));
            assert_eq!(again.get(), stamped.get(), "what another node makes of it");
        }
        assert_eq!(found.map(|it| it.get().to_owned()), expected, "for {meta}");
    }

    #[test]
    fn a_meta_is_an_object_and_its_refs_are_ours() {
        check("{}", Some("{REFS}"));
        check("{ }", Some("{REFS}"));
        check(r#"{"a":1}"#, Some(r#"{"a":1,REFS}"#));
        check(r#"{"a":"}{,"}"#, Some(r#"{"a":"}{,",REFS}"#));
        check(
            r#"{"phx_ref":"x","a":1,"phx_ref_prev":2}"#,
            Some(r#"{"a":1,REFS}"#),
        );
        check(r#"{"phx_ref":"x"}"#, Some("{REFS}"));
        check(
            r#"{"phx_\u0072ef":"x","b":[1, 2]}"#,
            Some(r#"{"b":[1, 2],REFS}"#),
        );
        check(
            r#"{"__proto__":{"phx_ref":1}}"#,
            Some(r#"{"__proto__":{"phx_ref":1},REFS}"#),
        );
        let nested = |depth| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        check(&nested(127), Some(&nested(127).replace("]}", "],REFS}")));
        check(&nested(128), None);
        check(&nested(1_000_000), None);
        check(r#"{"a":"\udc00"}"#, None);
        for other in ["null", "1", r#""{}""#, "[]", r#"[{"a":1}]"#, "true"] {
            check(other, None);
        }
    }

    #[test]
    fn refs_are_sixteen_characters_and_differ_by_replica_stream_and_version() {
        let replica = |node: &str, start| Replica {
            node: node.into(),
            start,
        };
        let stamps = [
            Stamp::new(&replica("a", 1), "x"),
            Stamp::new(&replica("a", 2), "x"),
            Stamp::new(&replica("b", 1), "x"),
            Stamp::new(&replica("a", 1), "y"),
        ];
        let versions = [1, 2, u64::from(u32::MAX), 1 << 47];
        let mut refs: Vec<_> = stamps
            .iter()
            .flat_map(|stamp| versions.map(|it| stamp.stamp(it).to_string()))
            .collect();
        assert!(refs.iter().all(|it| it.len() == 16), "{refs:?}");
        refs.sort();
        refs.dedup();
        assert_eq!(refs.len(), 16);
    }
}
