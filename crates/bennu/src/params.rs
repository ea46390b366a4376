//! What a client says of itself when it connects or joins, as values of the user's types.

use std::{borrow::Cow, collections::BTreeMap, fmt, mem::size_of, str};

use crate::FilterParameters;
use bennu_wire::{DecodeError, Payload};
use serde::{
    de::{
        self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer, UnitDeserializer},
    },
    forward_to_deserialize_any,
};

/// How deep `a[b][c]` may nest.
const NESTING_MAX: usize = 32;

/// Decodes join params. A type without content, such as `()`, takes anything.
pub(crate) fn from_payload<T: DeserializeOwned>(payload: &Payload) -> Result<T, DecodeError> {
    if let Some(empty) = contentless() {
        return Ok(empty);
    }
    payload.decode()
}

fn contentless<T: DeserializeOwned>() -> Option<T> {
    if size_of::<T>() > 0 {
        return None;
    }
    T::deserialize(UnitDeserializer::<ParamsError>::new()).ok()
}

/// The params of an address: a tree of texts, as Plug reads query strings.
///
/// `a=1` is a text, `a[b]=1` a map, `a[]=1` a list. The last of several values for one name stands.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Params(BTreeMap<String, Param>);

#[derive(Debug, Clone, PartialEq)]
enum Param {
    Text(String),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

impl Params {
    /// Reads a query string: `None` when a name or value isn't UTF-8, or nests deeper than 32 levels.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let mut params = Self::default();
        for pair in query.split('&').filter(|it| !it.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let (root, keys) = keys(&name)?;
            insert(&mut params.0, root, &keys, value);
        }
        Some(params)
    }

    /// Sets a text, in place of whatever was there.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), Param::Text(value));
    }

    /// A text by its name. `None` where there is none, or where it is a list or map.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Param::Text(text) => Some(text),
            Param::List(_) | Param::Map(_) => None,
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// As JSON, for a log.
    pub(crate) fn shown(&self, filter: &FilterParameters) -> String {
        filter.show_value(Param::Map(self.0.clone()))
    }

    pub(crate) fn decode<T: DeserializeOwned>(self) -> Result<T, ParamsError> {
        if let Some(empty) = contentless() {
            return Ok(empty);
        }
        T::deserialize(Param::Map(self.0))
    }
}

/// A part of a form, decoded where that's possible.
pub(crate) fn percent_decoded(part: &str) -> Cow<'_, str> {
    decoded(part).map_or(Cow::Borrowed(part), Cow::Owned)
}

/// A part of a query string: percent-decoded, `+` for a space.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(
                    str::from_utf8(digits)
                        .ok()
                        .filter(|it| !it.starts_with('+'))?,
                    16,
                )
                .ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// `a[b][c]` as `a` and `b`, `c`. A name that isn't of that form is one key.
fn keys(name: &str) -> Option<(&str, Vec<&str>)> {
    let Some((root, inner)) = name.strip_suffix(']').and_then(|it| it.split_once('[')) else {
        return Some((name, Vec::new()));
    };
    if root.is_empty() {
        return Some((name, Vec::new()));
    }
    let keys: Vec<_> = inner.split("][").collect();
    (keys.len() < NESTING_MAX).then_some((root, keys))
}

fn insert(map: &mut BTreeMap<String, Param>, key: &str, keys: &[&str], value: String) {
    let at = map
        .entry(key.to_owned())
        .or_insert_with(|| Param::Text(String::new()));
    set(at, keys, value);
}

/// Puts a text where `keys` lead from `at`; what stands in the way is replaced.
fn set(at: &mut Param, keys: &[&str], value: String) {
    match keys.split_first() {
        None => *at = Param::Text(value),
        Some((&"", rest)) => {
            let mut item = Param::Text(String::new());
            set(&mut item, rest, value);
            match at {
                Param::List(list) => list.push(item),
                Param::Text(_) | Param::Map(_) => *at = Param::List(vec![item]),
            }
        }
        Some((key, rest)) => {
            if !matches!(at, Param::Map(_)) {
                *at = Param::Map(BTreeMap::new());
            }
            if let Param::Map(map) = at {
                insert(map, key, rest, value);
            }
        }
    }
}

/// Why params don't decode.
#[derive(Debug)]
pub(crate) struct ParamsError(Cow<'static, str>);

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "params: {}", self.0)
    }
}

impl std::error::Error for ParamsError {}

impl de::Error for ParamsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

impl IntoDeserializer<'_, ParamsError> for Param {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Param {
    fn parsed<T: str::FromStr>(&self, expected: &str) -> Result<T, ParamsError> {
        let text = match self {
            Self::Text(text) => text.as_str(),
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        };
        text.parse()
            .map_err(|_| ParamsError(format!("expected {expected}, found {text:?}").into()))
    }

    /// The items of a list. phoenix.js writes one as a map with the keys 0, 1, 2 and so on.
    fn into_items(self) -> Result<Vec<Self>, Self> {
        match self {
            Self::List(items) => Ok(items),
            Self::Map(map) => {
                let index = |key: &String| key.parse::<usize>().ok();
                if !map
                    .keys()
                    .all(|key| index(key).is_some_and(|it| it < map.len()))
                {
                    return Err(Self::Map(map));
                }
                let mut items: Vec<_> = map.into_iter().collect();
                items.sort_by_key(|(key, _)| index(key));
                Ok(items.into_iter().map(|(_, item)| item).collect())
            }
            text @ Self::Text(_) => Err(text),
        }
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $expected:literal)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
            visitor.$visit(self.parsed($expected)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Param {
    type Error = ParamsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        match self {
            Self::Text(text) => visitor.visit_string(text),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Map(map) => visitor.visit_map(MapDeserializer::new(map.into_iter())),
        }
    }

    parsed! {
        deserialize_bool visit_bool "true or false"
        deserialize_i8 visit_i8 "an integer" deserialize_i16 visit_i16 "an integer"
        deserialize_i32 visit_i32 "an integer" deserialize_i64 visit_i64 "an integer"
        deserialize_u8 visit_u8 "a positive integer" deserialize_u16 visit_u16 "a positive integer"
        deserialize_u32 visit_u32 "a positive integer" deserialize_u64 visit_u64 "a positive integer"
        deserialize_f32 visit_f32 "a number" deserialize_f64 visit_f64 "a number"
        deserialize_char visit_char "one character"
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        match self.into_items() {
            Ok(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Err(other) => other.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        match self {
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            Self::List(_) | Self::Map(_) => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &Value) {
        let value: Value = Params::parse(query).unwrap().decode().unwrap();
        assert_eq!(value, *expected, "{query}");
    }

    #[test]
    fn query_strings_nest_as_plug_reads_them() {
        check("", &json!({}));
        check("a=1&b=x%20y+z", &json!({"a": "1", "b": "x y z"}));
        check("vsn=9.0.0&vsn=2.0.0", &json!({"vsn": "2.0.0"}));
        check(
            "a[b]=1&a[c][d]=2",
            &json!({"a": {"b": "1", "c": {"d": "2"}}}),
        );
        check("a[]=1&a[]=2", &json!({"a": ["1", "2"]}));
        check("a[][b]=1", &json!({"a": [{"b": "1"}]}));
        check("a=1&a[b]=2&a[]=3", &json!({"a": ["3"]}));
        check("flag&empty=", &json!({"flag": "", "empty": ""}));
        check(
            "a[=1&[b]=2&a]=3",
            &json!({"a[": "1", "[b]": "2", "a]": "3"}),
        );
    }

    #[test]
    fn what_is_not_utf8_or_nests_too_deep_is_refused() {
        assert_eq!(Params::parse("a=%ff"), None);
        assert_eq!(Params::parse("a=%"), None);
        assert_eq!(Params::parse("a=%+1"), None);
        assert_eq!(Params::parse("a=%zz"), None);
        assert_eq!(
            Params::parse(&format!("a{}=1", "[b]".repeat(NESTING_MAX))),
            None
        );
        assert!(Params::parse(&format!("a{}=1", "[b]".repeat(NESTING_MAX - 1))).is_some());
    }

    #[test]
    fn texts_become_the_types_asked_for() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Login {
            id: u64,
            admin: bool,
            ratio: f32,
            tags: Vec<String>,
            role: Role,
            nick: Option<String>,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Role {
            Guest,
        }
        let query = "id=7&admin=true&ratio=0.5&tags[0]=a&tags[1]=b&role=guest&vsn=2.0.0";
        let login: Login = Params::parse(query).unwrap().decode().unwrap();
        let tags = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(
            login,
            Login {
                id: 7,
                admin: true,
                ratio: 0.5,
                tags,
                role: Role::Guest,
                nick: None
            }
        );

        let error = Params::parse("id=x")
            .unwrap()
            .decode::<Login>()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"params: expected a positive integer, found "x""#
        );
        let error = Params::parse("").unwrap().decode::<Login>().unwrap_err();
        assert_eq!(error.to_string(), "params: missing field `id`");
        Params::parse("a=1").unwrap().decode::<()>().unwrap();
    }
}
