//! A player's name.

/// The most characters that a name has.
const CHARS_MAX: usize = 20;

/// A name as the screens show it, trimmed, and without characters that nobody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// What a player typed, or why it won't do.
    pub(crate) fn parse(typed: &str) -> Result<Self, &'static str> {
        // Whoever sends a book gets no further than this.
        if typed.len() > 16 * 4 * CHARS_MAX {
            return Err("a name has at most 20 characters");
        }
        let name = names::seen(typed);
        match name.chars().count() {
            0 => Err("a name has at least one character"),
            1..=CHARS_MAX => Ok(Self(name)),
            _ => Err("a name has at most 20 characters"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same for names that are too much alike to race each other.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_to_twenty_characters_that_are_seen() {
        let check = |typed: &str, expected: Result<&str, &str>| {
            let name = Name::parse(typed);
            assert_eq!(
                name.as_ref().map(Name::as_str).map_err(|why| *why),
                expected,
                "{typed:?}"
            );
        };
        let (short, long) = (
            Err("a name has at least one character"),
            Err("a name has at most 20 characters"),
        );
        check("Ada", Ok("Ada"));
        check("  Ada \t Lovelace\n", Ok("Ada Lovelace"));
        check("Ad\u{200b}a\u{202e}", Ok("Ada"));
        check("日本 🚀", Ok("日本 🚀"));
        check(&"ä".repeat(20), Ok(&"ä".repeat(20)));
        check("", short);
        check(" \u{a0}\u{200d}\0", short);
        check(&"x".repeat(21), long);
        check(&"\u{200b}".repeat(1000), long);
    }

    #[test]
    fn names_that_look_alike_have_one_key() {
        let key = |typed| Name::parse(typed).unwrap().key();
        assert_eq!(key("ADA  l"), key("ada\u{200d} L"));
        assert_ne!(key("ada"), key("adam"));
    }
}
