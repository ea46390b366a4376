//! What the published crates say of themselves, and the Rust that they and their dependencies state.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::program::Program;

const KEYWORDS_MAX: usize = 5;
const KEYWORD_BYTES_MAX: usize = 20;

/// Those of the registry's categories that ours may be in; it refuses others.
const CATEGORIES: [&str; 9] = [
    "asynchronous",
    "command-line-utilities",
    "concurrency",
    "development-tools",
    "encoding",
    "network-programming",
    "parser-implementations",
    "web-programming",
    "web-programming::websocket",
];

/// Features for ourselves alone, which documentation needn't show.
const INNER_FEATURES: [&str; 2] = ["default", "fuzzing"];

/// Where a manifest tells docs.rs to show all features.
const SHOWN: &str = "/metadata/docs/rs/all-features";

/// The names of the published crates, when their manifests are as they should be.
pub(super) fn check() -> Result<Vec<String>, String> {
    let args = ["metadata", "--format-version", "1", "--all-features"];
    let args = [&args[..], &["--locked"]].concat();
    let metadata = Program::cargo(&args).output()?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| format!("what `cargo metadata` says can't be read: {error}"))?;
    let tree = Tree::of(&metadata);
    let mut wrong: Vec<String> = tree.published.iter().flat_map(|it| flaws(it)).collect();
    let rust = tree.rust_versions();
    wrong.extend(rust.newer);
    if !wrong.is_empty() {
        return Err(format!(
            "these can't be published:\n  {}",
            wrong.join("\n  ")
        ));
    }
    let names: Vec<String> = tree.published.iter().map(|it| text(it, "name")).collect();
    println!("{} crates: {}", names.len(), names.join(", "));
    println!(
        "{} of their {} dependencies state a Rust, {} at most",
        rust.stated, rust.dependencies, rust.newest
    );
    Ok(names)
}

/// Packages, and who depends on whom.
struct Tree<'a> {
    packages: HashMap<&'a str, &'a Value>,
    nodes: HashMap<&'a str, &'a Value>,
    published: Vec<&'a Value>,
}

/// Which Rust is wanted.
#[derive(Debug, PartialEq, Eq)]
struct RustVersions {
    /// How many packages are needed, and how many of them state a Rust.
    dependencies: usize,
    stated: usize,
    /// Of those that are stated.
    newest: String,
    /// What states a newer one than a crate of ours that needs it.
    newer: Vec<String>,
}

impl<'a> Tree<'a> {
    fn of(metadata: &'a Value) -> Self {
        let by_id = |list: &'a Value| {
            let entries = items(list).filter_map(|it| Some((it["id"].as_str()?, it)));
            entries.collect::<HashMap<_, _>>()
        };
        let packages = by_id(&metadata["packages"]);
        let members = items(&metadata["workspace_members"]).filter_map(Value::as_str);
        let members = members.filter_map(|id| packages.get(id).copied());
        // `publish = false` is an empty list of registries; where nothing is said it's null.
        let published = members.filter(|it| it["publish"].is_null());
        Self {
            published: published.collect(),
            nodes: metadata
                .pointer("/resolve/nodes")
                .map(by_id)
                .unwrap_or_default(),
            packages,
        }
    }

    /// What is stated by the packages that the published crates need, those for their tests aside.
    fn rust_versions(&self) -> RustVersions {
        let mut all = HashSet::new();
        let (mut stated, mut newest) = (0, String::new());
        let mut newer = Vec::new();
        for ours in &self.published {
            let (name, our_version) = (text(ours, "name"), text(ours, "rust_version"));
            for id in self.needs(ours) {
                let Some(package) = self.packages.get(id) else {
                    continue;
                };
                let wants = text(package, "rust_version");
                if release(&wants) > release(&our_version) {
                    let (needed, version) = (text(package, "name"), text(package, "version"));
                    newer.push(format!(
                        "{name} states Rust {our_version}, and needs {needed} {version}, which states {wants}"
                    ));
                }
                if all.insert(id) && !wants.is_empty() {
                    stated += 1;
                    if release(&wants) > release(&newest) {
                        newest = wants;
                    }
                }
            }
        }
        RustVersions {
            dependencies: all.len(),
            stated,
            newest,
            newer,
        }
    }

    /// The ids of what is compiled for those who use a package.
    fn needs(&self, package: &'a Value) -> HashSet<&'a str> {
        let mut found = HashSet::new();
        let mut left: Vec<&str> = package["id"].as_str().into_iter().collect();
        while let Some(node) = left.pop().and_then(|id| self.nodes.get(id)) {
            for dependency in items(&node["deps"]) {
                let mut kinds = items(&dependency["dep_kinds"]);
                if kinds.all(|it| it["kind"] == "dev") {
                    continue;
                }
                if let Some(id) = dependency["pkg"].as_str()
                    && found.insert(id)
                {
                    left.push(id);
                }
            }
        }
        found
    }
}

/// What is wrong with a crate's manifest.
fn flaws(package: &Value) -> Vec<String> {
    let mut flaws = Vec::new();
    for field in ["description", "license", "readme", "rust_version"] {
        if text(package, field).is_empty() {
            flaws.push(format!("no {field}"));
        }
    }
    let keywords: Vec<&str> = items(&package["keywords"])
        .filter_map(Value::as_str)
        .collect();
    if keywords.is_empty() || keywords.len() > KEYWORDS_MAX {
        flaws.push(format!("{} keywords", keywords.len()));
    }
    let is_plain = |it: &str| {
        it.starts_with(|c: char| c.is_ascii_alphanumeric())
            && it.len() <= KEYWORD_BYTES_MAX
            && it
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c))
    };
    let strange = keywords.iter().filter(|it| !is_plain(it));
    flaws.extend(strange.map(|it| format!("keyword {it:?}")));
    let categories: Vec<&str> = items(&package["categories"])
        .filter_map(Value::as_str)
        .collect();
    if categories.is_empty() || categories.len() > KEYWORDS_MAX {
        flaws.push(format!("{} categories", categories.len()));
    }
    let unknown = categories.iter().filter(|it| !CATEGORIES.contains(it));
    flaws.extend(unknown.map(|it| format!("category {it:?}, which isn't known here")));
    let features = package["features"].as_object().into_iter().flatten();
    let mut features = features.map(|(name, _)| name.as_str());
    let has_features = features.any(|it| !INNER_FEATURES.contains(&it));
    if has_features && package.pointer(SHOWN) != Some(&Value::Bool(true)) {
        flaws.push("features, and docs.rs isn't told to show them".into());
    }
    for dependency in items(&package["dependencies"]) {
        let ours = text(dependency, "name").starts_with("bennu");
        let needed = dependency["kind"] != "dev";
        if ours && needed && text(dependency, "req") != format!("^{}", text(package, "version")) {
            flaws.push(format!("{} in another version", text(dependency, "name")));
        }
    }
    let name = text(package, "name");
    flaws.iter().map(|it| format!("{name} has {it}")).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// A release of Rust, to be compared: 1.88 is 1.88.0.
fn release(version: &str) -> [u32; 3] {
    let mut numbers = version.split('.').map(|it| it.parse().unwrap_or(0));
    [(); 3].map(|()| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_says_what_a_crate_is() {
        let whole = json!({
            "name": "a", "version": "0.1.0", "description": "It is.", "license": "MIT", "readme": "README.md",
            "rust_version": "1.88", "keywords": ["phoenix"], "categories": ["encoding"], "features": {"tls": [], "default": []},
            "metadata": {"docs": {"rs": {"all-features": true}}},
            "dependencies": [
                {"name": "bennu-wire", "req": "^0.1.0", "kind": null},
                {"name": "bennu", "req": "*", "kind": "dev"},
                {"name": "other", "req": "^2", "kind": null},
            ],
        });
        let check = |field: &str, value: Value, expected: &[&str]| {
            let mut package = whole.clone();
            package[field] = value;
            assert_eq!(flaws(&package), expected, "{field}");
        };
        check("license", json!("MIT"), &[]);
        check("license", Value::Null, &["a has no license"]);
        check("readme", Value::Null, &["a has no readme"]);
        check("keywords", json!([]), &["a has 0 keywords"]);
        check(
            "keywords",
            json!(["two words"]),
            &["a has keyword \"two words\""],
        );
        check("categories", json!(["encoding", "asynchronous"]), &[]);
        check("categories", json!([]), &["a has 0 categories"]);
        check(
            "metadata",
            Value::Null,
            &["a has features, and docs.rs isn't told to show them"],
        );
        check("features", json!({"fuzzing": []}), &[]);
        check(
            "version",
            json!("0.2.0"),
            &["a has bennu-wire in another version"],
        );
        check(
            "categories",
            json!(["birds"]),
            &["a has category \"birds\", which isn't known here"],
        );
    }

    #[test]
    fn no_dependency_of_users_may_want_a_newer_rust() {
        let check = |kind: Value, wants: &str, expected: &[&str]| {
            let metadata = json!({
                "workspace_members": ["ours", "bench"],
                "packages": [
                    {"id": "ours", "name": "ours", "rust_version": "1.88", "publish": null},
                    {"id": "bench", "name": "bench", "rust_version": "1.88", "publish": []},
                    {"id": "near", "name": "near", "version": "2.0.0", "rust_version": "1.60"},
                    {"id": "far", "name": "far", "version": "1.0.0", "rust_version": wants},
                ],
                "resolve": {"nodes": [
                    {"id": "ours", "deps": [{"pkg": "near", "dep_kinds": [{"kind": null}]}]},
                    {"id": "bench", "deps": [{"pkg": "far", "dep_kinds": [{"kind": null}]}]},
                    {"id": "near", "deps": [{"pkg": "far", "dep_kinds": [{"kind": kind}]}]},
                    {"id": "far", "deps": []},
                ]},
            });
            let said = Tree::of(&metadata).rust_versions();
            assert_eq!(said.newer, expected, "{wants}");
            let needed = 1 + usize::from(kind != "dev");
            assert_eq!(said.dependencies, needed, "{wants}");
            // `near` states one; whether `far` does is what is tried.
            let stated = 1 + usize::from(kind != "dev" && !wants.is_empty());
            assert_eq!(said.stated, stated, "{wants}");
        };
        let newer = "ours states Rust 1.88, and needs far 1.0.0, which states 1.89.1";
        check(Value::Null, "1.89.1", &[newer]);
        check(json!("build"), "1.89.1", &[newer]);
        check(json!("dev"), "1.89.1", &[]);
        check(Value::Null, "1.88.0", &[]);
        check(Value::Null, "1.9", &[]);
        check(Value::Null, "", &[]);
    }
}
