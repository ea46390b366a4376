//! Topics, and the patterns that route them.

use std::{borrow::Borrow, error, fmt, ops::Deref};

use ecow::EcoString;

/// The name of a stream of messages, such as `room:7`. Up to 15 bytes stand in the value itself; cloning a longer one is
/// counting a reference.
///
/// ```
/// use bennu_wire::Topic;
///
/// let topic = Topic::from("room:7:west");
/// assert_eq!(topic.subtopic(), "7:west");
/// assert_eq!(Topic::from("lobby").subtopic(), "");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(EcoString);

impl Topic {
    /// The whole topic.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the first `:`, or nothing where there is none.
    #[must_use]
    pub fn subtopic(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, rest)| rest)
    }

    /// The same text, without copying what is long.
    pub(crate) fn text(&self) -> &EcoString {
        &self.0
    }

    pub(crate) fn from_text(text: &EcoString) -> Self {
        Self(text.clone())
    }
}

impl Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Topic {
    fn from(topic: &str) -> Self {
        Self(topic.into())
    }
}

impl From<String> for Topic {
    fn from(topic: String) -> Self {
        Self(topic.into())
    }
}

/// Which topics a channel serves: `room:*` every topic that starts with `room:`, `*` every topic, `lobby` that one only.
///
/// Where several patterns match a topic the first one declared wins, as in Phoenix (`Phoenix.Socket.channel/3`).
///
/// ```
/// use bennu_wire::Pattern;
///
/// let rooms = Pattern::parse("room:*")?;
/// assert!(rooms.matches("room:7"));
/// assert!(!rooms.matches("rooms"));
/// assert!(Pattern::parse("room:*:chat").is_err());
/// # Ok::<(), bennu_wire::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Reads a pattern. A `*` stands for any rest, so it can only come last.
    ///
    /// # Errors
    /// When the pattern is empty, or has a `*` before its end.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        match pattern.find('*') {
            _ if pattern.is_empty() => Err(PatternError(pattern.into())),
            Some(at) if at + 1 < pattern.len() => Err(PatternError(pattern.into())),
            _ => Ok(Self(pattern.into())),
        }
    }

    /// Whether a topic is one of those this pattern stands for.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => topic == &*self.0,
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A pattern that stands for nothing; see [`Pattern::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(Box<str>);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("a topic pattern may not be empty")
        } else {
            write!(
                f,
                "in topic pattern `{}` the `*` is not the last character",
                self.0
            )
        }
    }
}

impl error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_phoenix_routes_topics() {
        for (pattern, topic, expected) in [
            ("room:*", "room:a", true),
            ("room:*", "room:", true),
            ("room:*", "room", false),
            ("room:*", "Room:a", false),
            ("*", "", true),
            ("*", "anything:at:all", true),
            ("foo*", "food", true),
            ("foo*", "foo", true),
            ("foo*", "fo", false),
            ("lobby", "lobby", true),
            ("lobby", "lobby2", false),
            ("café:*", "café:π", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().matches(topic),
                expected,
                "{pattern} {topic}"
            );
        }
    }

    #[test]
    fn a_star_elsewhere_than_at_the_end_is_refused() {
        for pattern in ["", "a*b", "*a", "**", "room:*:x", "a*b*"] {
            let error = Pattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains("pattern"), "{pattern:?}: {error}");
        }
    }

    #[test]
    fn the_subtopic_is_what_follows_the_first_colon() {
        for (topic, subtopic) in [
            ("room:7", "7"),
            ("a:b:c", "b:c"),
            ("lobby", ""),
            ("x:", ""),
            (":y", "y"),
            ("", ""),
        ] {
            assert_eq!(Topic::from(topic).subtopic(), subtopic, "{topic}");
        }
    }
}
