//! What of a client's parameters may be shown in a log.

use std::{borrow::Cow, fmt, sync::Arc};

use bennu_wire::Payload;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::params::percent_decoded;

/// Stands in the place of what isn't shown.
const FILTERED: &str = "[FILTERED]";
/// How much of one message's parameters is shown.
const SHOWN_BYTES_MAX: usize = 2048;
/// What is cut off.
const CUT: &str = "...";

/// Which parameters are shown in logs. Phoenix's `filter_parameters`.
///
/// By default the values of all keys that contain `password`, `token` or `secret` are replaced by
/// `[FILTERED]`, in upper or lower case, at any depth, and in texts of the form `a=1&password=2` too.
///
/// ```
/// use bennu::{FilterParameters, Payload};
/// use serde_json::json;
///
/// let payload = Payload::new(&json!({"name": "ana", "pin": 7, "form": "a=1&access_token=x"}))?;
/// let filter = FilterParameters::default().and(["pin"]);
/// assert_eq!(filter.show(&payload), r#"{"form":"a=1&access_token=[FILTERED]","name":"ana","pin":"[FILTERED]"}"#);
///
/// let filter = FilterParameters::keep(["name"]);
/// assert_eq!(filter.show(&payload), r#"{"form":"[FILTERED]","name":"ana","pin":"[FILTERED]"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct FilterParameters {
    rule: Rule,
    words: Arc<[String]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Keys that contain a word are filtered.
    Discard,
    /// Keys that are none of the words are filtered.
    Keep,
}

impl FilterParameters {
    /// Filters the values of keys that contain one of `words`, and of no others.
    pub fn discard(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            rule: Rule::Discard,
            words: words.into_iter().map(Into::into).collect(),
        }
    }

    /// Shows the values of keys that are one of `keys`, with all that they contain, and nothing else. Phoenix's
    /// `{:keep, keys}`.
    pub fn keep(keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            rule: Rule::Keep,
            ..Self::discard(keys)
        }
    }

    /// With further words, or keys.
    pub fn and(self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let further = words.into_iter().map(Into::into);
        Self {
            rule: self.rule,
            words: self.words.iter().cloned().chain(further).collect(),
        }
    }

    /// A payload as it may stand in a log: its first 2,048 bytes, and of binary ones the length.
    #[must_use]
    pub fn show(&self, payload: &Payload) -> String {
        match payload {
            Payload::Json(raw) => self.show_json(raw.get()),
            Payload::Binary(bytes) => format!("({} bytes)", bytes.len()),
        }
    }

    fn show_json(&self, json: &str) -> String {
        let mut shown = String::new();
        let value = Value {
            filter: self,
            shown: &mut shown,
            kept: false,
        };
        let mut json = serde_json::Deserializer::from_str(json);
        // An error is the end of the room.
        if value.deserialize(&mut json).is_err() {
            shown.push_str(CUT);
        }
        shown
    }

    /// Anything that deserializes itself, as JSON.
    pub(crate) fn show_value(&self, value: impl Deserializer<'static>) -> String {
        let mut shown = String::new();
        let seed = Value {
            filter: self,
            shown: &mut shown,
            kept: false,
        };
        if seed.deserialize(value).is_err() {
            shown.push_str(CUT);
        }
        shown
    }

    fn names(&self, key: &str) -> bool {
        let mut words = self.words.iter();
        match self.rule {
            Rule::Discard => words.any(|it| contains(key, it)),
            Rule::Keep => words.any(|it| it == key),
        }
    }

    /// A text, without what follows a key of the filter's in `key=value&key=value`.
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let hides = |pair: &str| {
            pair.split_once('=')
                .is_some_and(|(key, _)| self.names(&percent_decoded(key)))
        };
        if !text.contains('=') || !text.split('&').any(hides) {
            return Cow::Borrowed(text);
        }
        let pairs = text.split('&').map(|pair| match pair.split_once('=') {
            Some((key, _)) if hides(pair) => Cow::Owned(format!("{key}={FILTERED}")),
            _ => Cow::Borrowed(pair),
        });
        Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
    }
}

impl Default for FilterParameters {
    fn default() -> Self {
        Self::discard(["password", "token", "secret"])
    }
}

impl fmt::Debug for FilterParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = match self.rule {
            Rule::Discard => f.debug_tuple("Discard"),
            Rule::Keep => f.debug_tuple("Keep"),
        };
        tuple.field(&self.words).finish()
    }
}

/// Whether a key contains a word, in upper or lower case.
fn contains(key: &str, word: &str) -> bool {
    if word.is_empty() {
        return false;
    }
    let mut places = key.as_bytes().windows(word.len());
    places.any(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

/// The first `bytes` bytes, or less where that would cut a character, and the rest.
fn split_within(text: &str, bytes: usize) -> (&str, &str) {
    let fitting = (0..=bytes.min(text.len())).rev();
    let parts = fitting.map(|at| text.split_at_checked(at));
    parts.flatten().next().unwrap_or(("", text))
}

/// A value that is shown while it's read: no tree is built, and reading ends where there's no more room.
struct Value<'a> {
    filter: &'a FilterParameters,
    shown: &'a mut String,
    /// It's in what a filter that keeps has kept.
    kept: bool,
}

impl Value<'_> {
    /// Whether a value that isn't a list or map may be shown.
    fn is_shown(&self) -> bool {
        self.kept || self.filter.rule == Rule::Discard
    }

    fn add<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        let room = SHOWN_BYTES_MAX.saturating_sub(self.shown.len());
        if text.len() <= room {
            self.shown.push_str(text);
            return Ok(());
        }
        let (fitting, _) = split_within(text, room);
        self.shown.push_str(fitting);
        Err(E::custom("there is no more room"))
    }

    fn add_text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        // What is longer isn't shown to its end anyway.
        let (beginning, rest) = split_within(text, SHOWN_BYTES_MAX);
        let quoted = serde_json::to_string(beginning).unwrap_or_default();
        let quoted = if rest.is_empty() {
            &*quoted
        } else {
            quoted.trim_end_matches('"')
        };
        self.add(quoted)?;
        if rest.is_empty() {
            Ok(())
        } else {
            Err(E::custom("there is no more room"))
        }
    }

    fn scalar<E: serde::de::Error>(mut self, value: impl fmt::Display) -> Result<(), E> {
        if self.is_shown() {
            self.add(&value.to_string())
        } else {
            self.add_text(FILTERED)
        }
    }

    fn nested(&mut self) -> Value<'_> {
        Value {
            filter: self.filter,
            shown: self.shown,
            kept: self.kept,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar("null")
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        if !self.is_shown() {
            return self.add_text(FILTERED);
        }
        match self.filter.rule {
            Rule::Discard => {
                let text = self.filter.text(text);
                self.add_text(&text)
            }
            Rule::Keep => self.add_text(text),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.add("[")?;
        let mut before = "";
        loop {
            let at = self.shown.len();
            self.add(before)?;
            if items.next_element_seed(self.nested())?.is_none() {
                self.shown.truncate(at);
                return self.add("]");
            }
            before = ",";
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.add("{")?;
        let mut first = true;
        while let Some(key) = entries.next_key::<Cow<'_, str>>()? {
            if !std::mem::take(&mut first) {
                self.add(",")?;
            }
            self.add_text(&key)?;
            self.add(":")?;
            match (self.filter.rule, self.filter.names(&key)) {
                (Rule::Discard, true) => {
                    entries.next_value::<serde::de::IgnoredAny>()?;
                    self.add_text(FILTERED)?;
                }
                (Rule::Keep, true) => {
                    let kept = Value {
                        kept: true,
                        ..self.nested()
                    };
                    entries.next_value_seed(kept)?;
                }
                (_, false) => entries.next_value_seed(self.nested())?,
            }
        }
        self.add("}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "values are written in place")]
    fn check(filter: &FilterParameters, payload: Json, expected: Json) {
        let shown = filter.show(&Payload::new(&payload).unwrap());
        assert_eq!(
            serde_json::from_str::<Json>(&shown).unwrap(),
            expected,
            "{shown}"
        );
    }

    #[test]
    fn values_of_secret_keys_are_filtered_at_any_depth() {
        let filter = FilterParameters::default();
        check(
            &filter,
            json!({"foo": "bar", "password": "hunter2", "user_token": 1, "SECRETS": [1], "passwort": 2}),
            json!({"foo": "bar", "password": FILTERED, "user_token": FILTERED, "SECRETS": FILTERED, "passwort": 2}),
        );
        check(
            &filter,
            json!([{"a": [{"accessToken": {"x": 1}}], "b": null}, 1.5, -2, true, {}, []]),
            json!([{"a": [{"accessToken": FILTERED}], "b": null}, 1.5, -2, true, {}, []]),
        );
        check(
            &FilterParameters::discard(["body"]),
            json!({"body": 1, "password": 2}),
            json!({"body": FILTERED, "password": 2}),
        );
        check(
            &FilterParameters::discard([""]),
            json!({"a": 1}),
            json!({"a": 1}),
        );
    }

    #[test]
    fn a_filter_that_keeps_shows_what_it_names_and_nothing_else() {
        check(
            &FilterParameters::keep(["id", "public"]),
            json!({"id": 1, "user_id": 2, "public": {"a": ["b=1", {"password": 3}]}, "list": [4, {"id": 5}, "x"]}),
            json!({
                "id": 1, "user_id": FILTERED, "public": {"a": ["b=1", {"password": 3}]},
                "list": [FILTERED, {"id": 5}, FILTERED]
            }),
        );
    }

    #[test]
    fn texts_of_forms_are_filtered_too() {
        for (text, expected) in [
            ("a=b&password=x", "a=b&password=[FILTERED]"),
            ("a=b&password=x&c=d", "a=b&password=[FILTERED]&c=d"),
            ("user[password]=x&&=&a", "user[password]=[FILTERED]&&=&a"),
            ("pass%77ord=x", "pass%77ord=[FILTERED]"),
            ("token=a=b", "token=[FILTERED]"),
            ("%zz=1&password=%ff", "%zz=1&password=[FILTERED]"),
            ("my password is x", "my password is x"),
            ("a=b", "a=b"),
        ] {
            check(
                &FilterParameters::default(),
                json!({"event": text}),
                json!({"event": expected}),
            );
        }
    }

    #[test]
    fn what_is_long_is_cut_and_never_shows_more() {
        let filter = FilterParameters::default();
        for (payload, password_after) in [
            (
                json!({"a": "é".repeat(5_000), "password": "hunter2"}),
                false,
            ),
            (json!(["x", "y".repeat(2_030), "z\n\"".repeat(50)]), false),
            (json!((0..10_000).collect::<Vec<_>>()), false),
            (
                json!({"password": "hunter2".repeat(1_000), "z": "y".repeat(5_000)}),
                true,
            ),
        ] {
            let shown = filter.show(&Payload::new(&payload).unwrap());
            assert!(
                shown.len() <= SHOWN_BYTES_MAX + CUT.len(),
                "{}",
                shown.len()
            );
            assert!(shown.len() > SHOWN_BYTES_MAX - 8, "{shown}");
            assert!(shown.ends_with(CUT), "{shown}");
            assert!(!shown.contains("hunter2"));
            assert_eq!(shown.contains(FILTERED), password_after);
        }
        // Whatever serde_json refuses, a raw payload may contain.
        let nested = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        assert!(filter.show_json(&nested).ends_with(CUT));
    }

    #[test]
    fn nothing_of_a_binary_payload_is_shown() {
        let payload = Payload::Binary("password".into());
        assert_eq!(FilterParameters::default().show(&payload), "(8 bytes)");
    }
}
