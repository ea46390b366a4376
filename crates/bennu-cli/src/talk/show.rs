//! Payloads and names as a terminal may show them.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bennu_client::Payload;

/// A payload that is longer goes on lines of its own.
const LINE_CHARS_MAX: usize = 100;
/// Bytes that are shown of a binary payload.
const BYTES_SHOWN: usize = 32;

/// Whether to use colours: on a terminal, unless `NO_COLOR` is set or the terminal is said to be dumb.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Colours(bool);

impl Colours {
    pub(crate) fn of_stdout() -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|it| !it.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|it| it == "dumb");
        Self(io::stdout().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        let text = visible(text);
        match self.0 {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text,
        }
    }
}

/// A payload for people, to stand behind a word: on the same line if it's short, else indented below.
pub(crate) fn payload(payload: &Payload) -> String {
    match payload {
        Payload::Json(raw) => {
            let line = visible(&compact(raw.get()));
            if line.chars().count() <= LINE_CHARS_MAX {
                return format!(" {line}");
            }
            let lines = pretty(raw.get());
            let lines = lines.lines().map(visible);
            lines.fold(String::new(), |text, line| text + "\n  " + &line)
        }
        Payload::Binary(bytes) => {
            let shown = bytes
                .iter()
                .take(BYTES_SHOWN)
                .map(|it| format!(" {it:02x}"));
            let more = if bytes.len() > BYTES_SHOWN {
                " …"
            } else {
                ""
            };
            format!(" {} bytes:{}{more}", bytes.len(), shown.collect::<String>())
        }
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// `text` with everything that moves a terminal's cursor or changes its colours written as an escape: a server, or
/// somebody who talks through it, isn't to write to the terminal but with letters.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for it in text.chars() {
        // The marks by which text runs the other way hide what it says.
        let turns = matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if it.is_control() || turns {
            // Writing to a String can't fail.
            let _ = write!(visible, "\\u{:04x}", u32::from(it));
        } else {
            visible.push(it);
        }
    }
    visible
}

/// JSON without blanks between its tokens. Members stay in their order, and numbers as they were written.
pub(crate) fn compact(json: &str) -> String {
    tokens(json).collect()
}

/// JSON on many lines, indented by two blanks.
fn pretty(json: &str) -> String {
    let (mut text, mut depth, mut opened) = (String::with_capacity(json.len() * 2), 0_usize, false);
    let newline = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    for token in tokens(json) {
        let closes = matches!(token, "}" | "]");
        if closes {
            depth = depth.saturating_sub(1);
        }
        // An empty object or list stays together.
        if closes != opened {
            newline(&mut text, depth);
        }
        opened = false;
        text.push_str(token);
        match token {
            "{" | "[" => {
                depth += 1;
                opened = true;
            }
            ":" => text.push(' '),
            "," => newline(&mut text, depth),
            _ => {}
        }
    }
    text
}

/// The tokens of JSON. What is no JSON comes in some pieces or other, none left out but blanks.
fn tokens(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let end = match rest.chars().next()? {
            '"' => text_end(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest
                .find(|it: char| "{}[],:\" \t\r\n".contains(it))
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(token)
    })
}

/// Behind the closing quote of a text that `json` begins with.
fn text_end(json: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_go_from_between_tokens_only() {
        let check = |json: &str, expected: &str| assert_eq!(compact(json), expected);
        check("{ \"a b\" : [ 1 ,\n 2.50 ] }", "{\"a b\":[1,2.50]}");
        check(
            r#"{"a": "x \" : {", "b": "\\"}"#,
            r#"{"a":"x \" : {","b":"\\"}"#,
        );
        check("null", "null");
        check("\"ends not", "\"ends not");
        check("", "");
    }

    #[test]
    fn a_long_payload_is_indented() {
        let check = |json: &str, expected: &str| assert_eq!(pretty(json), expected);
        check(
            r#"{"b":[1,{}],"a":{"x":[],"y":"[,"}}"#,
            "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": {\n    \"x\": [],\n    \"y\": \"[,\"\n  }\n}",
        );
        check("7", "7");
        check("]]}", "\n]\n]\n}");
    }

    #[test]
    fn a_server_writes_letters_only() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check("grüße 🐦", "grüße 🐦");
        check("a\u{1b}[2Jb\n", "a\\u001b[2Jb\\u000a");
        check("\u{9b}31m \u{202e}", "\\u009b31m \\u202e");
    }

    #[test]
    fn bytes_are_shown_in_hexadecimal() {
        let bytes = Payload::Binary(vec![0xab; 33].into());
        let shown = payload(&bytes);
        assert!(
            shown.starts_with(" 33 bytes: ab ab") && shown.ends_with(" ab …"),
            "{shown}"
        );
    }
}
