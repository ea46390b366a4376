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
/// serializes is sent as it is. A refused connect is answered with status 403, and its reason is
/// only logged, unless [`SocketOptions::on_refused`](crate::SocketOptions::on_refused) says more.
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

    /// A refusal for good: what the client sees has `"final": true` as well, so that clients that know of it (Bennu's
    /// own) don't try again. Those that don't, such as npm's `phoenix`, try for ever.
    ///
    /// A payload that is no object becomes the `reason` of one. Any other error than a refusal stays as it is: it may
    /// be over the next time.
    ///
    /// ```
    /// let banned = bennu::refuse("banned").for_good();
    /// assert_eq!(banned.refusal().unwrap().as_json(), Some(r#"{"final":true,"reason":"banned"}"#));
    /// ```
    #[must_use]
    pub fn for_good(self) -> Self {
        #[derive(Serialize)]
        struct Final<'a> {
            r#final: bool,
            #[serde(flatten, skip_serializing_if = "Option::is_none")]
            members: Option<serde_json::Map<String, serde_json::Value>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a Payload>,
        }
        let Some(payload) = self.refusal() else {
            return self;
        };
        let mut members: Option<serde_json::Map<_, _>> = payload.decode().ok();
        if let Some(members) = &mut members {
            members.remove("final");
        }
        let reason = members.is_none().then_some(payload);
        let refusal = Payload::new(&Final {
            r#final: true,
            members,
            reason,
        });
        match refusal {
            Ok(payload) => Self(Box::new(Cause::Refused(payload))),
            // Bytes can't be a reason.
            Err(_) => self,
        }
    }

    /// Whether a client needn't try again.
    pub(crate) fn is_final(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Final {
            r#final: bool,
        }
        self.refusal()
            .and_then(|payload| payload.decode().ok())
            .is_some_and(|it: Final| it.r#final)
    }

    /// Whether it was made by [`refuse`].
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(*self.0, Cause::Refused(_))
    }

    /// The error that `?` was given, if it's of that type.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match &*self.0 {
            Cause::Internal(error) => error.downcast_ref(),
            Cause::Refused(_) => None,
        }
    }

    /// What [`refuse`] was given, as the client sees it.
    ///
    /// ```
    /// # use bennu::refuse;
    /// assert_eq!(refuse("full").refusal().unwrap().as_json(), Some(r#"{"reason":"full"}"#));
    /// ```
    #[must_use]
    pub fn refusal(&self) -> Option<&Payload> {
        match &*self.0 {
            Cause::Refused(payload) => Some(payload),
            Cause::Internal(_) => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_may_be_for_good() {
        let check = |error: Error, expected: &str, is_final: bool| {
            assert_eq!(error.is_final(), is_final, "{error}");
            let error = error.for_good();
            assert_eq!(error.to_string(), expected);
        };
        check(
            refuse("banned"),
            r#"refused with {"final":true,"reason":"banned"}"#,
            false,
        );
        check(
            refuse(serde_json::json!({"a": 1, "final": false})),
            r#"refused with {"final":true,"a":1}"#,
            false,
        );
        check(
            refuse(serde_json::json!([1])),
            r#"refused with {"final":true,"reason":[1]}"#,
            false,
        );
        check(
            refuse("banned").for_good(),
            r#"refused with {"final":true,"reason":"banned"}"#,
            true,
        );
        check(Error::from(fmt::Error), &fmt::Error.to_string(), false);
    }
}
