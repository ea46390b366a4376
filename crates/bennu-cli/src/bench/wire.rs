//! Messages, the client's side, as cheaply as can be: pushes are put together from JSON that is at hand, and of what
//! comes only what is counted is looked at. (`bennu-wire`'s client half makes values of all of it, which a
//! client needs and this doesn't.)

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::plan::{BODY, Vsn};

/// The protocol's own events, as JSON where they are sent.
pub(crate) const JOIN: &str = "\"phx_join\"";
pub(crate) const LEAVE: &str = "\"phx_leave\"";
const REPLY: &str = "phx_reply";
const CLOSED: &str = "phx_close";
const CRASHED: &str = "phx_error";

/// What a stamp begins with; sixteen hexadecimal digits follow.
const STAMP: &[u8] = b"bennu:";
const STAMP_DIGITS: usize = 16;
/// The least filler: one stamp.
pub(crate) const BODY_BYTES_MIN: usize = STAMP.len() + STAMP_DIGITS;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(STAMP));

/// A message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// What a push is answered with.
    Reply {
        r#ref: Option<u64>,
        ok: bool,
        /// JSON.
        response: &'a str,
    },
    /// A channel that ended.
    Ended { topic: Cow<'a, str>, crashed: bool },
    /// A push or a broadcast.
    Event {
        event: Cow<'a, str>,
        payload: &'a str,
    },
    /// A broadcast that is cheap to tell by its first bytes. What is in it isn't parsed.
    Broadcast,
}

/// A string that borrows where it can.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct V1<'a> {
    #[serde(borrow)]
    r#ref: Option<Text<'a>>,
    #[serde(borrow)]
    topic: Text<'a>,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    response: &'a RawValue,
}

/// Appends a push as text. `topic` and `event` are JSON strings, quotes and all; `payload` is JSON.
pub(crate) fn push(
    vsn: Vsn,
    join_ref: Option<u64>,
    own_ref: u64,
    topic: &str,
    event: &str,
    payload: &str,
    out: &mut String,
) {
    let join_ref = join_ref.map_or_else(|| "null".to_owned(), |it| format!("\"{it}\""));
    let own_ref = format!("\"{own_ref}\"");
    let parts = match vsn {
        Vsn::V2 => [
            "[", &join_ref, ",", &own_ref, ",", topic, ",", event, ",", payload, "]",
        ],
        Vsn::V1 => [
            "{\"topic\":",
            topic,
            ",\"event\":",
            event,
            ",\"payload\":",
            payload,
            ",\"ref\":",
            &own_ref,
            ",\"join_ref\":",
            &join_ref,
            "}",
        ],
    };
    out.extend(parts);
}

/// A string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads a message, or says why it's none.
///
/// With `broadcasts_parsed` also those are parsed whose stamp is all that is needed.
pub(crate) fn receive(
    vsn: Vsn,
    text: &str,
    broadcasts_parsed: bool,
) -> Result<Received<'_>, String> {
    if !broadcasts_parsed && vsn == Vsn::V2 && text.starts_with("[null,null,") {
        return Ok(Received::Broadcast);
    }
    let odd = |error: serde_json::Error| error.to_string();
    let (r#ref, topic, event, payload) = match vsn {
        Vsn::V2 => {
            let (_, r#ref, topic, event, payload): (
                Option<Text<'_>>,
                Option<Text<'_>>,
                Text<'_>,
                Text<'_>,
                &RawValue,
            ) = serde_json::from_str(text).map_err(odd)?;
            (r#ref, topic, event, payload)
        }
        Vsn::V1 => {
            let it: V1<'_> = serde_json::from_str(text).map_err(odd)?;
            (it.r#ref, it.topic, it.event, it.payload)
        }
    };
    Ok(match &*event.0 {
        REPLY => {
            let answer: Answer<'_> = serde_json::from_str(payload.get()).map_err(odd)?;
            Received::Reply {
                r#ref: r#ref.and_then(|it| it.0.parse().ok()),
                ok: answer.status.0 == "ok",
                response: answer.response.get(),
            }
        }
        CLOSED | CRASHED => Received::Ended {
            topic: topic.0,
            crashed: event.0 == CRASHED,
        },
        _ => Received::Event {
            event: event.0,
            payload: payload.get(),
        },
    })
}

/// Payloads with a filler of a given length, stamped anew for each push.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    before: String,
    padding: String,
    after: String,
    has_body: bool,
}

impl Payload {
    /// From JSON with `{body}` in one of its strings. Without one nothing can be stamped.
    pub(crate) fn new(template: &str, body_bytes: usize) -> Self {
        let (before, after) = template.split_once(BODY).unwrap_or((template, ""));
        Self {
            before: before.to_owned(),
            padding: "x".repeat(body_bytes.saturating_sub(BODY_BYTES_MIN)),
            after: after.to_owned(),
            has_body: template.contains(BODY),
        }
    }

    /// The payload of a push that is meant for this moment, in place of what `out` held.
    pub(crate) fn stamped(&self, at_ns: u64, out: &mut String) {
        out.clear();
        out.push_str(&self.before);
        if self.has_body {
            out.push_str("bennu:");
            out.push_str(&format!("{at_ns:016x}"));
            out.push_str(&self.padding);
            out.push_str(&self.after);
        }
    }
}

/// When the push was meant to be made that this text comes from, if it carries a stamp.
pub(crate) fn stamp(text: &str) -> Option<u64> {
    let text = text.as_bytes();
    let digits = text.get(FINDER.find(text)? + STAMP.len()..)?;
    let digits = digits.get(..STAMP_DIGITS)?;
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// Calls back with each number at the end of a key in a presence diff's joins (`true`) and leaves.
pub(crate) fn diff_numbers(payload: &str, mut each: impl FnMut(bool, u64)) {
    #[derive(Deserialize)]
    struct Diff<'a> {
        #[serde(borrow, default)]
        joins: std::collections::BTreeMap<Text<'a>, serde::de::IgnoredAny>,
        #[serde(borrow, default)]
        leaves: std::collections::BTreeMap<Text<'a>, serde::de::IgnoredAny>,
    }
    let Ok(diff) = serde_json::from_str::<Diff<'_>>(payload) else {
        return;
    };
    for (joined, keys) in [(true, &diff.joins), (false, &diff.leaves)] {
        for key in keys.keys() {
            let name = key.0.trim_end_matches(|it: char| it.is_ascii_digit());
            if let Some(Ok(n)) = key.0.get(name.len()..).map(str::parse) {
                each(joined, n);
            }
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_are_what_the_protocol_says() {
        let check = |vsn, join_ref, expected: &str| {
            let mut out = String::new();
            let topic = quoted("room:\"1\"");
            push(vsn, join_ref, 2, &topic, r#""ping""#, "{}", &mut out);
            assert_eq!(out, expected);
        };
        check(Vsn::V2, Some(1), r#"["1","2","room:\"1\"","ping",{}]"#);
        check(Vsn::V2, None, r#"[null,"2","room:\"1\"","ping",{}]"#);
        check(
            Vsn::V1,
            Some(1),
            r#"{"topic":"room:\"1\"","event":"ping","payload":{},"ref":"2","join_ref":"1"}"#,
        );
    }

    #[test]
    fn messages_are_told_apart() {
        let check = |vsn, text: &str, expected: Result<Received<'_>, ()>| {
            assert_eq!(receive(vsn, text, true).map_err(drop), expected, "{text}");
        };
        let reply = |ok, response| {
            Ok(Received::Reply {
                r#ref: Some(7),
                ok,
                response,
            })
        };
        check(
            Vsn::V2,
            r#"["1","7","t","phx_reply",{"status":"ok","response":[1]}]"#,
            reply(true, "[1]"),
        );
        check(
            Vsn::V1,
            r#"{"event":"phx_reply","payload":{"response":{},"status":"error"},"ref":"7","topic":"t"}"#,
            reply(false, "{}"),
        );
        check(
            Vsn::V2,
            r#"[null,null,"t","shout",{"a":1}]"#,
            Ok(Received::Event {
                event: "shout".into(),
                payload: r#"{"a":1}"#,
            }),
        );
        check(
            Vsn::V2,
            r#"["1","1","t","phx_error",{}]"#,
            Ok(Received::Ended {
                topic: "t".into(),
                crashed: true,
            }),
        );
        for text in [
            "",
            "[]",
            "null",
            r#"["1","7","t","phx_reply",{}]"#,
            r#"["1","7","t","phx_reply",null]"#,
            &"[".repeat(100_000),
        ] {
            check(Vsn::V2, text, Err(()));
            check(Vsn::V1, text, Err(()));
        }
        let quick = receive(Vsn::V2, r#"[null,null,"t","shout",{}]"#, false);
        assert_eq!(quick, Ok(Received::Broadcast));
    }

    #[test]
    fn a_stamp_is_found_again() {
        let mut out = String::new();
        let payload = Payload::new(r#"{"body":"{body}"}"#, 64);
        payload.stamped(0x1234, &mut out);
        assert_eq!(out.len(), r#"{"body":""}"#.len() + 64);
        assert_eq!(stamp(&out), Some(0x1234));
        Payload::new("[]", 64).stamped(1, &mut out);
        assert_eq!((out.as_str(), stamp(&out)), ("[]", None));
        for text in ["", "bennu:", "bennu:12", "bennu:zzzzzzzzzzzzzzzz"] {
            assert_eq!(stamp(text), None, "{text}");
        }
    }

    #[test]
    fn a_diff_says_who_came_and_who_went() {
        let check = |payload: &str, expected: &[(bool, u64)]| {
            let mut found = Vec::new();
            diff_numbers(payload, |joined, n| found.push((joined, n)));
            assert_eq!(found, expected, "{payload}");
        };
        check(
            r#"{"joins":{"bench-7":{"metas":[]}},"leaves":{"bench-12":{}}}"#,
            &[(true, 7), (false, 12)],
        );
        check(r#"{"joins":{"ada":{}},"leaves":{}}"#, &[]);
        check("[]", &[]);
        check("junk", &[]);
    }
}
