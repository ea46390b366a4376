//! Payloads: JSON nobody has parsed, or bytes.

mod de;
mod ser;

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Visitor},
};
use serde_json::value::RawValue;

pub(crate) use de::PayloadDeserializer;

use crate::{DecodeError, EncodeError};

/// What a message carries: JSON text that stays unparsed until someone asks for a type, or bytes.
///
/// ```
/// use bennu_wire::Payload;
/// use bytes::Bytes;
///
/// let payload = Payload::new(&("ana", 7))?;
/// assert_eq!(payload.as_json(), Some(r#"["ana",7]"#));
/// let (name, age): (String, u8) = payload.decode()?;
/// assert_eq!((&*name, age), ("ana", 7));
///
/// // Nothing is an empty object, as in Phoenix; bytes stay bytes.
/// assert_eq!(Payload::new(&())?, Payload::empty());
/// assert_eq!(Payload::new(&Bytes::from("raw"))?.as_binary(), Some(&Bytes::from("raw")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum Payload {
    /// Valid JSON text, any value.
    Json(Box<RawValue>),
    /// Bytes, which travel in a binary frame.
    Binary(Bytes),
}

impl Payload {
    /// The empty object, `{}`.
    #[must_use]
    pub fn empty() -> Self {
        Self::Json(raw_static("{}"))
    }

    /// Serializes a value.
    ///
    /// Bytes at the top (`bytes::Bytes`, `serde_bytes`), also inside `Some` or a newtype struct, become a binary
    /// payload; `()` and unit structs become `{}`; all else becomes JSON. A [`Payload`] or `RawValue` stays what it is.
    ///
    /// # Errors
    /// When the value has no JSON form (a map with keys that are no strings), or says so itself.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        ser::encode(value)
    }

    /// An object with a `reason`, the shape of every error reply.
    ///
    /// ```
    /// # use bennu_wire::Payload;
    /// assert_eq!(Payload::reason("unmatched topic").as_json(), Some(r#"{"reason":"unmatched topic"}"#));
    /// ```
    #[must_use]
    pub fn reason(reason: &str) -> Self {
        #[derive(Serialize)]
        struct Reason<'a> {
            reason: &'a str,
        }
        // An object with one string in it always has a JSON form.
        Self::new(&Reason { reason }).unwrap_or_else(|_| Self::empty())
    }

    /// Deserializes the payload.
    ///
    /// Any payload will do for `()` and unit structs. A binary one is given to the type as bytes, so `bytes::Bytes`
    /// and newtypes of it take it, and others refuse it.
    ///
    /// # Errors
    /// When the payload is not of that type; the text names what is wrong (``missing field `body` ``).
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        T::deserialize(PayloadDeserializer(self))
    }

    /// The JSON text, unless it is binary.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        match self {
            Self::Json(raw) => Some(raw.get()),
            Self::Binary(_) => None,
        }
    }

    /// The bytes, unless it is JSON.
    #[must_use]
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Json(_) => None,
            Self::Binary(bytes) => Some(bytes),
        }
    }

    /// Length in bytes, of the JSON text or of the binary data.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(raw) => raw.get().len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether it carries nothing: `{}`, or no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Json(raw) => raw.get() == "{}",
            Self::Binary(bytes) => bytes.is_empty(),
        }
    }
}

/// JSON text of our own as a value. Serializing null into it would be the fault of this very file.
fn raw_static(json: &'static str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl PartialEq for Payload {
    /// JSON is equal when its text is.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::Json(_), Self::Binary(_)) | (Self::Binary(_), Self::Json(_)) => false,
        }
    }
}

impl Eq for Payload {}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Box<RawValue>> for Payload {
    fn from(raw: Box<RawValue>) -> Self {
        Self::Json(raw)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(raw) => raw.serialize(serializer),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

/// The name by which our own deserializer knows that a [`Payload`] is asked for.
const TOKEN: &str = "$bennu_wire::Payload";

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any payload")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                json: D,
            ) -> Result<Payload, D::Error> {
                Box::<RawValue>::deserialize(json).map(Payload::Json)
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(Payload::Binary(Bytes::copy_from_slice(bytes)))
            }
        }
        deserializer.deserialize_newtype_struct(TOKEN, Whole)
    }
}
