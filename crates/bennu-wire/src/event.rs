//! Events by type: an event's name and its payload become a value, by serde alone.

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess,
        VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use crate::{DecodeError, Payload, payload::PayloadDeserializer};

/// Decodes an event and its payload into one value, nearly always an enum.
///
/// * The event is the variant's name.
/// * A unit variant takes any payload, a newtype variant takes it as its value (bytes, if it is binary), a struct
///   variant takes an object, a tuple variant an array.
/// * What is no enum sees a map of `event` and `payload`: so [`RawEvent`] takes everything as it came, and an enum with
///   `#[serde(tag = "event", content = "payload")]` works too.
///
/// Payloads are read where they lie; no tree of values is built.
///
/// # Errors
/// When there is no such event, or its payload does not fit. The text is for the client: ``unknown event `x`, expected
/// one of `a`, `b` ``, ``missing field `body` ``.
///
/// ```
/// use bennu_wire::{Payload, decode_event};
/// use serde::Deserialize;
///
/// #[derive(Debug, PartialEq, Deserialize)]
/// #[serde(rename_all = "snake_case")]
/// enum In {
///     NewMsg { body: String },
///     Typing,
/// }
///
/// let payload = Payload::new(&std::collections::HashMap::from([("body", "hi")]))?;
/// assert_eq!(decode_event::<In>("new_msg", &payload)?, In::NewMsg { body: "hi".to_owned() });
/// assert_eq!(decode_event::<In>("typing", &payload)?, In::Typing);
///
/// let error = decode_event::<In>("shout", &payload).unwrap_err();
/// assert_eq!(error.to_string(), "unknown event `shout`, expected one of `new_msg`, `typing`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode_event<T: DeserializeOwned>(event: &str, payload: &Payload) -> Result<T, DecodeError> {
    T::deserialize(Event { event, payload })
}

/// An event as it came, for channels that take any.
///
/// ```
/// use bennu_wire::{Payload, RawEvent, decode_event};
///
/// let raw: RawEvent = decode_event("anything", &Payload::new(&[1, 2])?)?;
/// assert_eq!((&*raw.event, raw.payload.as_json()), ("anything", Some("[1,2]")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RawEvent {
    /// The event's name.
    pub event: String,
    /// The payload, unparsed.
    pub payload: Payload,
}

/// An event and its payload as serde sees them: an enum to who asks for one, else a map of two.
#[derive(Clone, Copy)]
struct Event<'a> {
    event: &'a str,
    payload: &'a Payload,
}

impl<'de> Deserializer<'de> for Event<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_map(Fields {
            event: self,
            at: Field::Event,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_enum(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        // A channel whose events are `()` has none.
        Err(de::Error::unknown_variant(self.event, &[]))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Event<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), DecodeError> {
        let variant = seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(
            self.event,
        ))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Event<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        seed.deserialize(PayloadDeserializer(self.payload))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        PayloadDeserializer(self.payload).deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        PayloadDeserializer(self.payload).deserialize_struct("", fields, visitor)
    }
}

/// The map of two.
struct Fields<'a> {
    event: Event<'a>,
    at: Field,
}

#[derive(Clone, Copy)]
enum Field {
    Event,
    Payload,
    End,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let key = match self.at {
            Field::Event => "event",
            Field::Payload => "payload",
            Field::End => return Ok(None),
        };
        seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        match self.at {
            Field::Event => {
                self.at = Field::Payload;
                seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(
                    self.event.event,
                ))
            }
            Field::Payload | Field::End => {
                self.at = Field::End;
                seed.deserialize(PayloadDeserializer(self.event.payload))
            }
        }
    }
}
