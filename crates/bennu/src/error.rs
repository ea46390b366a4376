//! What a callback may fail with.

use std::{error::Error as StdError, fmt};

use bennu_wire::Payload;
use serde::Serialize;

use crate::Reply;

/// What callbacks return: a [`Reply`], or an [`Error`].
pub type Result<T = Reply, E = Error> = std::result::Result<T, E>;

/// Why a callback failed: refused on purpose ([`refuse`]), or by any other error (`?`).
///
/// A client sees what `refuse` was given. Any other error is logged, and the client sees
/// `{"reason": "internal error"}`.
///
/// ```
/// use bennu::{Error, refuse};
///
/// fn room(id: &str) -> Result<u64, Error> {
///     let id: u64 = id.parse()?; // a client sees "internal error"
///     if id == 0 {
///         return Err(refuse("no such room")); // a client sees "no such room"
///     }
///     Ok(id)
/// }
/// assert!(!room("x").unwrap_err().is_refusal());
/// assert!(room("0").unwrap_err().is_refusal());
/// ```
pub struct Error(Box<Cause>);

enum Cause {
    Refused(Payload),
    Internal(Box<dyn StdError + Send + Sync>),
}

/// Refuses a connect, a join or an event.
///
/// The client gets an error reply. A string `reason` is sent as `{"reason": reason}`; anything else that
/// serializes is sent as it is. A refused connect is answered with status 403, and its reason is only logged.
///
/// ```
/// # #[derive(serde::Serialize)] struct Retry { after_ms: u64 }
/// let simple = bennu::refuse("no such room");
/// let detailed = bennu::refuse(Retry { after_ms: 500 });
/// assert_eq!(simple.to_string(), r#"refused with {"reason":"no such room"}"#);
/// assert_eq!(detailed.to_string(), r#"refused with {"after_ms":500}"#);
/// ```
#[must_use]
pub fn refuse(reason: impl Serialize) -> Error {
    match Payload::new(&reason) {
        Ok(payload) if payload.as_json().is_some_and(|it| it.starts_with('"')) => {
            Error::reason(&payload)
        }
        Ok(payload) => Error(Box::new(Cause::Refused(payload))),
        Err(error) => Error::from(error),
    }
}

impl Error {
    /// `{"reason": reason}`.
    fn reason(reason: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Reason<'a, T> {
            reason: &'a T,
        }
        match Payload::new(&Reason { reason }) {
            Ok(payload) => Self(Box::new(Cause::Refused(payload))),
            Err(error) => Self::from(error),
        }
    }

    /// Whether it was made by [`refuse`].
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(*self.0, Cause::Refused(_))
    }

    /// What the client may see of it.
    pub(crate) fn into_payload(self) -> Payload {
        let error = if self.is_refusal() {
            self
        } else {
            Self::reason(&"internal error")
        };
        match *error.0 {
            Cause::Refused(payload) => payload,
            Cause::Internal(_) => Payload::empty(),
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(Cause::Internal(Box::new(error))))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Refused(payload) => write!(
                f,
                "refused with {}",
                payload.as_json().unwrap_or("binary data")
            ),
            Cause::Internal(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
