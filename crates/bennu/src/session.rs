//! Sessions that come by cookies, which browsers send along whatever page asks: a page proves that it's one of the
//! application's by a CSRF token.

use std::{any::Any, future::Future, pin::Pin};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ctutils::CtEq;

use crate::ConnectInfo;

/// Where a mount finds the session of a request: by a cookie, or what a middleware made of one.
///
/// A client gets its session only with the param `_csrf_token` that goes with it. Without, it is let in all the same,
/// and [`ConnectInfo::session`] is `None`. Phoenix's `connect_info: [session: …]` and `check_csrf`.
///
/// The token is one that the application's pages were given when they were rendered. It may stand in the address as it
/// is, or masked anew for each page as Plug does (`Plug.CSRFProtection`): 18 random bytes in Base64 for a mask, and
/// the token's bytes combined with it by exclusive or, in Base64 and ahead of the mask.
///
/// Any function of a [`ConnectInfo`] is a source. To ask a database, implement it for a type:
///
/// ```
/// use bennu::{ConnectInfo, SessionSource, SocketOptions};
///
/// #[derive(Clone)]
/// struct Sessions; // a pool of connections to a database
/// struct Session { user_id: u64 }
///
/// impl SessionSource for Sessions {
///     type Session = Session;
///
///     async fn find(&self, info: &ConnectInfo) -> Option<(Session, String)> {
///         let cookie = info.header("cookie")?.strip_prefix("session=")?;
///         (cookie == "7").then(|| (Session { user_id: 7 }, "the session's CSRF token".to_owned()))
///     }
/// }
///
/// let options = SocketOptions::new().session(Sessions);
/// // In `connect`: info.session::<Session>()
/// ```
pub trait SessionSource: Send + Sync + 'static {
    /// What [`ConnectInfo::session`] gives out.
    type Session: Send + Sync + 'static;

    /// The session that the request names, if it's a valid one, and its CSRF token. An empty token is never the right
    /// one.
    fn find(
        &self,
        info: &ConnectInfo,
    ) -> impl Future<Output = Option<(Self::Session, String)>> + Send;
}

impl<F, T> SessionSource for F
where
    F: Fn(&ConnectInfo) -> Option<(T, String)> + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    type Session = T;

    fn find(&self, info: &ConnectInfo) -> impl Future<Output = Option<(T, String)>> + Send {
        std::future::ready(self(info))
    }
}

/// A session of whatever type.
pub(crate) type AnySession = Box<dyn Any + Send + Sync>;
type Find<'a> = Pin<Box<dyn Future<Output = Option<(AnySession, String)>> + Send + 'a>>;

/// A source of sessions of whatever type.
pub(crate) trait AnySource: Send + Sync {
    fn find_any<'a>(&'a self, info: &'a ConnectInfo) -> Find<'a>;
}

impl<S: SessionSource> AnySource for S {
    fn find_any<'a>(&'a self, info: &'a ConnectInfo) -> Find<'a> {
        Box::pin(async move {
            let (session, token) = self.find(info).await?;
            Some((Box::new(session) as AnySession, token))
        })
    }
}

/// Whether a page was given this token. Both are compared to the end, however soon they differ.
pub(crate) fn is_csrf_token(given: &str, expected: &str) -> bool {
    if expected.is_empty() {
        return false;
    }
    let (given, expected) = (given.as_bytes(), expected.as_bytes());
    given.ct_eq(expected).to_bool()
        || unmasked(given, expected.len()).is_some_and(|it| it.ct_eq(expected).to_bool())
}

/// The token of so many bytes under a mask, which comes behind it and is as long.
fn unmasked(given: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let (masked, mask) = given.split_at_checked(given.len().checked_sub(bytes)?)?;
    let masked = URL_SAFE_NO_PAD.decode(masked).ok()?;
    (masked.len() == bytes).then(|| masked.iter().zip(mask).map(|(a, b)| a ^ b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: &str, valid: bool) {
        assert_eq!(
            is_csrf_token(given, expected),
            valid,
            "{given:?} for {expected:?}"
        );
    }

    /// As a page of a Plug application has it.
    fn masked(token: &str, mask: &str) -> String {
        let bytes = token.bytes().zip(mask.bytes()).map(|(a, b)| a ^ b);
        URL_SAFE_NO_PAD.encode(bytes.collect::<Vec<_>>()) + mask
    }

    const TOKEN: &str = "XRfYPuVGKyRCDaGaDRKYkLRI";
    const MASK: &str = "2-nBqLUaq_5SMtOW0vdzCwaH";

    #[test]
    fn the_token_itself_is_valid() {
        check("secret", "secret", true);
        check(TOKEN, TOKEN, true);
        for wrong in ["", "secre", "secret ", "Secret", "secret\0"] {
            check(wrong, "secret", false);
        }
    }

    #[test]
    fn a_masked_token_is_valid_whatever_the_mask() {
        for mask in [MASK, TOKEN, "aaaaaaaaaaaaaaaaaaaaaaaa"] {
            let given = masked(TOKEN, mask);
            assert_eq!(given.len(), 56);
            check(&given, TOKEN, true);
            check(&given, MASK, false);
            check(given.get(1..).unwrap(), TOKEN, false);
            check(&format!("A{given}"), TOKEN, false);
        }
        check(&masked("secret", "abcdef"), "secret", true);
        check(
            &format!("!{}", masked(TOKEN, MASK).split_at(1).1),
            TOKEN,
            false,
        );
    }

    #[test]
    fn without_a_token_nothing_is_valid() {
        check("", "", false);
        check("secret", "", false);
    }
}
