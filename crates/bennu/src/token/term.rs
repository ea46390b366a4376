//! Erlang's terms, and their external format (ERTS User's Guide, External Term Format).

mod de;
mod decode;
mod encode;
mod ser;

use std::{borrow::Cow, error::Error as StdError, fmt};

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// URL-safe, without padding; as Elixir does, padding is taken.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest term that is read, inflated.
const TERM_BYTES_MAX: usize = 65_536;
/// How deep terms may nest, in a token.
const NESTING_MAX: usize = 64;
/// The longest name of an atom, in characters: Erlang's own limit.
const ATOM_CHARS_MAX: usize = 255;

/// One of Erlang's terms, for tokens whose data no type of Rust stands for.
///
/// Wherever a [`Token`](crate::Token) takes or gives data, a term may be all of it or a part of it. Processes,
/// references, functions, bit strings, improper lists and integers of more than 128 bits aren't there: a token
/// that holds them is invalid.
///
/// ```
/// use bennu::{Term, Token};
///
/// let token = Token::new("a secret that only the servers know")?;
/// let ok = Term::Tuple(vec![Term::Atom("ok".into()), Term::Integer(1)]); // Elixir's {:ok, 1}
/// let signed = token.sign("result", &ok)?;
/// assert_eq!(token.verify("result", signed.as_str()), Ok(ok));
///
/// // Types of Rust read the same data, as far as they fit.
/// assert_eq!(token.verify("result", signed.as_str()), Ok(("ok".to_owned(), 1)));
/// # Ok::<(), bennu::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "bennu::Term")]
#[non_exhaustive]
pub enum Term {
    /// `:name`. `true`, `false` and `nil` are atoms too; types of Rust read them as `bool` and `None` or `()`.
    Atom(String),
    /// An integer.
    Integer(i128),
    /// A float: Erlang has neither infinities nor NaN.
    Float(f64),
    /// Bytes: Elixir's strings are binaries in UTF-8.
    Binary(Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// A tuple.
    Tuple(Vec<Self>),
    /// A map, with its entries in any order.
    Map(Vec<(Self, Self)>),
}

/// What serde sees as the name of [`Term`]. No other type has it, so that terms pass through unchanged.
const TERM: &str = "bennu::Term";

/// Why a term can't be written or read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TermError(Cow<'static, str>);

impl Term {
    /// The term that a value serializes to.
    pub(super) fn new(value: &(impl Serialize + ?Sized)) -> Result<Self, TermError> {
        value.serialize(ser::TermSerializer)
    }

    /// The value of a term.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, TermError> {
        T::deserialize(de::TermDeserializer(self))
    }

    fn nil() -> Self {
        Self::Atom("nil".into())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Binary(text.into())
    }
}

impl fmt::Display for TermError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for TermError {}

impl From<&'static str> for TermError {
    fn from(why: &'static str) -> Self {
        Self(why.into())
    }
}

impl serde::ser::Error for TermError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self(why.to_string().into())
    }
}

impl serde::de::Error for TermError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self(why.to_string().into())
    }
}

/// The tags of the external format that are known here.
mod tag {
    pub(super) const VERSION: u8 = 131;
    pub(super) const NEW_FLOAT: u8 = 70;
    pub(super) const COMPRESSED: u8 = 80;
    pub(super) const SMALL_INTEGER: u8 = 97;
    pub(super) const INTEGER: u8 = 98;
    /// Of Erlang before 26, in Latin-1.
    pub(super) const ATOM: u8 = 100;
    pub(super) const SMALL_TUPLE: u8 = 104;
    pub(super) const LARGE_TUPLE: u8 = 105;
    /// The empty list.
    pub(super) const NIL: u8 = 106;
    /// A list of bytes.
    pub(super) const STRING: u8 = 107;
    pub(super) const LIST: u8 = 108;
    pub(super) const BINARY: u8 = 109;
    pub(super) const SMALL_BIG: u8 = 110;
    pub(super) const LARGE_BIG: u8 = 111;
    /// Of Erlang before 26, in Latin-1.
    pub(super) const SMALL_ATOM: u8 = 115;
    pub(super) const MAP: u8 = 116;
    pub(super) const ATOM_UTF8: u8 = 118;
    pub(super) const SMALL_ATOM_UTF8: u8 = 119;
}

#[cfg(test)]
mod tests;
