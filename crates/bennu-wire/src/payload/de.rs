//! From a payload to a value.

use serde::{Deserializer, de::Visitor};
use serde_json::value::RawValue;

use super::{Payload, TOKEN};
use crate::{Cause, DecodeError};

/// A payload as serde sees it: JSON text read where it lies, or bytes.
#[derive(Clone, Copy)]
pub(crate) struct PayloadDeserializer<'a>(pub(crate) &'a Payload);

impl<'a> PayloadDeserializer<'a> {
    /// Refuses all but objects, in words that name no type of ours. Serde would take an array for a struct as well,
    /// field by field, which no client should come to rely on.
    fn object(self) -> Result<&'a RawValue, DecodeError> {
        let found = match self.0 {
            Payload::Binary(_) => "binary data",
            Payload::Json(raw) => match raw.get().as_bytes().first() {
                Some(b'{') => return Ok(raw),
                Some(b'[') => "an array",
                Some(b'"') => "a string",
                Some(b't' | b'f') => "a boolean",
                Some(b'n') | None => "null",
                Some(_) => "a number",
            },
        };
        Err(DecodeError::new(
            Cause::Payload,
            format!("expected an object, found {found}"),
        ))
    }
}

/// Methods that serde_json does for JSON, and that find bytes in anything else.
macro_rules! pass {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, DecodeError> {
            match self.0 {
                Payload::Json(raw) => serde_json::Deserializer::from_str(raw.get())
                    .$method($($name,)* visitor)
                    .map_err(|error| DecodeError::payload(&error)),
                Payload::Binary(bytes) => visitor.visit_bytes(bytes),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for PayloadDeserializer<'de> {
    type Error = DecodeError;

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0.as_json() {
            Some("null") => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            // serde_json knows its RawValue by such a name, so it has to see them all.
            Payload::Json(raw) => serde_json::Deserializer::from_str(raw.get())
                .deserialize_newtype_struct(name, visitor)
                .map_err(|error| DecodeError::payload(&error)),
            Payload::Binary(bytes) if name == TOKEN => visitor.visit_bytes(bytes),
            Payload::Binary(_) => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        serde_json::Deserializer::from_str(self.object()?.get())
            .deserialize_struct(name, fields, visitor)
            .map_err(|error| DecodeError::payload(&error))
    }

    pass! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}
