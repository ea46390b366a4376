//! Close codes: why a connection ends, and which code answers which (RFC 6455 section 7.4).

use std::{borrow::Cow, fmt};

/// The peer broke a rule, or a limit: close with this code and say why.
///
/// The decoder that returned it is dead: it swallows whatever else arrives.
///
/// ```
/// use bennu_websocket::{Config, Decoder, Inflater, encoder};
///
/// // A text frame without a mask.
/// let error = Decoder::default()
///     .decode(&Config::default(), &mut Inflater::default(), &mut b"\x81\x02hi".to_vec())
///     .unwrap_err();
/// assert_eq!((error.code(), error.reason()), (1002, "frame without a mask"));
/// assert_eq!(encoder::close(error.code(), error.reason()), &b"\x88\x16\x03\xeaframe without a mask"[..]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseError {
    code: u16,
    reason: &'static str,
}

impl CloseError {
    /// 1002 (protocol error), 1007 (payload isn't what it claims to be), 1008 (too many empty fragments) or 1009 (too big).
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// A few words of ASCII that fit a close frame and can serve as a metric label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    pub(crate) const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    pub(crate) const fn invalid(reason: &'static str) -> Self {
        Self { code: 1007, reason }
    }

    pub(crate) const fn policy(reason: &'static str) -> Self {
        Self { code: 1008, reason }
    }

    pub(crate) const fn too_big(reason: &'static str) -> Self {
        Self { code: 1009, reason }
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "close {}: {}", self.code, self.reason)
    }
}

impl std::error::Error for CloseError {}

/// The code to answer a client's close frame with: 1000 for a code that may be sent, or for none; 1002 for one that may not.
///
/// May be sent: 1000 to 1003 and 1007 to 1014 (RFC 6455 section 7.4.1 and the IANA registry, where 1012 to 1014 were added
/// later), and everything from 3000 up. Never on the wire: 1004, 1005, 1006, 1015, and what is below 3000 and unassigned.
///
/// ```
/// use bennu_websocket::close::close_reply;
///
/// assert_eq!(close_reply(None), 1000);
/// assert_eq!(close_reply(Some(1001)), 1000);
/// assert_eq!(close_reply(Some(1006)), 1002);
/// ```
#[must_use]
pub const fn close_reply(received: Option<u16>) -> u16 {
    match received {
        None | Some(1000..=1003 | 1007..=1014 | 3000..) => 1000,
        Some(_) => 1002,
    }
}

/// Code and reason of a close frame (RFC 6455 section 5.5.1).
pub(crate) fn close_payload(
    payload: Cow<'_, [u8]>,
) -> Result<Option<(u16, Cow<'_, str>)>, CloseError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some(&code) = payload.first_chunk() else {
        return Err(CloseError::protocol("close payload of one byte"));
    };
    let reason = match payload {
        Cow::Borrowed(payload) => {
            simdutf8::basic::from_utf8(payload.get(code.len()..).unwrap_or_default())
                .map(Cow::Borrowed)
                .ok()
        }
        Cow::Owned(mut payload) => {
            payload.drain(..code.len());
            String::from_utf8(payload).map(Cow::Owned).ok()
        }
    };
    match reason {
        Some(reason) => Ok(Some((u16::from_be_bytes(code), reason))),
        None => Err(CloseError::invalid("close reason that isn't UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::close_reply;

    #[test]
    fn codes_that_may_be_sent_are_answered_1000_and_others_1002() {
        let check = |codes: &[u16], expected| {
            for &code in codes {
                assert_eq!(close_reply(Some(code)), expected, "answer to {code}");
            }
        };
        check(
            &[
                1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
            ],
            1000,
        );
        check(&[3000, 3999, 4000, 4999, 5000, 65535], 1000);
        check(
            &[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999],
            1002,
        );
        assert_eq!(close_reply(None), 1000);
    }
}
