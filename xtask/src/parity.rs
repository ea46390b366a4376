//! The table of Phoenix's features: each with what Bennu has for it, how it stands, and the tests that show it.

use crate::evidence;

/// How many features Phoenix has, by the letter of their group. The others are numbered too, but by ourselves.
const GROUPS: [(char, usize); 9] = [
    ('A', 29),
    ('B', 13),
    ('C', 17),
    ('D', 0),
    ('E', 13),
    ('F', 11),
    ('G', 0),
    ('H', 0),
    ('I', 4),
];

/// How a feature may stand: the beginnings of the third column.
const WORKS: &str = "works";
const VERDICTS: [&str; 3] = [WORKS, "[differs](differences.md", "n/a"];

/// One feature. Columns: its number and name, what Bennu has, how it stands, the tests.
struct Row<'a> {
    number: &'a str,
    has: &'a str,
    verdict: &'a str,
    tests: &'a str,
}

/// The number of rows, and what is wrong with them. `files` are the paths of the repository's files, which `read` reads.
pub(crate) fn check(
    page: &str,
    files: &[String],
    read: impl Fn(&str) -> String,
) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let rows: Vec<Row<'_>> = page.lines().filter_map(row).collect();
    for (letter, count) in GROUPS {
        let numbers = rows.iter().map(|row| row.number);
        let numbers: Vec<&str> = numbers.filter(|it| it.starts_with(letter)).collect();
        let expected = (1..=count.max(numbers.len()).max(1)).map(|n| format!("{letter}{n}"));
        if !expected.eq(numbers.iter().copied()) {
            wrong.push(format!(
                "the rows of {letter} aren't {letter}1 to {letter}{}, each once and in order",
                if count == 0 {
                    "the last".into()
                } else {
                    count.to_string()
                }
            ));
        }
    }
    for row in &rows {
        let number = row.number;
        if [row.has, row.verdict, row.tests].contains(&"") {
            wrong.push(format!("{number} has an empty cell"));
        }
        if !VERDICTS.iter().any(|it| row.verdict.starts_with(it)) {
            wrong.push(format!(
                "{number} neither works nor differs nor is it n/a: {:?}",
                row.verdict
            ));
        }
        let tests = evidence::named(row.tests);
        if tests.is_empty() && row.verdict.starts_with(WORKS) {
            wrong.push(format!("{number} works, and no test shows it"));
        }
        for (file, name) in tests {
            if let Err(why) = evidence::find(file, name, files, &read) {
                wrong.push(format!("{number}: {why}"));
            }
        }
    }
    (rows.len(), wrong)
}

/// A line of a table whose first cell begins with a letter and a number.
fn row(line: &str) -> Option<Row<'_>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    // A bar within code would be a cell of its own; the pages have none.
    let mut cells = inner.split('|').map(str::trim);
    let number = cells.next()?.split(' ').next()?;
    let (letter, digits) = number.split_at_checked(1)?;
    digits.parse::<usize>().ok()?;
    let mut cell = || cells.next().unwrap_or_default();
    letter
        .starts_with(|c: char| c.is_ascii_uppercase())
        .then(|| Row {
            number,
            has: cell(),
            verdict: cell(),
            tests: cell(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a table that has these rows instead of the right ones of their numbers.
    fn wrong(rows: &[&str]) -> Vec<String> {
        let files = ["a/ends.rs", "b/ends.rs", "b/joins.rs", "js/joins.test.mjs"];
        let files: Vec<String> = files.iter().map(|it| (*it).to_owned()).collect();
        let read = |path: &str| match path {
            "b/joins.rs" => "#[tokio::test]\nasync fn a_join() {}".to_owned(),
            "js/joins.test.mjs" => "test(\"a join\", ...)".to_owned(),
            _ => String::new(),
        };
        let mut page = String::new();
        for (letter, count) in GROUPS {
            for n in 1..=count.max(1) {
                let number = format!("{letter}{n}");
                let given = rows
                    .iter()
                    .find(|it| it.starts_with(&format!("| {number} ")));
                let right = format!("| {number} it | `Api` | works | `b/joins.rs::a_join` |");
                page.push_str(given.copied().unwrap_or(&right));
                page.push('\n');
            }
        }
        check(&page, &files, read).1
    }

    #[test]
    fn a_table_that_is_whole_is_right() {
        assert_eq!(wrong(&[]), [""; 0]);
        let right = [
            "| A1 it | none | n/a: there is no such thing | nothing to test |",
            "| A2 it | `x` | [differs](differences.md#on-the-wire) | `joins.test.mjs::a join` |",
        ];
        assert_eq!(wrong(&right), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_told() {
        let check = |row: &str, expected: &str| assert_eq!(wrong(&[row]), [expected], "{row}");
        check(
            "| A1 it | | works | `b/joins.rs::a_join` |",
            "A1 has an empty cell",
        );
        check(
            "| A1 it | x | works | later |",
            "A1 works, and no test shows it",
        );
        check(
            "| A1 it | x | maybe | `b/joins.rs::a_join` |",
            "A1 neither works nor differs nor is it n/a: \"maybe\"",
        );
        check(
            "| A1 it | x | works | `ends.rs::x` |",
            "A1: ends.rs may be a/ends.rs or b/ends.rs",
        );
        check(
            "| A1 it | x | works | `c.rs::x` |",
            "A1: there is no file c.rs",
        );
        check(
            "| A1 it | x | works | `joins.rs::a_leave` |",
            "A1: b/joins.rs has no test \"a_leave\"",
        );
        check(
            "| A2 without its row",
            "the rows of A aren't A1 to A29, each once and in order",
        );
    }
}
