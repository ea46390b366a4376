//! The page of dependencies: each direct one of a published crate stands in it with its reason, and none that nobody uses.

use std::collections::HashSet;

/// What is missing from the page, or too much in it. `manifests` are the names of the published crates and the texts of
/// their Cargo.toml; `others` are the texts of those that aren't published.
pub(crate) fn check(page: &str, manifests: &[(String, String)], others: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let rows: Vec<Row<'_>> = page.lines().filter_map(row).collect();
    for (name, manifest) in manifests {
        let short = name.strip_prefix("bennu-").unwrap_or(name);
        let mut section = "";
        for line in manifest.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let Some(dependency) = dependency(line) else {
                continue;
            };
            if !section.ends_with("dependencies]") || dependency.starts_with("bennu") {
                continue;
            }
            let named = if section.contains("dev-dependencies") {
                // They have no reasons of their own, but stand in the text.
                dependency == "conformance" || page.contains(&format!("`{dependency}`"))
            } else {
                rows.iter()
                    .any(|row| row.crates.contains(&dependency) && row.is_for(name, short))
            };
            if !named {
                wrong.push(format!("{dependency} of {name} isn't there with a reason"));
            }
        }
    }
    let texts = manifests.iter().map(|(_, text)| text).chain(others);
    let used: HashSet<&str> = texts.clone().flat_map(|it| entries(it)).collect();
    let features: HashSet<&str> = texts.flat_map(|it| features(it)).collect();
    for row in &rows {
        if row.reason.is_empty() {
            wrong.push(format!("{:?} has no reason", row.crates));
        }
        for (name, at) in row.crates.iter().zip(0..) {
            // Behind the first may also stand features, and what is typed, in more than one word.
            let is_feature = at > 0 && (features.contains(name) || name.contains(' '));
            if !used.contains(name) && !is_feature {
                wrong.push(format!("nobody uses {name}"));
            }
        }
    }
    wrong
}

/// The names of all that a manifest depends on; the versions that a workspace gives aren't used by that alone.
fn entries(manifest: &str) -> impl Iterator<Item = &str> {
    let mut section = "";
    manifest.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with('[') {
            section = line;
            return None;
        }
        let counts = section.ends_with("dependencies]") && section != "[workspace.dependencies]";
        dependency(line).filter(|_| counts)
    })
}

/// What a manifest has between quotes: the features of what it depends on, and more.
fn features(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest.lines().filter(|it| !it.starts_with('#'));
    let quoted = lines.flat_map(|it| it.split('"').skip(1).step_by(2));
    // `crate/feature`.
    quoted.filter_map(|it| it.rsplit('/').next())
}

/// One row: the crates, which of ours use them, and why.
struct Row<'a> {
    crates: Vec<&'a str>,
    users: &'a str,
    reason: &'a str,
}

impl Row<'_> {
    fn is_for(&self, name: &str, short: &str) -> bool {
        let mut users = self
            .users
            .split(|it: char| !it.is_alphanumeric() && it != '-');
        users.any(|it| it == name || it == short || it == "all")
    }
}

/// A line of the table, whose first cell begins with code.
fn row(line: &str) -> Option<Row<'_>> {
    let inner = line.trim().strip_prefix("| `")?.strip_suffix('|')?;
    let mut cells = inner.splitn(3, '|');
    // The first piece of code has lost its first backtick.
    let crates = cells.next()?.split('`').step_by(2).collect();
    let (users, reason) = (cells.next()?, cells.next()?.trim());
    Some(Row {
        crates,
        users,
        reason,
    })
}

/// The name that a line of a manifest begins with.
fn dependency(line: &str) -> Option<&str> {
    let end = line.find(|it: char| !it.is_alphanumeric() && it != '-' && it != '_')?;
    let (name, rest) = line.split_at_checked(end)?;
    let is_entry = rest.starts_with(" =") || rest.starts_with(".workspace");
    (is_entry && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_dependency_has_a_row_for_the_crate_that_uses_it() {
        let page = "| Crate | Used by | Why |\n|--|--|--|\n\
            | `bytes` | all | they are |\n| `a`, `b-c` with `f` | wire, bennu-redis (`x`) | so |\n\ntests: `t`";
        let others = ["[dependencies]\nbytes = \"1\"\na.workspace = true\nb-c = { version = \"1\", features = [\"f\"] }"]
            .map(str::to_owned);
        let check = |name: &str, manifest: &str, expected: &[&str]| {
            let manifests = [(name.to_owned(), manifest.to_owned())];
            assert_eq!(
                super::check(page, &manifests, &others),
                expected,
                "{manifest}"
            );
        };
        let all = "[package]\nname = \"x\"\n[dependencies]\n# why\nbytes.workspace = true\nb-c = \"1\"\n\
            bennu-wire.workspace = true\n[dev-dependencies]\nt = { version = \"1\" }";
        check("bennu-wire", all, &[]);
        check("bennu-redis", all, &[]);
        check("bennu", all, &["b-c of bennu isn't there with a reason"]);
        check(
            "bennu-wire",
            "[target.'cfg(x)'.dependencies]\nd = \"1\"\n[dev-dependencies]\ne = \"1\"",
            &[
                "d of bennu-wire isn't there with a reason",
                "e of bennu-wire isn't there with a reason",
            ],
        );
        assert_eq!(
            super::check("| `a` | all | |", &[], &others),
            ["[\"a\"] has no reason"]
        );
    }

    #[test]
    fn a_row_for_what_nobody_uses_is_too_much() {
        let check = |page: &str, expected: &[&str]| {
            let manifest = "[package]\nname = \"gone\"\n[features]\nlate = [\"a/late\"]\n\
                [dependencies]\na = { version = \"1\", features = [\"f\"] }\nb.workspace = true\n\
                [workspace.dependencies]\nw = { version = \"1\", features = [\"given\"] }";
            assert_eq!(
                super::check(page, &[], &[manifest.to_owned()]),
                expected,
                "{page}"
            );
        };
        check("| `a` with `f`, `b` | bench | so |", &[]);
        check("| `a` (only with `--cfg a`) | bench | so |", &[]);
        check("| `a` (`late`, `given`) | bench | so |", &[]);
        check("| `w` | bench | so |", &["nobody uses w"]);
        check("| `f` | bench | so |", &["nobody uses f"]);
        check("| `late` | bench | so |", &["nobody uses late"]);
        check(
            "| `a`, `c` with `g` | bench | so |",
            &["nobody uses c", "nobody uses g"],
        );
    }
}
