//! From a payload to a value.

use std::iter;

use serde::{
    Deserializer,
    de::{
        Visitor,
        value::{BorrowedStrDeserializer, MapDeserializer},
    },
};
use serde_json::value::RawValue;

use super::{Payload, TOKEN};
use crate::{Cause, DecodeError};

/// The name by which a `RawValue` asks for JSON text as it stands. serde_json's own deserializer answers with a map of this
/// name to the text, once it has looked at all of it.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

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
            // Into another payload.
            Payload::Json(_) if name == TOKEN => visitor.visit_newtype_struct(self),
            // From one raw value to another: it needn't be read once more to know that it is JSON. Did serde_json rename
            // what is private to it, it would be, below.
            Payload::Json(raw) if name == RAW_VALUE => {
                let [name, text] = [RAW_VALUE, raw.get()].map(BorrowedStrDeserializer::new);
                visitor.visit_map(MapDeserializer::new(iter::once((name, text))))
            }
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

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de, forward_to_deserialize_any};

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(Payload);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Field {
        a: Payload,
    }

    #[test]
    fn text_is_taken_as_it_stands() {
        let text = r#"{"a": [1.50, "\u00e9", null]}"#;
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        let payload = Payload::from(raw);
        assert_eq!(payload.decode::<Payload>().unwrap(), payload);
        assert_eq!(payload.decode::<Wrapped>().unwrap().0, payload);
        assert_eq!(
            payload.decode::<Option<Payload>>().unwrap().as_ref(),
            Some(&payload)
        );
        assert_eq!(payload.decode::<Box<RawValue>>().unwrap().get(), text);
        let borrowed = <&RawValue>::deserialize(PayloadDeserializer(&payload)).unwrap();
        assert!(std::ptr::eq(borrowed.get(), payload.as_json().unwrap()));
        let field = payload.decode::<Field>().unwrap().a;
        assert_eq!(field.as_json(), Some(r#"[1.50, "\u00e9", null]"#));

        let null = Payload::new(&None::<()>).unwrap();
        assert_eq!(null.decode::<Option<Payload>>().unwrap(), None);
        assert_eq!(null.decode::<Payload>().unwrap(), null);
    }

    /// Says by what name it's asked for a newtype.
    struct Asked;

    impl<'de> Deserializer<'de> for Asked {
        type Error = DecodeError;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
            Err(de::Error::custom("something else"))
        }

        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            name: &'static str,
            _: V,
        ) -> Result<V::Value, DecodeError> {
            Err(de::Error::custom(name))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    #[test]
    fn serde_json_asks_for_raw_values_by_the_name_we_know() {
        let asked = Box::<RawValue>::deserialize(Asked).unwrap_err();
        assert_eq!(asked.to_string(), RAW_VALUE);
    }
}
