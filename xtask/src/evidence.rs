//! Tests that pages name: `` `file::name` ``, where the file is the end of a path.

/// The tests that a text names.
pub(crate) fn named(text: &str) -> Vec<(&str, &str)> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter_map(|it| it.split_once("::")).collect()
}

/// Whether there is one such file, with such a test. `files` are the paths of the repository's files, which `read` reads.
pub(crate) fn find(
    file: &str,
    name: &str,
    files: &[String],
    read: &impl Fn(&str) -> String,
) -> Result<(), String> {
    let within = format!("/{file}");
    let paths = files
        .iter()
        .filter(|it| *it == file || it.ends_with(&within));
    let paths: Vec<&String> = paths.collect();
    let with = paths.iter().filter(|path| has(path, name, &read(path)));
    match (with.count(), &paths[..]) {
        (_, []) => Err(format!("there is no file {file}")),
        (0, [path]) => Err(format!("{path} has no test {name:?}")),
        (1, _) => Ok(()),
        (_, [one, other, ..]) => Err(format!("{file} may be {one} or {other}")),
        (_, [_]) => Ok(()),
    }
}

/// Whether a file's text has the test.
fn has(path: &str, name: &str, text: &str) -> bool {
    if path.ends_with(".rs") {
        return text.contains(&format!("fn {name}("));
    }
    let quotes = ['"', '`', '\''].iter();
    let mut quoted = quotes.map(|quote| format!("{quote}{name}{quote}"));
    quoted.any(|it| text.contains(&it))
}

/// The number of promises in a page, which are the rows of its tables under `heading`, and what is wrong with them: each
/// names a test or more, in its second column; the third says what was seen.
pub(crate) fn check(
    page: &str,
    heading: &str,
    files: &[String],
    read: impl Fn(&str) -> String,
) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let section = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let mut promises = 0;
    for line in section.filter(|line| line.starts_with('|')) {
        let inner = line.strip_prefix('|').and_then(|it| it.strip_suffix('|'));
        let cells = inner.unwrap_or(line).split('|').map(str::trim);
        let cells: Vec<&str> = cells.collect();
        let [promise, tests, _] = cells[..] else {
            wrong.push(format!("{line:?} has not three cells"));
            continue;
        };
        if promise == "Promise" || promise.starts_with(":--") {
            continue;
        }
        promises += 1;
        let tests = named(tests);
        if tests.is_empty() {
            wrong.push(format!("nothing shows {promise:?}"));
        }
        for (file, name) in tests {
            if let Err(why) = find(file, name, files, &read) {
                wrong.push(format!("{promise:?}: {why}"));
            }
        }
    }
    if promises == 0 {
        wrong.push(format!("there are no promises under {heading:?}"));
    }
    (promises, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_has_a_test_that_is_there() {
        let files = ["a/ends.rs", "b/joins.rs", "b/more/ends.rs"].map(str::to_owned);
        let read = |path: &str| match path {
            "b/joins.rs" => "async fn a_join() {}".to_owned(),
            "a/ends.rs" => "fn an_end() {}".to_owned(),
            _ => String::new(),
        };
        let check = |row: &str, expected: &[&str]| {
            let page = format!(
                "# It\n| not a promise |\n## Promises\n| Promise | Tests | Seen |\n|:--|:--|:--|\n{row}\n## More\n| x |"
            );
            let (promises, wrong) = check(&page, "## Promises", &files, read);
            assert_eq!(promises, usize::from(row.split('|').count() == 5), "{row}");
            assert_eq!(wrong, expected, "{row}");
        };
        check(
            "| a | `joins.rs::a_join`, `b/joins.rs::a_join` | 2 s |",
            &[],
        );
        check("| a | `ends.rs::an_end` | |", &[]);
        check("| a | later | 2 s |", &["nothing shows \"a\""]);
        check(
            "| a | `joins.rs::a_leave` | 2 s |",
            &["\"a\": b/joins.rs has no test \"a_leave\""],
        );
        check(
            "| a |",
            &[
                "\"| a |\" has not three cells",
                "there are no promises under \"## Promises\"",
            ],
        );
    }
}
