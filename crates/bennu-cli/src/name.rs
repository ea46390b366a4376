//! Names that people give, as Rust and Cargo want them.

use crate::error::{Failure, Result};

const NAME_BYTES_MAX: usize = 32;

/// Words that can't be the name of a module: Rust's keywords, used and reserved.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// What the package of an application can't be called: crates of Rust's and those that it depends on, folders of
/// cargo's, and what Windows has no files of.
const TAKEN: &[&str] = &[
    "alloc",
    "axum",
    "bennu",
    "core",
    "mimalloc",
    "proc_macro",
    "serde",
    "serde_json",
    "sqlx",
    "std",
    "test",
    "tokio",
    "tower",
    "tracing_subscriber",
    "build",
    "deps",
    "examples",
    "incremental",
    "aux",
    "con",
    "nul",
    "prn",
];

/// The name of an application: of its package (`tap-racer`), its library (`tap_racer`), and for people (`Tap racer`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageName {
    pub(crate) package: String,
    pub(crate) library: String,
    pub(crate) title: String,
}

impl PackageName {
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let refused = |why: &str| {
            Failure::usage(format_args!(
                "{name:?} can't be an application's name: {why}"
            ))
        };
        if name.len() > NAME_BYTES_MAX {
            return Err(refused("it has more than 32 characters"));
        }
        if !name.starts_with(|it: char| it.is_ascii_lowercase()) {
            return Err(refused("it has to start with a letter from a to z"));
        }
        let allowed =
            |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_".contains(it);
        if !name.chars().all(allowed) {
            return Err(refused(
                "it may have a to z, digits, - and _, as in tap-racer",
            ));
        }
        let library = name.replace('-', "_");
        if KEYWORDS.contains(&&*library) {
            return Err(refused("it is a word of Rust's"));
        }
        if TAKEN.contains(&&*library) {
            return Err(refused(
                "it is taken by a crate or a folder that an application needs",
            ));
        }
        let mut title = name.replace(['-', '_'], " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Ok(Self {
            package: name.to_owned(),
            library,
            title,
        })
    }
}

/// The name of something within an application: its type (`ChatRoom`) and its module (`chat_room`). `ChatRoom`,
/// `chat_room` and `chat-room` all name the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeName {
    pub(crate) name: String,
    pub(crate) module: String,
}

impl TypeName {
    pub(crate) fn parse(given: &str) -> Result<Self> {
        let refused =
            |why: &str| Failure::usage(format_args!("{given:?} can't name a type: {why}"));
        if given.len() > NAME_BYTES_MAX {
            return Err(refused("it has more than 32 characters"));
        }
        if !given.starts_with(|it: char| it.is_ascii_alphabetic()) {
            return Err(refused("it has to start with a letter from a to z"));
        }
        let allowed = |it: char| it.is_ascii_alphanumeric() || "-_".contains(it);
        if !given.chars().all(allowed) {
            return Err(refused(
                "it may have letters from a to z and digits, as in ChatRoom",
            ));
        }
        let words = words(given);
        let module = words.join("_");
        if KEYWORDS.contains(&&*module) {
            return Err(refused("it is a word of Rust's"));
        }
        let capitals = words.iter().map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or(("", word));
            first.to_ascii_uppercase() + rest
        });
        let name = capitals.collect();
        Ok(Self { name, module })
    }
}

/// `ChatRoom2`, `chat-room2` and `HTTPRoom` as words in small letters: `chat room2`, `http room`.
fn words(given: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut begins = true;
    let letters: Vec<char> = given.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            begins = true;
            continue;
        }
        let before = at.checked_sub(1).and_then(|it| letters.get(it));
        let after = letters.get(at + 1);
        let after_small = before.is_some_and(|it| !it.is_ascii_uppercase());
        let before_small = after.is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && (after_small || before_small) {
            begins = true;
        }
        match words.last_mut() {
            Some(word) if !begins => word.push(letter.to_ascii_lowercase()),
            _ => words.push(letter.to_ascii_lowercase().to_string()),
        }
        begins = false;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_called_as_cargo_wants_it() {
        let check = |name: &str, expected: Result<(&str, &str), &str>| {
            let parsed = PackageName::parse(name);
            let parsed = parsed.as_ref().map(|it| (&*it.library, &*it.title));
            match (parsed, expected) {
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (parsed, expected) => assert_eq!(parsed.ok(), expected.ok(), "{name}"),
            }
        };
        check("chatty", Ok(("chatty", "Chatty")));
        check("tap-racer_2", Ok(("tap_racer_2", "Tap racer 2")));
        check("", Err("start with a letter"));
        check("2fast", Err("start with a letter"));
        check("-x", Err("start with a letter"));
        check("../x", Err("start with a letter"));
        check("a/../b", Err("it may have"));
        check("a.b", Err("it may have"));
        check("Chat", Err("start with a letter"));
        check("chät", Err("it may have"));
        check("a\nb", Err("it may have"));
        check(&"a".repeat(33), Err("more than 32"));
        check("async", Err("a word of Rust's"));
        check("serde-json", Err("taken"));
        check("con", Err("taken"));
    }

    #[test]
    fn a_type_is_called_the_same_however_it_is_written() {
        let check = |given: &str, expected: Result<(&str, &str), &str>| {
            let parsed = TypeName::parse(given);
            let parsed = parsed.as_ref().map(|it| (&*it.name, &*it.module));
            match (parsed, expected) {
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (parsed, expected) => assert_eq!(parsed.ok(), expected.ok(), "{given}"),
            }
        };
        for given in [
            "ChatRoom",
            "chat_room",
            "chat-room",
            "chatRoom",
            "Chat__Room-",
        ] {
            check(given, Ok(("ChatRoom", "chat_room")));
        }
        check("HTTPRoom", Ok(("HttpRoom", "http_room")));
        check("room2", Ok(("Room2", "room2")));
        check("Room2Go", Ok(("Room2Go", "room2_go")));
        check("x", Ok(("X", "x")));
        check("../x", Err("start with a letter"));
        check("a::b", Err("it may have"));
        check("Match", Err("a word of Rust's"));
        check(&"a".repeat(33), Err("more than 32"));
    }
}
