//! Topics and events as they stand in a message.

use std::fmt;

use ecow::EcoString;
use serde_json::value::RawValue;

use crate::{Cause, DecodeError, Topic};

/// A topic or an event as it came from a client: text nearly always, but any JSON value may stand there, and is echoed
/// unchanged (`Phoenix.Socket.V2.JSONSerializer` checks no types).
#[derive(Clone, Debug)]
pub enum Name {
    /// A string, unescaped.
    Text(EcoString),
    /// Anything else.
    Json(Box<RawValue>),
}

impl Name {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(_) => None,
        }
    }

    /// How many bytes it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Json(raw) => raw.get().len(),
        }
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Result<Self, DecodeError> {
        let json = raw.get();
        match json
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            None => Ok(Self::Json(raw.to_owned())),
            Some(text) if !text.contains('\\') => Ok(text.into()),
            Some(_) => serde_json::from_str::<String>(json)
                .map(|text| Self::Text(text.into()))
                .map_err(|error| DecodeError::new(Cause::Json, error.to_string())),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            (Self::Text(_), Self::Json(_)) | (Self::Json(_), Self::Text(_)) => false,
        }
    }
}

impl Eq for Name {}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::Text(EcoString::from(text))
    }
}

impl From<&Topic> for Name {
    fn from(topic: &Topic) -> Self {
        Self::Text(topic.text().clone())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Json(raw) => f.write_str(raw.get()),
        }
    }
}

/// A borrowed [`Name`], so that sending to a topic clones nothing.
#[derive(Clone, Copy, Debug)]
pub enum NameRef<'a> {
    /// A string, unescaped.
    Text(&'a str),
    /// Any other JSON value.
    Json(&'a RawValue),
}

impl<'a> NameRef<'a> {
    /// The characters, or the JSON text of what is no string.
    pub(crate) fn to_text(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Json(raw) => raw.get(),
        }
    }
}

impl<'a> From<&'a str> for NameRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Topic> for NameRef<'a> {
    fn from(topic: &'a Topic) -> Self {
        Self::Text(topic.as_str())
    }
}

impl<'a> From<&'a Name> for NameRef<'a> {
    fn from(name: &'a Name) -> Self {
        match name {
            Name::Text(text) => Self::Text(text),
            Name::Json(raw) => Self::Json(raw),
        }
    }
}
