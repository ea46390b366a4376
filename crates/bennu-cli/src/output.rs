//! What goes to standard output.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use serde::Serialize;

use crate::error::{Failure, Result};

/// Prints a line. False when nobody reads any more (`bennu listen … | head`), which is no failure.
pub(crate) fn line(text: impl fmt::Display) -> Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format_args!(
            "failed to write to standard output: {error}"
        ))),
    }
}

/// Prints a value as JSON on one line, with control characters escaped: also those beyond ASCII, which JSON lets stand
/// and terminals obey.
pub(crate) fn json(value: &impl Serialize) -> Result<bool> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(format_args!("failed to write JSON: {error}")))?;
    line(without_controls(text))
}

fn without_controls(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c.is_control() {
            // They stand in strings only, since what is between those has none.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_say_the_same() {
        let check = |text: &str, expected: &str| {
            let json = without_controls(serde_json::to_string(text).unwrap());
            assert_eq!(json, expected);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        };
        check("plain, räum", r#""plain, räum""#);
        check("\u{1b}[31m", r#""\u001b[31m""#);
        check("a\u{9b}31m\u{7f}é", r#""a\u009b31m\u007fé""#);
    }
}
