//! What goes to standard output.

use std::fmt;
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

/// Prints a value as JSON on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<bool> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(format_args!("failed to write JSON: {error}")))?;
    line(text)
}
