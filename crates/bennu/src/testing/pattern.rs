//! What a payload is expected to be.

use std::fmt;

use bennu_wire::Payload;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::wire::Shown;

/// A shape of JSON, as the assertions' `{"a": 1, "b": _, ..}` makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Shape);

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Any,
    Exactly(Value),
    Bytes(Bytes),
    /// The first items; whether more may follow.
    Array(Vec<Self>, bool),
    /// These members; whether there may be others.
    Object(Vec<(String, Self)>, bool),
}

/// What the macros call.
impl Pattern {
    /// `_`
    #[must_use]
    pub fn any() -> Self {
        Self(Shape::Any)
    }

    /// An expression.
    #[track_caller]
    pub fn value(value: &(impl Serialize + ?Sized)) -> Self {
        let payload = match Payload::new(value) {
            Ok(payload) => payload,
            Err(error) => super::fail(&format!("failed to encode what is expected: {error}")),
        };
        Self(match payload {
            Payload::Binary(bytes) => Shape::Bytes(bytes),
            Payload::Json(raw) => match serde_json::from_str(raw.get()) {
                Ok(value) => Shape::Exactly(value),
                Err(error) => super::fail(&format!("failed to read what is expected: {error}")),
            },
        })
    }

    /// `null`
    #[must_use]
    pub fn null() -> Self {
        Self(Shape::Exactly(Value::Null))
    }

    /// `[]`
    #[must_use]
    pub fn array() -> Self {
        Self(Shape::Array(Vec::new(), false))
    }

    /// `{}`
    #[must_use]
    pub fn object() -> Self {
        Self(Shape::Object(Vec::new(), false))
    }

    /// One more item of an array.
    #[must_use]
    pub fn item(mut self, item: Self) -> Self {
        if let Shape::Array(items, _) = &mut self.0 {
            items.push(item.0);
        }
        self
    }

    /// One more member of an object.
    #[must_use]
    pub fn member(mut self, name: &str, member: Self) -> Self {
        if let Shape::Object(members, _) = &mut self.0 {
            members.push((name.to_owned(), member.0));
        }
        self
    }

    /// `..`: others may follow.
    #[must_use]
    pub fn open(mut self) -> Self {
        if let Shape::Array(_, open) | Shape::Object(_, open) = &mut self.0 {
            *open = true;
        }
        self
    }

    /// Whether a payload is of this shape; the error says where it isn't.
    pub(super) fn check(&self, payload: &Payload) -> Result<(), String> {
        match (&self.0, payload) {
            (Shape::Any, _) => Ok(()),
            (Shape::Bytes(expected), Payload::Binary(bytes)) if expected == bytes => Ok(()),
            (Shape::Bytes(_), _) | (_, Payload::Binary(_)) => Err("doesn't match".to_owned()),
            (shape, Payload::Json(raw)) => {
                let value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
                shape.check(&value, "the payload")
            }
        }
    }
}

impl Shape {
    /// `place` is where in the payload the value is.
    fn check(&self, value: &Value, place: &str) -> Result<(), String> {
        match (self, value) {
            (Self::Any, _) => Ok(()),
            (Self::Exactly(expected), value) if expected == value => Ok(()),
            (Self::Array(shapes, open), Value::Array(values)) => {
                let (expected, found) = (shapes.len(), values.len());
                if found < expected || (found > expected && !open) {
                    let least = if *open { "at least " } else { "" };
                    return Err(format!("{place} has {found} items, not {least}{expected}"));
                }
                let mut pairs = shapes.iter().zip(values).enumerate();
                pairs.try_for_each(|(at, (shape, value))| {
                    shape.check(value, &format!("{place}[{at}]"))
                })
            }
            (Self::Object(shapes, open), Value::Object(values)) => {
                for (name, shape) in shapes {
                    let place = format!("{place}[{name:?}]");
                    match values.get(name) {
                        Some(value) => shape.check(value, &place)?,
                        None => return Err(format!("{place} isn't there")),
                    }
                }
                let unexpected = |name: &&String| shapes.iter().all(|(it, _)| it != *name);
                match values.keys().find(unexpected) {
                    Some(name) if !open => Err(format!(
                        "{place}[{name:?}] is there as well (`..` would allow it)"
                    )),
                    _ => Ok(()),
                }
            }
            (expected, found) => Err(format!("{place} is {found}, not {expected}")),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = |f: &mut fmt::Formatter<'_>, open: bool, empty: bool| match (open, empty) {
            (false, _) => Ok(()),
            (true, false) => f.write_str(", .."),
            (true, true) => f.write_str(".."),
        };
        match self {
            Self::Any => f.write_str("_"),
            Self::Exactly(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => write!(f, "{}", Shown(&Payload::Binary(bytes.clone()))),
            Self::Array(items, open) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                rest(f, *open, items.is_empty())?;
                f.write_str("]")
            }
            Self::Object(members, open) => {
                f.write_str("{")?;
                for (at, (name, member)) in members.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{name:?}: {member}")?;
                }
                rest(f, *open, members.is_empty())?;
                f.write_str("}")
            }
        }
    }
}

/// Reads a JSON pattern, a token at a time: `serde_json::json!` knows neither `_` nor `..`.
#[doc(hidden)]
#[macro_export]
macro_rules! __bennu_pattern {
    (@items ($done:expr)) => { $done };
    (@items ($done:expr) .. $(,)?) => { $done.open() };
    (@items ($done:expr) _ $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@items ($done.item($crate::testing::__private::Pattern::any())) $($($rest)*)?)
    };
    (@items ($done:expr) null $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@items ($done.item($crate::testing::__private::Pattern::null())) $($($rest)*)?)
    };
    (@items ($done:expr) { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@items ($done.item($crate::__bennu_pattern!({ $($inner)* }))) $($($rest)*)?)
    };
    (@items ($done:expr) [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@items ($done.item($crate::__bennu_pattern!([ $($inner)* ]))) $($($rest)*)?)
    };
    (@items ($done:expr) $value:expr $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@items ($done.item($crate::testing::__private::Pattern::value(&$value))) $($($rest)*)?)
    };
    (@members ($done:expr)) => { $done };
    (@members ($done:expr) .. $(,)?) => { $done.open() };
    (@members ($done:expr) $name:literal : _ $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@members ($done.member($name, $crate::testing::__private::Pattern::any())) $($($rest)*)?)
    };
    (@members ($done:expr) $name:literal : null $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@members ($done.member($name, $crate::testing::__private::Pattern::null())) $($($rest)*)?)
    };
    (@members ($done:expr) $name:literal : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@members ($done.member($name, $crate::__bennu_pattern!({ $($inner)* }))) $($($rest)*)?)
    };
    (@members ($done:expr) $name:literal : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@members ($done.member($name, $crate::__bennu_pattern!([ $($inner)* ]))) $($($rest)*)?)
    };
    (@members ($done:expr) $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        $crate::__bennu_pattern!(@members ($done.member($name, $crate::testing::__private::Pattern::value(&$value))) $($($rest)*)?)
    };
    (@members ($done:expr) $($other:tt)*) => {
        ::core::compile_error!(
            "a JSON pattern's object has members like `\"name\": value`, `\"name\": _`, and at its end perhaps `..`"
        )
    };
    (_) => { $crate::testing::__private::Pattern::any() };
    (null) => { $crate::testing::__private::Pattern::null() };
    ([ $($items:tt)* ]) => {
        $crate::__bennu_pattern!(@items ($crate::testing::__private::Pattern::array()) $($items)*)
    };
    ({ $($members:tt)* }) => {
        $crate::__bennu_pattern!(@members ($crate::testing::__private::Pattern::object()) $($members)*)
    };
    ($value:expr) => { $crate::testing::__private::Pattern::value(&$value) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &Pattern, json: &Value, expected: Result<(), &str>) {
        let result = pattern.check(&Payload::new(json).unwrap());
        assert_eq!(result.as_ref().map_err(String::as_str).copied(), expected);
    }

    #[test]
    fn a_pattern_is_exact_but_where_it_is_left_open() {
        let json = serde_json::json!({"a": 1, "b": [true, null, {"c": "x"}]});
        let n = 1;
        check(&crate::__bennu_pattern!(_), &json, Ok(()));
        check(&crate::__bennu_pattern!(json), &json, Ok(()));
        check(
            &crate::__bennu_pattern!({"a": n, "b": [true, null, {"c": _}]}),
            &json,
            Ok(()),
        );
        check(&crate::__bennu_pattern!({"b": [_, ..], ..}), &json, Ok(()));
        check(
            &crate::__bennu_pattern!({"b": _}),
            &json,
            Err(r#"the payload["a"] is there as well (`..` would allow it)"#),
        );
        check(
            &crate::__bennu_pattern!({"a": n + 1, ..}),
            &json,
            Err(r#"the payload["a"] is 1, not 2"#),
        );
        check(
            &crate::__bennu_pattern!({"b": [true, _, {"c": "y"},], ..}),
            &json,
            Err(r#"the payload["b"][2]["c"] is "x", not "y""#),
        );
        check(
            &crate::__bennu_pattern!({"b": [true], "a": _}),
            &json,
            Err(r#"the payload["b"] has 3 items, not 1"#),
        );
        check(
            &crate::__bennu_pattern!({"d": null, ..}),
            &json,
            Err(r#"the payload["d"] isn't there"#),
        );
    }

    #[test]
    fn a_pattern_is_shown_as_it_is_written() {
        let pattern = crate::__bennu_pattern!({"a": [1, _, ..], "b": {..}, "c": "x", "d": [], ..});
        assert_eq!(
            pattern.to_string(),
            r#"{"a": [1, _, ..], "b": {..}, "c": "x", "d": [], ..}"#
        );
    }

    #[test]
    fn bytes_are_expected_as_bytes() {
        let bytes = Bytes::from_static(&[1, 2]);
        let payload = Payload::from(bytes.clone());
        assert_eq!(Pattern::value(&bytes).check(&payload), Ok(()));
        assert!(Pattern::value(&[1, 2]).check(&payload).is_err());
        assert_eq!(Pattern::value(&bytes).to_string(), "2 bytes: 01 02");
    }
}
