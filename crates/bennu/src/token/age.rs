//! When a token was made, and how long it lasts.

use std::time::Duration;

use super::term::{Term, TermError};

/// What Phoenix writes into a token when it isn't told.
const DAY_SECONDS: i128 = 86_400;

/// A token's data with its dates.
#[derive(Debug, PartialEq)]
pub(super) struct Dated {
    pub(super) data: Term,
    pub(super) signed_at_ms: i128,
    pub(super) max_age: MaxAge,
}

/// How old a token may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum MaxAge {
    Seconds(i128),
    /// Seconds with a fraction, which Elixir writes as a float.
    Fraction(f64),
    Any,
}

impl Dated {
    /// `{data, signed_at_ms, max_age}`.
    pub(super) fn into_term(self) -> Term {
        let max_age = match self.max_age {
            MaxAge::Seconds(seconds) => Term::Integer(seconds),
            MaxAge::Fraction(seconds) => Term::Float(seconds),
            MaxAge::Any => Term::Atom("infinity".into()),
        };
        Term::Tuple(vec![self.data, Term::Integer(self.signed_at_ms), max_age])
    }

    /// Takes what older releases wrote as well: `{data, signed_at_ms}`, and a map of the two.
    pub(super) fn from_term(term: Term) -> Result<Self, TermError> {
        let (data, signed_at, max_age) = match term {
            Term::Tuple(parts) => match <[Term; 3]>::try_from(parts) {
                Ok([data, signed_at, max_age]) => (data, signed_at, Some(max_age)),
                Err(parts) => match <[Term; 2]>::try_from(parts) {
                    Ok([data, signed_at]) => (data, signed_at, None),
                    Err(_) => return Err(TermError::from("a token is a tuple of two or three")),
                },
            },
            Term::Map(entries) => {
                let (data, signed_at) = data_and_date(entries)?;
                (data, signed_at, None)
            }
            _ => return Err(TermError::from("a token is a tuple or a map")),
        };
        let Term::Integer(signed_at_ms) = signed_at else {
            return Err(TermError::from("a token's date is an integer"));
        };
        let max_age = match max_age {
            None => MaxAge::default(),
            Some(Term::Integer(seconds)) => MaxAge::Seconds(seconds),
            Some(Term::Float(seconds)) => MaxAge::Fraction(seconds),
            Some(Term::Atom(atom)) if atom == "infinity" => MaxAge::Any,
            Some(_) => {
                return Err(TermError::from(
                    "a token's max_age is a number or :infinity",
                ));
            }
        };
        Ok(Self {
            data,
            signed_at_ms,
            max_age,
        })
    }
}

/// The values of `%{data: data, signed: signed_at_ms}`.
fn data_and_date(entries: Vec<(Term, Term)>) -> Result<(Term, Term), TermError> {
    let (mut data, mut signed_at) = (None, None);
    for (key, value) in entries {
        match key {
            Term::Atom(key) if key == "data" => data = Some(value),
            Term::Atom(key) if key == "signed" => signed_at = Some(value),
            _ => {}
        }
    }
    data.zip(signed_at)
        .ok_or_else(|| TermError::from("a token that is a map has data and signed"))
}

impl MaxAge {
    /// Whether a token that was made then has expired now.
    pub(super) fn is_over(self, signed_at_ms: i128, now_ms: i128) -> bool {
        let max_age_ms = match self {
            Self::Any => return false,
            Self::Seconds(seconds) if seconds <= 0 => return true,
            Self::Fraction(seconds) if seconds <= 0.0 => return true,
            Self::Seconds(seconds) => seconds.saturating_mul(1000),
            // Cut off, as Phoenix does; too large a float is the largest integer.
            Self::Fraction(seconds) => (seconds * 1000.0) as i128,
        };
        signed_at_ms.saturating_add(max_age_ms) < now_ms
    }
}

impl Default for MaxAge {
    fn default() -> Self {
        Self::Seconds(DAY_SECONDS)
    }
}

impl From<Duration> for MaxAge {
    fn from(duration: Duration) -> Self {
        if duration.subsec_nanos() == 0 {
            Self::Seconds(duration.as_secs().into())
        } else {
            Self::Fraction(duration.as_secs_f64())
        }
    }
}
