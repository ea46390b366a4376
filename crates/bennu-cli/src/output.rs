//! What goes to standard output.

use std::fmt;
use std::io::{self, Write as _};

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
