//! Tokens that are signed or encrypted, as `Phoenix.Token` makes them.

mod age;
mod encrypted;
mod error;
mod keys;
mod signed;
mod term;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, de::DeserializeOwned};

pub use error::{SecretError, SignError, TokenError};
pub use keys::KeyDigest;
pub use term::Term;

use age::{Dated, MaxAge};
use encrypted::Encrypted;
use error::Unsignable;
use keys::{Derivation, Keys};
use signed::Signed;
use term::TermError;

/// The longest token that is looked at or made. A longer one is invalid.
const TOKEN_BYTES_MAX: usize = 65_536;
/// The shortest secret that is taken, as in Phoenix.
const SECRET_BYTES_MIN: usize = 20;

/// Makes tokens and takes them back: signed ones, which anybody can read, and encrypted ones.
///
/// It is `Phoenix.Token`, format and defaults included: with the same secret (Phoenix's `secret_key_base`) and
/// salt, a token made by one is taken by the other. The salt keeps tokens apart that are made for different
/// ends: it isn't secret, so a constant of the program will do.
///
/// Data is whatever serde takes. Texts and bytes become Elixir's binaries, `None` and `()` its `nil`, sequences
/// lists, Rust's tuples its tuples, structs and maps its maps with strings for keys, an enum's variant its name
/// or a map of one entry. On the way back atoms are texts too, so that a struct may be read from a map with
/// atoms for keys. For exactly the terms of one's own choice there is [`Term`].
///
/// ```
/// use bennu::{Token, TokenError};
///
/// let token = Token::new("a secret that only the servers know")?;
/// let signed = token.sign("user socket", &42)?;
/// assert_eq!(token.verify("user socket", signed.as_str()), Ok(42));
/// assert_eq!(token.verify::<u64>("another salt", signed.as_str()), Err(TokenError::Invalid));
/// assert_eq!(token.verify::<u64>("user socket", None), Err(TokenError::Missing));
///
/// let encrypted = token.encrypt("invitation", &("room:7", "ann@example.com"))?;
/// let (room, guest): (String, String) = token.decrypt("invitation", encrypted.as_str())?;
/// assert_eq!((&*room, &*guest), ("room:7", "ann@example.com"));
/// # Ok::<(), bennu::Error>(())
/// ```
///
/// A clone is cheap, and shares the derived keys. So options may be set for one call:
///
/// ```
/// # use std::time::Duration; use bennu::{Token, TokenError};
/// # let token = Token::new("a secret that only the servers know")?;
/// let hour = token.clone().max_age(Duration::from_secs(3600));
/// let signed = hour.sign("download", "report.pdf")?;
/// assert!(hour.verify::<String>("download", signed.as_str()).is_ok());
/// assert_eq!(
///     token.max_age(Duration::ZERO).verify::<String>("download", signed.as_str()),
///     Err(TokenError::Expired)
/// );
/// # Ok::<(), bennu::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Token {
    /// The first one makes tokens, all of them take them.
    keys: Arc<Keys>,
    derivation: Derivation,
    /// `None`: a day when making tokens, what the token says when taking them.
    max_age: Option<MaxAge>,
    /// `None`: now.
    signed_at: Option<SystemTime>,
}

impl Token {
    /// Makes and takes tokens with `secret`: at least 20 bytes that nobody can guess, 64 random characters for
    /// example. Phoenix's `secret_key_base`.
    ///
    /// # Errors
    ///
    /// When the secret is shorter.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        Ok(Self {
            keys: Arc::new(Keys::new(checked(secret.as_ref())?)),
            derivation: Derivation::default(),
            max_age: None,
            signed_at: None,
        })
    }

    /// Takes tokens that were made with an older secret as well. To change the secret, add the new one, and
    /// keep the old one here until the last token made with it has expired.
    ///
    /// # Errors
    ///
    /// When the secret is shorter than 20 bytes.
    ///
    /// ```
    /// # use bennu::Token;
    /// let old = Token::new("a secret that was told to somebody")?;
    /// let token = Token::new("a secret that nobody else knows")?
    ///     .or_secret("a secret that was told to somebody")?;
    /// assert_eq!(token.verify("id", old.sign("id", &7)?.as_str()), Ok(7));
    /// assert!(old.verify::<u64>("id", token.sign("id", &7)?.as_str()).is_err());
    /// # Ok::<(), bennu::Error>(())
    /// ```
    pub fn or_secret(mut self, secret: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let secret = checked(secret.as_ref())?;
        self.keys = Arc::new(self.keys.with_secret(secret));
        Ok(self)
    }

    /// How old a token may be: a day. It is written into tokens that are made. Where it is set it also counts
    /// when they are taken back, instead of what is written in them. With zero every token has expired.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(MaxAge::from(max_age));
        self
    }

    /// As [`max_age`](Self::max_age): a token may be of any age. Phoenix's `max_age: :infinity`.
    pub fn any_age(mut self) -> Self {
        self.max_age = Some(MaxAge::Any);
        self
    }

    /// When a token says it was made, to the millisecond: now.
    pub fn signed_at(mut self, time: SystemTime) -> Self {
        self.signed_at = Some(time);
        self
    }

    /// The rounds of PBKDF2 that make a key of the secret and a salt: 1,000, and at least 1. The secret is no
    /// password, so more of them don't help.
    pub fn key_iterations(mut self, iterations: u32) -> Self {
        self.derivation.iterations = iterations.max(1);
        self
    }

    /// The length of the derived key in bytes: 32, and at least 1. [`encrypt`](Self::encrypt) takes 32 only.
    pub fn key_length(mut self, bytes: usize) -> Self {
        self.derivation.length = bytes.max(1);
        self
    }

    /// The hash that keys are derived with: SHA-256. Tokens are signed with HMAC-SHA-256 whatever it is.
    pub fn key_digest(mut self, digest: KeyDigest) -> Self {
        self.derivation.digest = digest;
        self
    }

    /// A token that carries `data` for all to read, and that nobody else can make.
    ///
    /// Its form: `SFMyNTY.<data>.<HMAC-SHA-256>`, each part in URL-safe Base64.
    ///
    /// # Errors
    ///
    /// When the data doesn't serialize, or is so long that the token would have more than 65,536 bytes.
    pub fn sign(&self, salt: &str, data: &(impl Serialize + ?Sized)) -> Result<String, SignError> {
        let term = self.dated(data)?;
        let key = self.keys.first(salt, &self.derivation);
        checked_length(signed::sign(&term, &key))
    }

    /// The data of a token that was made by [`sign`](Self::sign), or by Phoenix. `token` is a `&str`, or an
    /// `Option` of one.
    ///
    /// # Errors
    ///
    /// [`Missing`](TokenError::Missing) where there is none, [`Expired`](TokenError::Expired) for one that is
    /// too old, [`Invalid`](TokenError::Invalid) for all else.
    #[expect(single_use_lifetimes, reason = "an `impl Trait` can't leave it out")]
    pub fn verify<'a, T: DeserializeOwned>(
        &self,
        salt: &str,
        token: impl Into<Option<&'a str>>,
    ) -> Result<T, TokenError> {
        self.verify_at(salt, token.into(), SystemTime::now())
    }

    /// A token that carries `data` for those with the secret only.
    ///
    /// Its form: `XCP.` and, in URL-safe Base64, nonce, tag and ciphertext of XChaCha20-Poly1305.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign), and when the system has no randomness or the key hasn't 32 bytes.
    pub fn encrypt(
        &self,
        salt: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<String, SignError> {
        let term = self.dated(data)?;
        let key = self.keys.first(salt, &self.derivation);
        checked_length(encrypted::encrypt(&term, &key)?)
    }

    /// The data of a token that was made by [`encrypt`](Self::encrypt), or by Phoenix. Tokens of plug_crypto
    /// before 2.0, in AES-GCM, are taken as well.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    #[expect(single_use_lifetimes, reason = "an `impl Trait` can't leave it out")]
    pub fn decrypt<'a, T: DeserializeOwned>(
        &self,
        salt: &str,
        token: impl Into<Option<&'a str>>,
    ) -> Result<T, TokenError> {
        self.decrypt_at(salt, token.into(), SystemTime::now())
    }

    fn verify_at<T: DeserializeOwned>(
        &self,
        salt: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<T, TokenError> {
        let signed = Signed::parse(present(token)?).ok_or(TokenError::Invalid)?;
        let is_ours = |key: &Arc<[u8]>| signed.is_signed_with(key);
        self.keys
            .all(salt, &self.derivation)
            .find(is_ours)
            .ok_or(TokenError::Invalid)?;
        self.open(&signed.term, now)
    }

    fn decrypt_at<T: DeserializeOwned>(
        &self,
        salt: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<T, TokenError> {
        let encrypted = Encrypted::parse(present(token)?).ok_or(TokenError::Invalid)?;
        let term = self
            .keys
            .all(salt, &self.derivation)
            .find_map(|key| encrypted.decrypt(&key))
            .ok_or(TokenError::Invalid)?;
        self.open(&term, now)
    }

    /// The bytes that a token carries.
    fn dated(&self, data: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, SignError> {
        let data = Term::new(data).map_err(Unsignable::Data)?;
        let dated = Dated {
            data,
            signed_at_ms: unix_ms(self.signed_at.unwrap_or_else(SystemTime::now)),
            max_age: self.max_age.unwrap_or_default(),
        };
        Ok(dated.into_term().encode().map_err(Unsignable::Data)?)
    }

    /// What those bytes hold, once it's sure that we made them.
    fn open<T: DeserializeOwned>(&self, term: &[u8], now: SystemTime) -> Result<T, TokenError> {
        let unreadable = |error: TermError| {
            tracing::debug!(%error, "failed to read a token that carries the right signature");
            TokenError::Invalid
        };
        let dated = Term::decode(term)
            .and_then(Dated::from_term)
            .map_err(unreadable)?;
        let now_ms = unix_ms(now);
        if dated.signed_at_ms > now_ms {
            return Err(TokenError::Invalid);
        }
        let max_age = self.max_age.unwrap_or(dated.max_age);
        if max_age.is_over(dated.signed_at_ms, now_ms) {
            return Err(TokenError::Expired);
        }
        dated.data.read().map_err(unreadable)
    }
}

fn present(token: Option<&str>) -> Result<&str, TokenError> {
    let token = token.ok_or(TokenError::Missing)?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Invalid);
    }
    Ok(token)
}

fn checked(secret: &[u8]) -> Result<Box<[u8]>, SecretError> {
    let bytes = secret.len();
    if bytes < SECRET_BYTES_MIN {
        return Err(SecretError { bytes });
    }
    Ok(secret.into())
}

fn checked_length(token: String) -> Result<String, SignError> {
    let bytes = token.len();
    if bytes > TOKEN_BYTES_MAX {
        return Err(Unsignable::TooLong { bytes }.into());
    }
    Ok(token)
}

/// Milliseconds since 1970, and before it.
fn unix_ms(time: SystemTime) -> i128 {
    let ms = |duration: Duration| i128::try_from(duration.as_millis()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => ms(since),
        Err(before) => -ms(before.duration()),
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secrets and keys stay out of it.
        f.debug_struct("Token")
            .field("max_age", &self.max_age)
            .field("signed_at", &self.signed_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
