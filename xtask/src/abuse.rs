//! The table of the abuse suite in docs/reliability.md: it has the suite's cases, each with what is sent, what must be seen and
//! how much memory it may take.

/// Over the table.
const HEADER: &str = "| Case | What is sent | What must be seen | MB at most |";

/// What is wrong with a page's table. `sources` are the texts that the cases are in.
pub(crate) fn check(page: &str, sources: &[String]) -> (usize, Vec<String>) {
    let rows = page.lines().skip_while(|line| *line != HEADER).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    let cases: Vec<String> = sources.iter().flat_map(|it| cases(it)).collect();
    let missing = cases.iter().filter(|it| !rows.contains(&it.as_str()));
    let missing = missing.map(|it| format!("this isn't in the table of the abuse suite: {it}"));
    let strange = rows.iter().filter(|row| !cases.iter().any(|it| it == *row));
    let strange = strange.map(|it| format!("there is no such case of abuse: {it}"));
    (cases.len(), missing.chain(strange).collect())
}

/// The cases of a source, as rows of the table. Fields stand in the order of the struct, each on a line of its own.
fn cases(source: &str) -> Vec<String> {
    let mut cases = Vec::new();
    let mut row = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(name) = quoted(line, "name: ") {
            row = format!("| {name} |");
        } else if let Some(text) = quoted(line, "sends: ").or_else(|| quoted(line, "must: ")) {
            row = format!("{row} {text} |");
        } else if let Some(factors) = line.strip_prefix("growth_mb_max: ") {
            let factors = factors.trim_end_matches(',').split('*');
            let bound: u64 = factors.map(|it| it.trim().parse().unwrap_or(0)).product();
            cases.push(format!("{row} {bound} |"));
        }
    }
    cases
}

/// The text of a field that is a string.
fn quoted(line: &str, field: &str) -> Option<String> {
    let text = line.strip_prefix(field)?.strip_prefix('"')?;
    Some(text.strip_suffix("\",")?.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_cases_and_their_bounds() {
        let source = "Case {\n  name: \"joins\",\n  sends: \"much\",\n  must: \"say \\\"no\\\"\",\n  \
            options: &[\"-a\"],\n  // Twice.\n  growth_mb_max: 2 * 12,\n  waits: false,\n}";
        let check = |rows: &str, expected: &[&str]| {
            let page = format!(
                "# It\n| joins | x |\n\n{HEADER}\n|:--|:--|:--|--:|\n{rows}\n\n| no | row |"
            );
            assert_eq!(
                check(&page, &[source.to_owned()]),
                (1, expected.iter().map(|it| (*it).to_owned()).collect()),
                "{rows}"
            );
        };
        let right = "| joins | much | say \"no\" | 24 |";
        let missing =
            "this isn't in the table of the abuse suite: | joins | much | say \"no\" | 24 |";
        check(right, &[]);
        check("", &[missing]);
        check(
            "| joins | much | say \"no\" | 25 |",
            &[
                missing,
                "there is no such case of abuse: | joins | much | say \"no\" | 25 |",
            ],
        );
        check(
            &format!("{right}\n| leaves | x | y | 1 |"),
            &["there is no such case of abuse: | leaves | x | y | 1 |"],
        );
    }
}
