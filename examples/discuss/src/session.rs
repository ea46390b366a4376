//! Who is signed in: a signed cookie, made by the sign-in and read by pages and sockets.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use bennu::{ConnectInfo, SessionSource, Token};
use serde::{Deserialize, Serialize};

use crate::db::User;

const COOKIE: &str = "discuss_session";
/// What the token in the cookie is for.
const SALT: &str = "discuss session";
const AGE_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const ID_BYTES: usize = 16;

/// One sign-in of one user: what the cookie says, so that nothing needs to be stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Names the sockets of this sign-in, so that signing out reaches them and no others.
    pub(crate) id: String,
    /// What pages say to show that they are ours: other sites' pages don't know it.
    pub(crate) csrf: String,
    pub(crate) user: User,
}

impl Session {
    fn new(user: User) -> Option<Self> {
        Some(Self {
            id: random()?,
            csrf: random()?,
            user,
        })
    }

    /// The topic on which the sockets of this sign-in hear `disconnect`.
    pub(crate) fn socket_id(&self) -> String {
        format!("session:{}", self.id)
    }
}

/// Makes and reads the cookies. Clones are the same.
#[derive(Clone)]
pub(crate) struct Sessions {
    tokens: Token,
    /// The cookie is for pages under this path.
    path: String,
    /// Whether the pages are served by HTTPS, and the cookie goes no other way.
    secure: bool,
}

impl Sessions {
    pub(crate) fn new(tokens: Token, prefix: &str, secure: bool) -> Self {
        Self {
            tokens: tokens.max_age(AGE_MAX),
            path: format!("{prefix}/"),
            secure,
        }
    }

    /// A new session of this user, and the `set-cookie` header that begins it.
    pub(crate) fn begin(&self, user: User) -> Option<(Session, String)> {
        let session = Session::new(user)?;
        let token = self.tokens.sign(SALT, &session).ok()?;
        Some((session, self.cookie(&token, AGE_MAX)))
    }

    /// The `set-cookie` header that ends a session.
    pub(crate) fn end(&self) -> String {
        self.cookie("", Duration::ZERO)
    }

    fn cookie(&self, value: &str, age: Duration) -> String {
        let (path, age) = (&self.path, age.as_secs());
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{COOKIE}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
    }

    /// The session that a request's cookie is of. Its user may be unknown by now: the cookie outlives the database.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<Session> {
        let lines = headers.get_all(header::COOKIE).iter();
        let mut cookies = lines
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(';'))
            .filter_map(|it| it.trim().split_once('='));
        let (_, token) = cookies.find(|(name, _)| *name == COOKIE)?;
        self.tokens.verify(SALT, Some(token)).ok()
    }
}

/// The socket's session comes from the same cookie, if the page shows that it knows the CSRF token.
impl SessionSource for Sessions {
    type Session = Session;

    async fn find(&self, info: &ConnectInfo) -> Option<(Session, String)> {
        let session = self.of(info.headers())?;
        let csrf = session.csrf.clone();
        Some((session, csrf))
    }
}

/// What nobody guesses, in hexadecimal digits. `None` where the system has no random numbers.
fn random() -> Option<String> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|it| format!("{it:02x}")).collect())
}
