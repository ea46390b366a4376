//! What people write, judged before it is kept: the errors are told by field.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

const NAME_CHARS_MAX: usize = 30;
const TITLE_CHARS_MAX: usize = 120;
const CONTENT_CHARS_MAX: usize = 2_000;
/// A UUID as text: 32 hexadecimal digits in five groups.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// What is wrong, by field: `{"errors": {"content": ["is required"]}}`. Empty fields are right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Errors {
    errors: BTreeMap<&'static str, Vec<String>>,
}

impl Errors {
    fn add(&mut self, field: &'static str, what: impl Into<String>) {
        self.errors.entry(field).or_default().push(what.into());
    }

    fn or<T>(self, right: T) -> Result<T, Self> {
        if self.errors.is_empty() {
            Ok(right)
        } else {
            Err(self)
        }
    }

    /// Judges a text of up to so many characters, without the space around it.
    fn text(&mut self, field: &'static str, text: &str, chars_max: usize, lines: bool) -> String {
        let text = text.trim();
        let is_blank = |it: char| it.is_whitespace() || names::is_unseen(it);
        if text.chars().all(is_blank) {
            self.add(field, "is required");
        }
        if text.chars().count() > chars_max {
            self.add(field, format!("has at most {chars_max} characters"));
        }
        // PostgreSQL keeps no NUL, and nobody sees the others.
        let breaks = |it: char| lines && matches!(it, '\n' | '\r' | '\t');
        if text.chars().any(|it| it.is_control() && !breaks(it)) {
            self.add(field, "has characters that can't be shown");
        }
        text.to_owned()
    }
}

/// The name that a person signs in by. What nobody sees is left out, or one could look like another.
pub(crate) fn name(name: &str) -> Result<String, Errors> {
    let mut errors = Errors::default();
    let name = errors.text("name", &names::seen(name), NAME_CHARS_MAX, false);
    errors.or(name)
}

/// The title of a topic.
pub(crate) fn title(title: &str) -> Result<String, Errors> {
    let mut errors = Errors::default();
    let title = errors.text("title", title, TITLE_CHARS_MAX, false);
    errors.or(title)
}

/// A comment, and the id that its client made for it.
pub(crate) fn comment(id: &str, content: &str) -> Result<(String, String), Errors> {
    let mut errors = Errors::default();
    let content = errors.text("content", content, CONTENT_CHARS_MAX, true);
    let groups = id.split('-').map(str::len);
    if !groups.eq(UUID_GROUPS) || !id.chars().all(|it| it == '-' || it.is_ascii_hexdigit()) {
        errors.add("id", "is no UUID");
    }
    errors.or((id.to_ascii_lowercase(), content))
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (field, errors) in &self.errors {
            writeln!(f, "{field} {}", errors.join(" and "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "4d0c8c44-1111-4a4a-8b8b-0123456789ab";

    #[test]
    fn what_is_wrong_is_told_by_field() {
        #[track_caller]
        fn check<T: fmt::Debug>(judged: Result<T, Errors>, expected: &Value) {
            let told = serde_json::to_value(judged.unwrap_err()).unwrap();
            assert_eq!(told, json!({ "errors": expected }));
        }
        check(comment(ID, " \n "), &json!({"content": ["is required"]}));
        check(
            comment(ID, &"é".repeat(2_001)),
            &json!({"content": ["has at most 2000 characters"]}),
        );
        check(
            comment(ID, "a\0b"),
            &json!({"content": ["has characters that can't be shown"]}),
        );
        check(comment("7", "hi"), &json!({"id": ["is no UUID"]}));
        check(
            comment(&ID.replace('c', "g"), ""),
            &json!({"content": ["is required"], "id": ["is no UUID"]}),
        );
        check(
            title("a\nb"),
            &json!({"title": ["has characters that can't be shown"]}),
        );
        check(name(""), &json!({"name": ["is required"]}));
        check(name(" \u{200b}\u{3164}"), &json!({"name": ["is required"]}));
        check(title("\u{2060}"), &json!({"title": ["is required"]}));
        check(
            comment(ID, "\u{200b}\n"),
            &json!({"content": ["is required"]}),
        );
        check(
            name(&"x".repeat(31)),
            &json!({"name": ["has at most 30 characters"]}),
        );
    }

    #[test]
    fn what_is_right_is_kept_without_the_space_around_it() {
        assert_eq!(name("  Ada Lovelace ").unwrap(), "Ada Lovelace");
        assert_eq!(
            name("A\u{202e}da  Love\u{200b}lace").unwrap(),
            "Ada Lovelace"
        );
        assert_eq!(title("👩\u{200d}🚀").unwrap(), "👩\u{200d}🚀");
        let (id, content) = comment(&ID.to_uppercase(), " two\nlines\t🚀 ").unwrap();
        assert_eq!((id.as_str(), content.as_str()), (ID, "two\nlines\t🚀"));
        assert!(comment(ID, &"é".repeat(2_000)).is_ok());
    }
}
