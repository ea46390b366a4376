//! Terms to values of Rust.

use serde::{
    de::{
        self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer,
        VariantAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{TERM, Term, TermError};

pub(in crate::token) struct TermDeserializer(pub(super) Term);

impl<'de> Deserializer<'de> for TermDeserializer {
    type Error = TermError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        match self.0 {
            Term::Atom(name) => match name.as_str() {
                "nil" => visitor.visit_unit(),
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                _ => visitor.visit_string(name),
            },
            // The narrowest, as visitors often know 64 bits only.
            Term::Integer(integer) => match (u64::try_from(integer), i64::try_from(integer)) {
                (Ok(integer), _) => visitor.visit_u64(integer),
                (_, Ok(integer)) => visitor.visit_i64(integer),
                _ => visitor.visit_i128(integer),
            },
            Term::Float(float) => visitor.visit_f64(float),
            Term::Binary(bytes) => match String::from_utf8(bytes) {
                Ok(text) => visitor.visit_string(text),
                Err(error) => visitor.visit_byte_buf(error.into_bytes()),
            },
            Term::List(items) | Term::Tuple(items) => {
                let mut items = SeqDeserializer::new(items.into_iter());
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Term::Map(entries) => {
                let mut entries = MapDeserializer::new(entries.into_iter());
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        match self.0 {
            Term::Atom(name) if name == "nil" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        match self.0 {
            Term::Binary(bytes) => visitor.visit_byte_buf(bytes),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        self.deserialize_bytes(visitor)
    }

    /// A `Vec<u8>` takes a binary, too.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        match self.0 {
            Term::Binary(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TermError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TermError> {
        if name == TERM {
            return visitor.visit_enum(TermVariant(self.0));
        }
        match self.0 {
            Term::Map(entries) => match <[_; 1]>::try_from(entries) {
                Ok([(variant, value)]) => visitor.visit_enum(Variant(variant, Some(value))),
                Err(_) => Err("an enum is a text, an atom, or a map of one entry".into()),
            },
            variant => visitor.visit_enum(Variant(variant, None)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct tuple
        tuple_struct map struct identifier
    }
}

impl IntoDeserializer<'_, TermError> for Term {
    type Deserializer = TermDeserializer;

    fn into_deserializer(self) -> TermDeserializer {
        TermDeserializer(self)
    }
}

/// An enum's variant, and its value.
struct Variant(Term, Option<Term>);

impl<'de> EnumAccess<'de> for Variant {
    type Error = TermError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), TermError> {
        let Self(variant, value) = self;
        let name = seed.deserialize(TermDeserializer(variant))?;
        Ok((name, Self(Term::nil(), value)))
    }
}

impl Variant {
    fn value(self) -> Result<TermDeserializer, TermError> {
        let value = self.1.map(TermDeserializer);
        value.ok_or_else(|| "an enum's variant is without its value".into())
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = TermError;

    fn unit_variant(self) -> Result<(), TermError> {
        self.1.map_or(Ok(()), |value| {
            Deserialize::deserialize(TermDeserializer(value))
        })
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, TermError> {
        seed.deserialize(self.value()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TermError> {
        self.value()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TermError> {
        self.value()?.deserialize_any(visitor)
    }
}

/// A term for [`Term`] itself: its variant by name, and the content as what the variant holds.
struct TermVariant(Term);

impl<'de> EnumAccess<'de> for TermVariant {
    type Error = TermError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), TermError> {
        let variant = match &self.0 {
            Term::Atom(_) => "Atom",
            Term::Integer(_) => "Integer",
            Term::Float(_) => "Float",
            Term::Binary(_) => "Binary",
            Term::List(_) => "List",
            Term::Tuple(_) => "Tuple",
            Term::Map(_) => "Map",
        };
        let name = seed.deserialize(IntoDeserializer::<TermError>::into_deserializer(variant))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for TermVariant {
    type Error = TermError;

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, TermError> {
        match self.0 {
            Term::Atom(name) => seed.deserialize(name.into_deserializer()),
            Term::Map(entries) => seed.deserialize(MapDeserializer::new(entries.into_iter())),
            term => seed.deserialize(TermDeserializer(term)),
        }
    }

    fn unit_variant(self) -> Result<(), TermError> {
        Err(de::Error::invalid_type(
            de::Unexpected::NewtypeVariant,
            &"unit variant",
        ))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, TermError> {
        Err(de::Error::invalid_type(
            de::Unexpected::NewtypeVariant,
            &"tuple variant",
        ))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, TermError> {
        Err(de::Error::invalid_type(
            de::Unexpected::NewtypeVariant,
            &"struct variant",
        ))
    }
}
