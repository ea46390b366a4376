//! What a callback answers to the client.

use std::borrow::Cow;

use bennu_wire::{EncodeError, Payload};
use serde::Serialize;

/// The answer to an event, as `handle_in` returns it: a status and a response, or nothing.
///
/// Phoenix's `{:reply, {status, response}, socket}` and `{:noreply, socket}`. An empty response is `{}`.
/// A `Bytes` response goes out as a binary frame (serializer V2 only).
///
/// ```
/// use bennu::Reply;
///
/// let _ = Reply::none();                           // nothing is sent
/// let _ = Reply::ok();                             // status "ok", response {}
/// let _ = Reply::with(42);                         // status "ok", response 42
/// let _ = Reply::error("too long");                // status "error", response "too long"
/// let _ = Reply::status("queued", ["a", "b"]);     // a status of one's own
///
/// # let payload = bennu::Payload::empty();
/// let _ = Reply::from(payload);                    // a payload as it is, which `with` would serialize anew
/// ```
#[derive(Debug)]
#[must_use = "a reply is sent by returning it"]
pub struct Reply(pub(crate) Option<Answer>);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Cow<'static, str>,
    /// A response that failed to serialize ends the channel, as in Phoenix, once it's known which that is.
    pub(crate) response: Result<Payload, EncodeError>,
}

impl Reply {
    /// No reply.
    pub fn none() -> Self {
        Self(None)
    }

    /// Status `ok`, response `{}`.
    pub fn ok() -> Self {
        Self::with(())
    }

    /// Status `ok` with a response, any JSON value or `Bytes`.
    pub fn with(response: impl Serialize) -> Self {
        Self::status("ok", response)
    }

    /// Status `error` with a response. An `Err(refuse(..))` from the callback does the same.
    pub fn error(response: impl Serialize) -> Self {
        Self::status("error", response)
    }

    /// A status of one's own with a response.
    pub fn status(status: impl Into<Cow<'static, str>>, response: impl Serialize) -> Self {
        Self(Some(Answer {
            status: status.into(),
            response: Payload::new(&response),
        }))
    }
}

impl From<Payload> for Reply {
    /// Status `ok` with a response that is a payload already.
    fn from(response: Payload) -> Self {
        Self(Some(Answer {
            status: "ok".into(),
            response: Ok(response),
        }))
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::none()
    }
}
