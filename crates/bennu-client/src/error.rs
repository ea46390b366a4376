//! What can go wrong, told apart by what one can do about it.

use std::{error, fmt};

use bennu_wire::{DecodeError, EncodeError, Payload};
use serde::de::DeserializeOwned;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The address, a param or a certificate isn't one. Trying again is no use.
    Invalid(String),
    /// The server answered with this HTTP status instead of a connection: 403 is what Phoenix and Bennu say when
    /// `connect` refuses.
    Refused {
        /// HTTP's status, or the one in a long-poll's answer.
        status: u16,
    },
    /// Nobody is there, or who is there speaks something else; the text says which.
    Failed(String),
    /// The server took too long to answer.
    Timeout,
    /// The server closed the connection, or it broke (code 1006).
    Closed {
        /// RFC 6455's close code: 1001 for a forced disconnect, 1012 for a server that restarts.
        code: u16,
        /// Why, if the server says so.
        reason: String,
    },
    /// The server answered no heartbeat.
    HeartbeatTimeout,
    /// The long-poll session is over, and the server didn't say why: it was restarted, or it's Phoenix.
    SessionGone,
    /// This side has ended it: [`Socket::disconnect`](crate::Socket::disconnect) was called, or the last handle dropped.
    Disconnected,
}

impl ConnectionError {
    /// Whether the server has decided against this client: a status from 300 to 499 (redirects aren't followed), other than
    /// those that ask to come back later (408, 425, 429).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status } if (300..500).contains(status) && ![408, 425, 429].contains(status))
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) | Self::Failed(text) => f.write_str(text),
            Self::Refused { status } => write!(f, "the server refused with HTTP status {status}"),
            Self::Timeout => f.write_str("the server took too long to answer"),
            Self::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the connection was closed with code {code}")
            }
            Self::Closed { code, reason } => {
                write!(f, "the connection was closed with code {code} ({reason})")
            }
            Self::HeartbeatTimeout => f.write_str("the server answered no heartbeat"),
            Self::SessionGone => f.write_str("the long-poll session is over"),
            Self::Disconnected => f.write_str("this client has disconnected"),
        }
    }
}

impl error::Error for ConnectionError {}

/// A reply that isn't `ok`.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// `error`, or a word of the application's own.
    pub status: String,
    /// The response, unparsed.
    pub response: Payload,
}

impl Refusal {
    /// The response as a type of one's own.
    ///
    /// # Errors
    /// When it isn't of that type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.response.decode()
    }

    /// The `reason` that most refusals have: "unmatched topic", "join crashed", or what the application says.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Reason {
            reason: String,
        }
        self.decode().ok().map(|Reason { reason }| reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason(), &self.response) {
            (Some(reason), _) => write!(f, "{}: {reason}", self.status),
            (None, Payload::Json(raw)) => write!(f, "{}: {}", self.status, raw.get()),
            (None, Payload::Binary(bytes)) => write!(f, "{}: {} bytes", self.status, bytes.len()),
        }
    }
}

/// Why a push, a join or a ping brought no result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PushError {
    /// The server answered, and not with `ok`.
    Refused(Refusal),
    /// There was no answer in time. The server may have handled it all the same, unless there was no connection.
    Timeout,
    /// It was sent, and the connection or the channel ended before the answer came: it may have been handled or not.
    Disconnected,
    /// The channel is left or closed, or the socket disconnected for good. It wasn't sent.
    Closed,
    /// More waits to be sent than [`Client::queue_bytes_max`](crate::Client::queue_bytes_max) allows. It wasn't sent.
    Full,
    /// What was to be sent has no form on the wire.
    Encode(EncodeError),
    /// The answer isn't of the type asked for.
    Decode(DecodeError),
}

impl PushError {
    /// What the server said, if it did.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Timeout
            | Self::Disconnected
            | Self::Closed
            | Self::Full
            | Self::Encode(_)
            | Self::Decode(_) => None,
        }
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the server refused ({refusal})"),
            Self::Timeout => f.write_str("no answer came in time"),
            Self::Disconnected => f.write_str("the connection ended before an answer came"),
            Self::Closed => f.write_str("the channel is closed"),
            Self::Full => f.write_str("too much waits to be sent"),
            Self::Encode(error) => error.fmt(f),
            Self::Decode(error) => write!(f, "the answer is not as expected: {error}"),
        }
    }
}

impl error::Error for PushError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Encode(error) => Some(error),
            Self::Decode(error) => Some(error),
            Self::Refused(_) | Self::Timeout | Self::Disconnected | Self::Closed | Self::Full => {
                None
            }
        }
    }
}

impl From<EncodeError> for PushError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<DecodeError> for PushError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
