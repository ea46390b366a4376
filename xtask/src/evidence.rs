//! Tests that pages name: `` `file::name` ``, where the file is the end of a path.

/// What makes a function a test.
const TESTS: [&str; 3] = ["#[test]", "#[tokio::test]", "#[tokio::test("];
/// Where the steps of `cargo xtask test` have their names.
const STEPS: &str = "xtask/src/test.rs";

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

/// Whether a file's text has the test: in Rust a function that a test attribute is above of, or a named case of the abuse
/// suite, or a step of `cargo xtask test`; in JavaScript what is named in `test(...)` or `it(...)`.
fn has(path: &str, name: &str, text: &str) -> bool {
    if path.starts_with("abuse/") || path == STEPS {
        let case = format!("name: \"{name}\",");
        if text.lines().any(|line| line.trim() == case) {
            return true;
        }
    }
    if path.ends_with(".rs") {
        return has_function(name, text);
    }
    let quotes = ['"', '`', '\''].iter();
    let mut calls = quotes.flat_map(|quote| {
        let called = move |function| format!("{function}({quote}{name}{quote}");
        ["test", "it"].map(called)
    });
    calls.any(|call| {
        let mut found = text.match_indices(&call);
        // `test.skip(...)` isn't found, and nothing that merely ends in "it".
        found.any(|(at, _)| !text[..at].ends_with(|it: char| it.is_alphanumeric()))
    })
}

/// Whether there is a function of this name with a test attribute, which isn't ignored.
fn has_function(name: &str, text: &str) -> bool {
    let declared = [format!("fn {name}("), format!("async fn {name}(")];
    // The attributes and comments above the line that is looked at, of any indentation.
    let mut is_test = false;
    let mut is_ignored = false;
    for line in text.lines().map(str::trim) {
        if declared.iter().any(|it| line.starts_with(it)) && is_test && !is_ignored {
            return true;
        }
        if line.is_empty() || line.ends_with(['{', '}', ';']) {
            (is_test, is_ignored) = (false, false);
        }
        is_test |= TESTS.iter().any(|it| line.starts_with(it));
        is_ignored |= line.starts_with("#[ignore");
    }
    false
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

/// The number of limits in a page's tables, whose last column has the tests, and what is wrong with them.
pub(crate) fn limits(
    page: &str,
    files: &[String],
    read: impl Fn(&str) -> String,
) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let mut limits = 0;
    for line in page.lines() {
        let inner = line.strip_prefix('|').and_then(|it| it.strip_suffix('|'));
        let Some((limit, rest)) = inner.and_then(|it| it.split_once('|')) else {
            continue;
        };
        let limit = limit.trim();
        let tests = rest.rsplit('|').next().unwrap_or_default();
        if limit == "Limit" || limit.starts_with("---") {
            continue;
        }
        limits += 1;
        let tests = named(tests);
        if tests.is_empty() {
            wrong.push(format!("no test meets {limit:?}"));
        }
        for (file, name) in tests {
            if let Err(why) = find(file, name, files, &read) {
                wrong.push(format!("{limit:?}: {why}"));
            }
        }
    }
    (limits, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_a_test_that_meets_it() {
        let files = ["b/joins.rs".to_owned()];
        let read = |_: &str| "#[test]\nfn a_join() {}".to_owned();
        let check = |row: &str, expected: &[&str]| {
            let page = format!("Words.\n\n| Limit | Default | Test |\n|---|---|---|\n{row}\n");
            let (count, wrong) = limits(&page, &files, read);
            assert_eq!(count, 1, "{row}");
            assert_eq!(wrong, expected, "{row}");
        };
        check("| `x::y` | 2 | `joins.rs::a_join` |", &[]);
        check("| x | `joins.rs::a_join` | |", &["no test meets \"x\""]);
        check("| x | 2 | `b/joins.rs` |", &["no test meets \"x\""]);
        check(
            "| x | 2 | `joins.rs::a_leave` |",
            &["\"x\": b/joins.rs has no test \"a_leave\""],
        );
    }

    #[test]
    fn a_promise_has_a_test_that_is_there() {
        let files = ["a/ends.rs", "b/joins.rs", "b/more/ends.rs"].map(str::to_owned);
        let read = |path: &str| match path {
            "b/joins.rs" => "#[tokio::test]\nasync fn a_join() {}".to_owned(),
            "a/ends.rs" => "#[test]\nfn an_end() {}".to_owned(),
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

    #[test]
    fn only_tests_are_tests() {
        let check = |path: &str, text: &str, expected: bool| {
            assert_eq!(has(path, "it_ends", text), expected, "{path}: {text}");
        };
        check("a.rs", "    #[test]\n    fn it_ends() {", true);
        check("a.rs", "#[tokio::test(x = 2)]\nasync fn it_ends() {", true);
        let attributes =
            "#[test]\n#[expect(\n    x,\n    reason = \"y\"\n)]\n// So.\nfn it_ends() {";
        check("a.rs", attributes, true);
        check("a.rs", "fn it_ends() {}", false);
        check("a.rs", "#[test]\nfn other() {\n}\nfn it_ends() {", false);
        check("a.rs", "#[test]\nfn other() {}\n\nfn it_ends() {", false);
        check("a.rs", "#[test]\n#[ignore = \"x\"]\nfn it_ends() {", false);
        check("a.rs", "#[test]\nfn it_ends_well() {", false);
        check("a.rs", "// #[test]\nfn it_ends() {", false);
        check("a.rs", "#[cfg(test)]\nfn it_ends() {", false);
        check("abuse/src/a.rs", "    name: \"it_ends\",", true);
        check(STEPS, "    name: \"it_ends\",", true);
        check("a.rs", "    name: \"it_ends\",", false);
        check("a.mjs", "for (x of y) test(\"it_ends\", ...", true);
        check("a.mjs", "it('it_ends', ...", true);
        check("a.mjs", "test.skip(\"it_ends\", ...", false);
        check("a.mjs", "submit(\"it_ends\")", false);
        check("a.mjs", "const name = \"it_ends\"", false);
    }
}
