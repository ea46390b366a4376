//! What both text formats have in common: checks before parsing, and writing without whitespace.

use memchr::memchr_iter;
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

use super::DecodeLimits;
use crate::{Cause, DecodeError, NameRef, Ref};

/// What serde_json would let pass, and may not.
pub(super) fn check(text: &str, limits: &DecodeLimits) -> Result<(), DecodeError> {
    check_depth(text, limits.depth_max)?;
    check_surrogates(text)
}

/// Parses the outline of a message that was [checked](check). Payloads stay slices of the text.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| {
        let cause = if error.classify() == Category::Data {
            Cause::Shape
        } else {
            Cause::Json
        };
        DecodeError::new(cause, error.to_string())
    })
}

/// A slice that is skipped unparsed is skipped without a limit on its depth, and would break the stack of whoever
/// parses it later. Most messages are judged by their length (what opens must close), or by counting openers, which
/// vectorizes; only one that might be too deep is scanned.
fn check_depth(text: &str, depth_max: usize) -> Result<(), DecodeError> {
    if text.len() / 2 <= depth_max || openers(text) <= depth_max {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return Err(DecodeError::new(
                        Cause::Depth,
                        format!("arrays and objects may be {depth_max} deep, these are deeper"),
                    ));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// `[` and `{` differ in one bit.
fn openers(text: &str) -> usize {
    let in_chunk = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| u8::from(byte | 0x20 == b'{'))
            .sum::<u8>()
    };
    text.as_bytes()
        .chunks(255)
        .map(|chunk| usize::from(in_chunk(chunk)))
        .sum()
}

/// An escaped half of a surrogate pair is JSON by its grammar, and stands for no text: Phoenix refuses it, and so would
/// many a client that the payload were relayed to. Backslashes stand in strings only, so these are all there are.
fn check_surrogates(text: &str) -> Result<(), DecodeError> {
    let bytes = text.as_bytes();
    let mut next = 0;
    for at in memchr_iter(b'\\', bytes) {
        if at < next {
            continue;
        }
        let escape = bytes.get(at..).unwrap_or_default();
        next = at
            + match surrogate(escape) {
                None => 2,
                Some(High) if surrogate(escape.get(6..).unwrap_or_default()) == Some(Low) => 12,
                Some(High | Low) => {
                    return Err(DecodeError::new(
                        Cause::Json,
                        format!("lone surrogate at byte {at}"),
                    ));
                }
            };
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    High,
    Low,
}
use Half::{High, Low};

/// Which half of a pair an escape such as `\ud83d` at the start of these bytes stands for, if any.
fn surrogate(bytes: &[u8]) -> Option<Half> {
    match bytes {
        [
            b'\\',
            b'u',
            b'd' | b'D',
            b'8' | b'9' | b'a' | b'b' | b'A' | b'B',
            ..,
        ] => Some(High),
        [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => Some(Low),
        _ => None,
    }
}

/// Whether a byte stands in a string as it is: no quote, no backslash, no control character. A table, since it's asked for
/// each byte of a topic when it comes and when it goes.
pub(super) fn is_plain(byte: u8) -> bool {
    #[expect(clippy::indexing_slicing, reason = "in a constant it wouldn't compile")]
    static PLAIN: [bool; 256] = {
        let mut plain = [true; 256];
        let (controls, _) = plain.split_at_mut(b' ' as usize);
        controls.copy_from_slice(&[false; b' ' as usize]);
        plain[b'"' as usize] = false;
        plain[b'\\' as usize] = false;
        plain
    };
    PLAIN.get(usize::from(byte)).is_some_and(|it| *it)
}

/// Writes a string in which nothing needs escaping.
pub(super) fn write_plain(text: &str, buffer: &mut Vec<u8>) {
    buffer.push(b'"');
    buffer.extend_from_slice(text.as_bytes());
    buffer.push(b'"');
}

/// Writes a string with its quotes; slashes and all beyond ASCII stay as they are.
pub(super) fn write_str(text: &str, buffer: &mut Vec<u8>) {
    if text.bytes().all(is_plain) {
        write_plain(text, buffer);
    } else {
        // Quotes and escapes around something that is text already: there is nothing that could go wrong.
        buffer.extend_from_slice(serde_json::to_string(text).unwrap_or_default().as_bytes());
    }
}

pub(super) fn write_name(name: NameRef<'_>, buffer: &mut Vec<u8>) {
    match name {
        NameRef::Text(text) => write_str(text, buffer),
        NameRef::Json(raw) => write_raw(raw, buffer),
    }
}

pub(super) fn write_ref(it: &Ref, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(it.as_json().as_bytes());
}

pub(super) fn write_raw(raw: &RawValue, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(raw.get().as_bytes());
}

/// The payload of a reply.
pub(super) fn write_response(status: &str, response: &RawValue, buffer: &mut Vec<u8>) {
    if status == "ok" {
        buffer.extend_from_slice(br#"{"status":"ok","response":"#);
    } else {
        buffer.extend_from_slice(br#"{"status":"#);
        write_str(status, buffer);
        buffer.extend_from_slice(br#","response":"#);
    }
    write_raw(response, buffer);
    buffer.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let flat = format!("[{}]", vec!["[]"; 500].join(","));
        let quoted = format!(r#"["{}"]"#, "[{".repeat(500));
        let escaped = format!(r#"["\"{}","\\"]"#, "[{".repeat(500));
        let behind = format!(r#"["\\",{}]"#, deep(128));
        for (text, fits) in [
            (deep(128), true),
            (format!("[{},[],[]]", deep(127)), true),
            (format!("[{},[],[]]", deep(128)), false),
            (deep(129), false),
            (deep(100_000), false),
            ("[".repeat(1_000), false),
            (r#"{"a":"#.repeat(129), false),
            (flat, true),
            (quoted, true),
            (escaped, true),
            (behind, false),
        ] {
            assert_eq!(check_depth(&text, 128).is_ok(), fits, "{text:.40}");
        }
    }

    #[test]
    fn only_whole_surrogate_pairs_pass() {
        for (text, fits) in [
            (r#""\ud83d\ude80""#, true),
            (r#""\uD83D\uDE80\n""#, true),
            (r#""\ud83d""#, false),
            (r#""\ude80""#, false),
            (r#""\ude80\ud83d""#, false),
            (r#""\ud83d\ud83d\ude80""#, false),
            (r#""\ud83d\\ude80""#, false),
            (r#""\ud83dx\ude80""#, false),
            (r#""\\ud83d""#, true),
            (r#""\\\ud83d""#, false),
            (r#""\ud7ff\ue000""#, true),
            (r#""\u0000\"""#, true),
            ("\"\\", true),
            ("\"\\ud8", false),
        ] {
            assert_eq!(check_surrogates(text).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn what_is_plain_needs_no_escape() {
        for byte in 0..=0x7f_u8 {
            let char = char::from(byte).to_string();
            let quoted = format!("\"{char}\"");
            let escaped = serde_json::to_string(&char).unwrap();
            assert_eq!(is_plain(byte), escaped == quoted, "{byte:#x}");
        }
        assert!((0x80..=0xff).all(is_plain));
    }

    #[test]
    fn openers_are_counted_across_chunks() {
        for count in [0, 1, 254, 255, 256, 1_000] {
            assert_eq!(openers(&"[".repeat(count)), count);
            assert_eq!(openers(&"{;[z".repeat(count)), 2 * count);
        }
    }
}
