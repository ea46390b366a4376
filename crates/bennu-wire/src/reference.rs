//! Refs: what ties a reply to its request.

use std::{borrow::Cow, fmt};

use ecow::EcoString;
use serde_json::value::RawValue;

use crate::{Cause, DecodeError};

/// A `ref` or `join_ref`: any JSON value, echoed as it came. Null is the empty one.
///
/// Clients send strings of digits; the protocol lets them send whatever they like, and the comparison is strict:
/// `"5"` is not `5`. Two strings are equal when their characters are, however they were escaped; other values when
/// their JSON text is the same.
///
/// ```
/// use bennu_wire::Ref;
///
/// assert_eq!(Ref::text("5").as_json(), r#""5""#);
/// assert_eq!(Ref::parse(r#""\u0035""#)?, Ref::text("5"));
/// assert_ne!(Ref::parse("5")?, Ref::text("5"));
/// assert!(Ref::parse("null")?.is_null());
/// # Ok::<(), bennu_wire::DecodeError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Ref(
    /// Canonical JSON text, or nothing for null.
    EcoString,
);

impl Ref {
    /// No ref: JSON `null`.
    pub const NULL: Self = Self(EcoString::new());

    /// [`Ref::NULL`] to borrow for as long as one likes.
    #[must_use]
    pub fn null() -> &'static Self {
        static NULL: Ref = Ref::NULL;
        &NULL
    }

    /// A string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        if text
            .bytes()
            .any(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
        {
            // A string always has a JSON form.
            return Self(serde_json::to_string(text).unwrap_or_default().into());
        }
        let mut json = EcoString::with_capacity(text.len() + 2);
        json.push('"');
        json.push_str(text);
        json.push('"');
        Self(json)
    }

    /// Any JSON value, from its text.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn parse(json: &str) -> Result<Self, DecodeError> {
        let raw: &RawValue = serde_json::from_str(json)
            .map_err(|error| DecodeError::new(Cause::Json, error.to_string()))?;
        Self::from_raw(raw)
    }

    /// A string without escapes, in its quotes.
    pub(crate) fn from_plain(json: &str) -> Self {
        Self(EcoString::from(json))
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "null" => Ok(Self::NULL),
            json if json.starts_with('"') && json.contains('\\') => {
                let text: String = serde_json::from_str(json)
                    .map_err(|error| DecodeError::new(Cause::Json, error.to_string()))?;
                Ok(Self::text(&text))
            }
            json => Ok(Self(EcoString::from(json))),
        }
    }

    /// Whether there is no ref.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON text: `null`, `"5"`, `5`, `{"a":1}`.
    #[must_use]
    pub fn as_json(&self) -> &str {
        if self.0.is_empty() { "null" } else { &self.0 }
    }

    /// What stands in a binary frame: a string's characters, any other value's JSON text, nothing for null.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        match self
            .0
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            None => Cow::Borrowed(&self.0),
            Some(text) if !text.contains('\\') => Cow::Borrowed(text),
            Some(_) => Cow::Owned(serde_json::from_str(&self.0).unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_echoed_as_json_and_as_text() {
        for (json, echoed, text) in [
            ("null", "null", ""),
            (r#""""#, r#""""#, ""),
            (r#""5""#, r#""5""#, "5"),
            ("5", "5", "5"),
            ("5.0", "5.0", "5.0"),
            ("true", "true", "true"),
            (r#"{"a":[1]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#""\u0035""#, r#""5""#, "5"),
            (r#""a\"b""#, r#""a\"b""#, "a\"b"),
            (r#""\n""#, r#""\n""#, "\n"),
            (r#""café""#, r#""café""#, "café"),
            (r#""null""#, r#""null""#, "null"),
        ] {
            let it = Ref::parse(json).unwrap();
            assert_eq!((it.as_json(), &*it.to_text()), (echoed, text), "{json}");
            assert_eq!(it.is_null(), json == "null", "{json}");
        }
    }

    #[test]
    fn comparison_is_strict_and_typed() {
        for (a, b, equal) in [
            (r#""5""#, "5", false),
            (r#""""#, "null", false),
            (r#""null""#, "null", false),
            ("5", "5.0", false),
            (r#""\u0035""#, r#""5""#, true),
            (r#""\/""#, r#""/""#, true),
            ("null", "null", true),
        ] {
            assert_eq!(
                Ref::parse(a).unwrap() == Ref::parse(b).unwrap(),
                equal,
                "{a} {b}"
            );
        }
    }

    #[test]
    fn what_is_not_json_is_no_ref() {
        for json in ["", "5 6", "\"", "nul", r#""\ud800""#, "{"] {
            assert!(Ref::parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_ref_is_no_larger_than_a_string() {
        assert_eq!(size_of::<Ref>(), 16);
    }
}
