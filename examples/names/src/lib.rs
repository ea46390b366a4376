//! What people call themselves, as the examples' screens show it.

/// A text as it is seen: without characters that nobody sees, and with single spaces between its words.
///
/// ```
/// assert_eq!(names::seen("  Ad\u{200b}a \t Lovelace\n"), "Ada Lovelace");
/// assert_eq!(names::seen("\u{a0}\u{200d}\0"), "");
/// ```
#[must_use]
pub fn seen(text: &str) -> String {
    let seen: String = text.chars().filter(|it| !is_unseen(*it)).collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    words.join(" ")
}

/// Control characters, letters that are blank, and those that join, direct or hide others: with them a name could look like another, or turn
/// around what stands beside it. White space isn't among them.
///
/// ```
/// assert!(['\0', '\u{ad}', '\u{200d}', '\u{202e}', '\u{2800}', '\u{3164}', '\u{feff}'].into_iter().all(names::is_unseen));
/// assert!(!['a', 'ä', '日', '🚀', ' ', '\n', '\u{a0}'].into_iter().any(names::is_unseen));
/// ```
#[must_use]
pub fn is_unseen(character: char) -> bool {
    character.is_control() && !character.is_whitespace()
        || matches!(
            character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}
