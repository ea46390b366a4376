//! Why tokens aren't made, and why they aren't taken.

use std::{error::Error as StdError, fmt};

use super::{SECRET_BYTES_MIN, TOKEN_BYTES_MAX, term::TermError};

/// Why a token isn't taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none.
    Missing,
    /// It wasn't made with this secret, salt and options, was changed since, is signed in the future, or holds
    /// data of another type.
    Invalid,
    /// It is older than it may be.
    Expired,
}

/// Why a token can't be made: the data doesn't serialize, or is too much.
#[derive(Debug)]
pub struct SignError(Unsignable);

#[derive(Debug)]
pub(super) enum Unsignable {
    Data(TermError),
    TooLong { bytes: usize },
    KeyLength { bytes: usize },
    Random,
}

/// Why a secret isn't taken: it has fewer than 20 bytes.
#[derive(Debug)]
pub struct SecretError {
    pub(super) bytes: usize,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no token",
            Self::Invalid => "the token is invalid",
            Self::Expired => "the token has expired",
        })
    }
}

impl StdError for TokenError {}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Unsignable::Data(error) => write!(f, "the token's data can't be encoded: {error}"),
            Unsignable::TooLong { bytes } => write!(
                f,
                "the token would have {bytes} bytes, of {TOKEN_BYTES_MAX} at most"
            ),
            Unsignable::KeyLength { bytes } => {
                write!(f, "a key of {bytes} bytes can't encrypt, one of 32 can")
            }
            Unsignable::Random => f.write_str("the system has no randomness"),
        }
    }
}

impl StdError for SignError {}

impl From<Unsignable> for SignError {
    fn from(why: Unsignable) -> Self {
        Self(why)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the secret has {} bytes, of {SECRET_BYTES_MIN} at least",
            self.bytes
        )
    }
}

impl StdError for SecretError {}
