//! Why a command ended without doing what it was asked.

use std::fmt;
use std::process::ExitCode;

/// What every command returns.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// One line for a person: what went wrong, and what to do about it. It is printed behind "error: ".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    line: String,
    usage: bool,
}

impl Failure {
    /// It was tried and didn't work: the program ends with 1.
    pub(crate) fn new(line: impl fmt::Display) -> Self {
        let line = line.to_string();
        Self { line, usage: false }
    }

    /// It was asked for in a way that can't work: the program ends with 2, as it does for unknown options.
    pub(crate) fn usage(line: impl fmt::Display) -> Self {
        let line = line.to_string();
        Self { line, usage: true }
    }

    /// 1 or 2.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.usage { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    /// The line alone. What a peer or a file brought in may break lines or move the cursor, so control characters
    /// are shown as escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.line.trim_end().chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let check = |line: &str, expected: &str| {
            assert_eq!(Failure::new(line).to_string(), expected);
        };
        check("no such folder", "no such folder");
        check("two\nlines\n", "two\\nlines");
        check("a \u{1b}[31mcolour", "a \\u{1b}[31mcolour");
    }
}
