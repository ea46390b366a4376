//! Whether the published crates could be published: what they may depend on, what they say of themselves, what is packed, and
//! the Rust that they state. With `--long` also whether what was packed builds, its documentation as docs.rs makes it, and what
//! became of the public API.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Program, target};

/// What the registry takes at most.
const CRATE_BYTES_MAX: u64 = 10_000_000;
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

/// What each crate has to bring along.
const PACKED: [&str; 5] = [
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "src/",
];
/// What it may have beside that.
const MAY_BE_PACKED: [&str; 7] = [
    ".cargo_vcs_info.json",
    "Cargo.lock",
    "Cargo.toml.orig",
    "clippy.toml",
    "examples/",
    "templates/",
    "tests/",
];

/// Features for ourselves alone, which documentation needn't show.
const INNER_FEATURES: [&str; 2] = ["default", "fuzzing"];

/// Where a manifest tells docs.rs to show all features.
const SHOWN: &str = "/metadata/docs/rs/all-features";

/// What compiles nothing.
pub(crate) fn run() -> Result<(), String> {
    let published = manifests()?;
    deny()?;
    lists(&published)?;
    package(&published, &["--no-verify"])
}

/// All of it; this compiles for some minutes.
pub(crate) fn long() -> Result<(), String> {
    let published = manifests()?;
    deny()?;
    lists(&published)?;
    package(&published, &[])?;
    docs_rs(&published)?;
    semver(&published)
}

/// The names of the published crates, when their manifests are as they should be.
fn manifests() -> Result<Vec<String>, String> {
    let args = ["metadata", "--format-version", "1", "--all-features"];
    let args = [&args[..], &["--locked"]].concat();
    let metadata = Program::cargo(&args).output()?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| format!("what `cargo metadata` says can't be read: {error}"))?;
    let tree = Tree::of(&metadata);
    let mut wrong: Vec<String> = tree.published.iter().flat_map(|it| flaws(it)).collect();
    let (count, newest, newer) = tree.rust_versions();
    wrong.extend(newer);
    if !wrong.is_empty() {
        return Err(format!(
            "these can't be published:\n  {}",
            wrong.join("\n  ")
        ));
    }
    let names: Vec<String> = tree.published.iter().map(|it| text(it, "name")).collect();
    println!("{} crates: {}", names.len(), names.join(", "));
    println!("their {count} dependencies want Rust {newest} at most");
    Ok(names)
}

/// Packages, and who depends on whom.
struct Tree<'a> {
    packages: HashMap<&'a str, &'a Value>,
    nodes: HashMap<&'a str, &'a Value>,
    published: Vec<&'a Value>,
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

    /// How many packages the published crates need, those for their tests aside; the newest Rust that one of them states; and
    /// those that state a newer one than a crate of ours that needs them.
    fn rust_versions(&self) -> (usize, String, Vec<String>) {
        let mut all = HashSet::new();
        let mut newest = "0".to_owned();
        let mut newer = Vec::new();
        for ours in &self.published {
            let (name, stated) = (text(ours, "name"), text(ours, "rust_version"));
            for id in self.needs(ours) {
                let Some(package) = self.packages.get(id) else {
                    continue;
                };
                let wants = text(package, "rust_version");
                if release(&wants) > release(&stated) {
                    let (needed, version) = (text(package, "name"), text(package, "version"));
                    newer.push(format!(
                        "{name} states Rust {stated}, and needs {needed} {version}, which states {wants}"
                    ));
                }
                if all.insert(id) && release(&wants) > release(&newest) {
                    newest = wants;
                }
            }
        }
        (all.len(), newest, newer)
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

/// Licences, duplicate versions and sources, by what deny.toml says. The list of advisories isn't asked: it's no registry's.
fn deny() -> Result<(), String> {
    if Program::cargo(&["deny", "--version"]).output().is_err() {
        println!(
            "LEFT OUT: licences and duplicates, since cargo-deny isn't here; `cargo xtask test --only release` installs it"
        );
        return Ok(());
    }
    let strict = ["-D", "unmatched-skip", "-D", "unnecessary-skip"];
    let args = [&["deny", "check", "--hide-inclusion-graph"], &strict[..]].concat();
    let args = [&args[..], &["licenses", "bans", "sources"]].concat();
    Program::cargo(&args).run()
}

/// Whether what would be packed is what should be.
fn lists(published: &[String]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for name in published {
        let args = ["package", "--list", "--allow-dirty", "--package", name];
        let list = Program::cargo(&args).output()?;
        wrong.extend(list_flaws(&list).iter().map(|it| format!("{name}: {it}")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("packages aren't whole:\n  {}", wrong.join("\n  ")))
}

/// What is missing from a list of packed files, and what shouldn't be in it.
fn list_flaws(list: &str) -> Vec<String> {
    let is = |file: &str, entry: &str| {
        file == entry || (entry.ends_with('/') && file.starts_with(entry))
    };
    let missing = PACKED
        .iter()
        .filter(|entry| !list.lines().any(|file| is(file, entry)));
    let missing = missing.map(|it| format!("{it} is missing"));
    let known = |file: &str| {
        let entries = PACKED.iter().chain(&MAY_BE_PACKED);
        entries.copied().any(|entry| is(file, entry))
    };
    let strange = list.lines().filter(|file| !known(file));
    missing
        .chain(strange.map(|it| format!("{it} is packed")))
        .collect()
}

/// Packs all published crates, and builds them from their packages unless `how` says otherwise.
fn package(published: &[String], how: &[&str]) -> Result<(), String> {
    let args = ["package", "--quiet", "--allow-dirty", "--locked"];
    let names = selected(published);
    let args = [&args[..], how, &names].concat();
    // It says of each crate that no address of a repository is known; there is none yet.
    Program::cargo(&args).run()?;
    let folder = target().join("package");
    for name in published {
        let file = format!("{name}-{}.crate", env!("CARGO_PKG_VERSION"));
        let bytes = fs::metadata(folder.join(&file))
            .map_err(|error| format!("{file} wasn't made: {error}"))?
            .len();
        println!("{file}: {} kB", bytes / 1_000);
        if bytes > CRATE_BYTES_MAX {
            return Err(format!("{file} has {bytes} bytes"));
        }
    }
    Ok(())
}

/// The documentation as docs.rs makes it, by a nightly Rust. What the `doc` step makes by this one is the same but for the marks
/// of features.
fn docs_rs(published: &[String]) -> Result<(), String> {
    let nightly = ["run", "nightly", "cargo"];
    let version = [&nightly[..], &["--version"]].concat();
    if Program::new("rustup", &version).output().is_err() {
        println!("LEFT OUT: documentation as docs.rs makes it, since no nightly Rust is here");
        return Ok(());
    }
    let names = selected(published);
    let doc = ["doc", "--no-deps", "--all-features", "--locked"];
    let args = [&nightly[..], &doc, &names].concat();
    Program::new("rustup", &args)
        .env("CARGO_TARGET_DIR", target().join("docs-rs"))
        .env("RUSTDOCFLAGS", "--cfg docsrs -D warnings")
        .run()
}

/// Whether the version says what became of the public API since the last release, or, before there is one, that it can be
/// read: then what is committed is compared with what is here.
fn semver(published: &[String]) -> Result<(), String> {
    let last = ["describe", "--tags", "--abbrev=0", "--match", "v*"];
    let last = Program::new("git", &last).output();
    let baseline = last.as_deref().map_or("HEAD", str::trim);
    println!("the public API, compared with {baseline}");
    let libraries: Vec<String> = published
        .iter()
        .filter(|it| *it != "bennu-cli")
        .cloned()
        .collect();
    let names = selected(&libraries);
    let args = [
        "semver-checks",
        "--baseline-rev",
        baseline,
        "--all-features",
    ];
    let folder = target().join("semver");
    forget(&folder)?;
    Program::cargo(&[&args[..], &names].concat())
        .env("CARGO_TARGET_DIR", folder)
        .run()
}

/// Has our crates built anew. What is here and what it's compared with are described in the same file, one after the other: cargo
/// would leave the one of the last run where it is.
fn forget(folder: &Path) -> Result<(), String> {
    let built = folder.join("debug/.fingerprint");
    // Without the folder nothing has been built yet.
    for entry in fs::read_dir(built).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("bennu") {
            fs::remove_dir_all(entry.path())
                .map_err(|error| format!("{} stays: {error}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// `--package` and the name, of each.
fn selected(names: &[String]) -> Vec<&str> {
    let selected = names.iter().flat_map(|it| ["--package", it.as_str()]);
    selected.collect()
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
            let (_, _, newer) = Tree::of(&metadata).rust_versions();
            assert_eq!(newer, expected, "{wants}");
        };
        let newer = "ours states Rust 1.88, and needs far 1.0.0, which states 1.89.1";
        check(Value::Null, "1.89.1", &[newer]);
        check(json!("build"), "1.89.1", &[newer]);
        check(json!("dev"), "1.89.1", &[]);
        check(Value::Null, "1.88.0", &[]);
        check(Value::Null, "1.9", &[]);
    }

    #[test]
    fn a_package_has_its_licences_and_nothing_strange() {
        let check = |list: &str, expected: &[&str]| {
            assert_eq!(list_flaws(&list.replace(' ', "\n")), expected, "{list}");
        };
        let whole = "Cargo.toml LICENSE-APACHE LICENSE-MIT README.md src/lib.rs tests/a/b.rs";
        check(whole, &[]);
        check(
            &whole.replace("LICENSE-MIT ", ""),
            &["LICENSE-MIT is missing"],
        );
        check(&whole.replace("src/lib.rs ", ""), &["src/ is missing"]);
        check(&format!("{whole} key.pem"), &["key.pem is packed"]);
        check(
            &format!("{whole} node_modules/a"),
            &["node_modules/a is packed"],
        );
    }
}
