//! Who a player is, on the wire and in the game.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

/// A player, at random, so that ids don't come again after a restart: 16 hexadecimal digits on the wire, where numbers
/// of 64 bits don't survive JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct PlayerId(pub(crate) u64);

impl PlayerId {
    /// An id that nobody has.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(Self)
    }

    /// The id of a player's connections, by which they are closed.
    pub(crate) fn socket_id(self) -> String {
        format!("racer:{self}")
    }
}

impl fmt::Display for PlayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for PlayerId {
    type Err = ParseIntError;

    fn from_str(digits: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(digits, 16).map(Self)
    }
}

impl From<PlayerId> for String {
    fn from(id: PlayerId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for PlayerId {
    type Error = ParseIntError;

    fn try_from(digits: String) -> Result<Self, ParseIntError> {
        digits.parse()
    }
}
