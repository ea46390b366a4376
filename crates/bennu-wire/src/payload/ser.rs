//! From a value to a payload.

use std::{cell::Cell, fmt::Display};

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Payload;
use crate::EncodeError;

/// Serializes to JSON and looks on at the top of the value: bytes found there are kept aside.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, EncodeError> {
    let binary = Cell::new(None);
    let json = serde_json::value::to_raw_value(&Tapped {
        value,
        binary: &binary,
    });
    match (json, binary.into_inner()) {
        (Err(error), _) => Err(EncodeError::value(&error)),
        (Ok(_), Some(bytes)) => Ok(Payload::Binary(bytes)),
        (Ok(json), None) => Ok(Payload::Json(json)),
    }
}

/// A value that is serialized through a [`Tap`]. This way serde_json makes the `RawValue` itself, in one pass and
/// without checking again what it has just written.
struct Tapped<'a, T: ?Sized> {
    value: &'a T,
    binary: &'a Cell<Option<Bytes>>,
}

impl<T: Serialize + ?Sized> Serialize for Tapped<'_, T> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Tap {
            json,
            binary: self.binary,
        })
    }
}

/// A serializer for the top of a value only: all that lies deeper goes straight to the one beneath.
struct Tap<'a, S> {
    json: S,
    binary: &'a Cell<Option<Bytes>>,
}

/// Methods whose arguments go to the serializer beneath as they are.
macro_rules! pass {
    ($($method:ident($($name:ident: $type:ty),*) -> $out:ident;)*) => {
        $(fn $method(self, $($name: $type),*) -> Result<Self::$out, S::Error> {
            self.json.$method($($name),*)
        })*
    };
}

impl<S: Serializer> Serializer for Tap<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = S::SerializeSeq;
    type SerializeTuple = S::SerializeTuple;
    type SerializeTupleStruct = S::SerializeTupleStruct;
    type SerializeTupleVariant = S::SerializeTupleVariant;
    type SerializeMap = S::SerializeMap;
    type SerializeStruct = S::SerializeStruct;
    type SerializeStructVariant = S::SerializeStructVariant;

    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        self.binary.set(Some(Bytes::copy_from_slice(bytes)));
        self.json.serialize_unit()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.json.serialize_map(Some(0))?.end()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<S::Ok, S::Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.json
            .serialize_newtype_variant(name, index, variant, value)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.json.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.json.is_human_readable()
    }

    pass! {
        serialize_bool(value: bool) -> Ok;
        serialize_i8(value: i8) -> Ok;
        serialize_i16(value: i16) -> Ok;
        serialize_i32(value: i32) -> Ok;
        serialize_i64(value: i64) -> Ok;
        serialize_i128(value: i128) -> Ok;
        serialize_u8(value: u8) -> Ok;
        serialize_u16(value: u16) -> Ok;
        serialize_u32(value: u32) -> Ok;
        serialize_u64(value: u64) -> Ok;
        serialize_u128(value: u128) -> Ok;
        serialize_f32(value: f32) -> Ok;
        serialize_f64(value: f64) -> Ok;
        serialize_char(value: char) -> Ok;
        serialize_str(value: &str) -> Ok;
        serialize_none() -> Ok;
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> Ok;
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeStructVariant;
    }
}
