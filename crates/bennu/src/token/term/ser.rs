//! Values of Rust to terms.

use serde::{
    Serialize,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant, Serializer,
    },
};

use super::{TERM, Term, TermError};

pub(super) struct TermSerializer;

/// The items of a list, a tuple or a variant with several values, so far.
pub(super) struct Items {
    terms: Vec<Term>,
    into: fn(Vec<Term>) -> Term,
    /// Of an enum's variant: the key that it goes under.
    variant: Option<&'static str>,
}

/// The entries of a map or a struct so far.
pub(super) struct Entries {
    entries: Vec<(Term, Term)>,
    key: Option<Term>,
    variant: Option<&'static str>,
}

impl Items {
    fn new(into: fn(Vec<Term>) -> Term) -> Self {
        Self {
            terms: Vec::new(),
            into,
            variant: None,
        }
    }

    fn push(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), TermError> {
        self.terms.push(Term::new(value)?);
        Ok(())
    }

    fn finish(self) -> Term {
        of_variant(self.variant, (self.into)(self.terms))
    }
}

impl Entries {
    fn new(variant: Option<&'static str>) -> Self {
        Self {
            entries: Vec::new(),
            key: None,
            variant,
        }
    }

    fn push(&mut self, key: Term, value: &(impl Serialize + ?Sized)) -> Result<(), TermError> {
        self.entries.push((key, Term::new(value)?));
        Ok(())
    }

    fn finish(self) -> Term {
        of_variant(self.variant, Term::Map(self.entries))
    }
}

fn of_variant(variant: Option<&str>, term: Term) -> Term {
    match variant {
        Some(variant) => Term::Map(vec![(Term::text(variant), term)]),
        None => term,
    }
}

/// A term again, of what its variant's value has been serialized to.
fn of_term(variant: &str, value: Term) -> Result<Term, TermError> {
    Ok(match (variant, value) {
        ("Atom", Term::Binary(name)) => {
            Term::Atom(String::from_utf8(name).map_err(|_| "an atom isn't in UTF-8")?)
        }
        ("Binary", Term::List(items)) => {
            Term::Binary(items.iter().filter_map(Term::as_byte).collect())
        }
        ("Tuple", Term::List(items)) => Term::Tuple(items),
        ("Map", Term::List(pairs)) => {
            let pairs = pairs.into_iter().map(|pair| match pair {
                Term::Tuple(pair) => <[Term; 2]>::try_from(pair).ok(),
                _ => None,
            });
            let entries = pairs.map(|pair| pair.map(|[key, value]| (key, value)));
            Term::Map(
                entries
                    .collect::<Option<_>>()
                    .ok_or("a map's entry isn't a pair")?,
            )
        }
        (_, value) => value,
    })
}

macro_rules! integers {
    ($($method:ident $type:ty),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<Term, TermError> {
            Ok(Term::Integer(value.into()))
        })*
    };
}

impl Serializer for TermSerializer {
    type Ok = Term;
    type Error = TermError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    integers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
    }

    fn serialize_u128(self, value: u128) -> Result<Term, TermError> {
        match i128::try_from(value) {
            Ok(integer) => Ok(Term::Integer(integer)),
            Err(_) => Err("an integer has more than 128 bits with its sign".into()),
        }
    }

    fn serialize_bool(self, value: bool) -> Result<Term, TermError> {
        Ok(Term::Atom(value.to_string()))
    }

    fn serialize_f32(self, value: f32) -> Result<Term, TermError> {
        Ok(Term::Float(value.into()))
    }

    fn serialize_f64(self, value: f64) -> Result<Term, TermError> {
        Ok(Term::Float(value))
    }

    fn serialize_char(self, value: char) -> Result<Term, TermError> {
        Ok(Term::text(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_str(self, value: &str) -> Result<Term, TermError> {
        Ok(Term::text(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Term, TermError> {
        Ok(Term::Binary(value.to_vec()))
    }

    fn serialize_none(self) -> Result<Term, TermError> {
        Ok(Term::nil())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Term, TermError> {
        Term::new(value)
    }

    fn serialize_unit(self) -> Result<Term, TermError> {
        Ok(Term::nil())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Term, TermError> {
        Ok(Term::nil())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Term, TermError> {
        Ok(Term::text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Term, TermError> {
        Term::new(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Term, TermError> {
        let value = Term::new(value)?;
        match name {
            TERM => of_term(variant, value),
            _ => Ok(of_variant(Some(variant), value)),
        }
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, TermError> {
        Ok(Items::new(Term::List))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, TermError> {
        Ok(Items::new(Term::Tuple))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, TermError> {
        Ok(Items::new(Term::Tuple))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, TermError> {
        Ok(Items {
            variant: Some(variant),
            ..Items::new(Term::Tuple)
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries, TermError> {
        Ok(Entries::new(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries, TermError> {
        Ok(Entries::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries, TermError> {
        Ok(Entries::new(Some(variant)))
    }
}

macro_rules! items {
    ($($trait:ident $method:ident),* $(,)?) => {
        $(impl $trait for Items {
            type Ok = Term;
            type Error = TermError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TermError> {
                self.push(value)
            }

            fn end(self) -> Result<Term, TermError> {
                Ok(self.finish())
            }
        })*
    };
}

items! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! fields {
    ($($trait:ident),*) => {
        $(impl $trait for Entries {
            type Ok = Term;
            type Error = TermError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), TermError> {
                self.push(Term::text(key), value)
            }

            fn end(self) -> Result<Term, TermError> {
                Ok(self.finish())
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Entries {
    type Ok = Term;
    type Error = TermError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TermError> {
        self.key = Some(Term::new(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TermError> {
        let key = self.key.take().ok_or_else(|| {
            <TermError as ser::Error>::custom("a map's value came before its key")
        })?;
        self.push(key, value)
    }

    fn end(self) -> Result<Term, TermError> {
        Ok(self.finish())
    }
}
