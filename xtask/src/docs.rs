//! What the documentation says of the repository is so: links lead somewhere, the guides' Rust is compiled, the table
//! of Phoenix's features is whole, that and the promises and limits name tests that exist, the table of the abuse suite has its
//! cases and bounds, each dependency has its reason, and the files of docs/deploy fit their program.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::program::root;
use crate::{abuse, dependencies, deploy, evidence, parity};

/// Where the examples of guides are made tests.
const DOCTESTS: &str = "crates/bennu/src/lib.rs";
const GUIDES: &str = "docs";
const PARITY: &str = "docs/phoenix-parity.md";
const RELIABILITY: &str = "docs/reliability.md";
/// Where the cases of its table are.
const ABUSE: &str = "abuse/src/cases/";
const LIMITS: &str = "docs/limits.md";
/// Where promises stand, each with what shows it.
const PROMISES: &str = "## Promises";
const DEPENDENCIES: &str = "docs/dependencies.md";

/// The error lists everything that is wrong.
pub(crate) fn run() -> Result<(), String> {
    let files = Files::collect()?;
    let mut wrong = Vec::new();
    let pages: Vec<&String> = files.0.iter().filter(|path| is_page(path)).collect();
    let doctests = read(DOCTESTS)?;
    for page in &pages {
        let text = read(page)?;
        for link in links(&text) {
            if let Err(why) = files.resolve(page, &link) {
                wrong.push(format!("{page}: {why}"));
            }
        }
        let compiled = doctests.contains(&format!("include_str!(\"../../../{page}\")"));
        if page.starts_with(GUIDES) && text.contains("\n```rust") && !compiled {
            wrong.push(format!("{page}: {DOCTESTS} doesn't include its examples"));
        }
    }
    println!("{} pages, their links and examples", pages.len());
    let read_test = |path: &str| read(path).unwrap_or_default();
    let (rows, mistakes) = parity::check(&read(PARITY)?, &files.0, read_test);
    println!("{rows} of Phoenix's features");
    wrong.extend(mistakes.iter().map(|why| format!("{PARITY}: {why}")));
    let (promises, mistakes) = evidence::check(&read(RELIABILITY)?, PROMISES, &files.0, read_test);
    println!("{promises} promises");
    wrong.extend(mistakes.iter().map(|why| format!("{RELIABILITY}: {why}")));
    let sources = files.0.iter().filter(|path| path.starts_with(ABUSE));
    let sources = sources
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let (cases, mistakes) = abuse::check(&read(RELIABILITY)?, &sources);
    println!("{cases} cases of abuse");
    wrong.extend(mistakes.iter().map(|why| format!("{RELIABILITY}: {why}")));
    let (limits, mistakes) = evidence::limits(&read(LIMITS)?, &files.0, read_test);
    println!("{limits} limits");
    wrong.extend(mistakes.iter().map(|why| format!("{LIMITS}: {why}")));
    let manifests = files.manifests()?;
    let others = files.other_manifests()?;
    let mistakes = dependencies::check(&read(DEPENDENCIES)?, &manifests, &others);
    println!("the dependencies of {} crates", manifests.len());
    wrong.extend(mistakes.iter().map(|why| format!("{DEPENDENCIES}: {why}")));
    wrong.extend(deploy::check(read)?);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the documentation isn't right:\n  {}",
        wrong.join("\n  ")
    ))
}

/// The pages that are looked at: those at the root and the guides.
fn is_page(path: &str) -> bool {
    let folder = folder(path);
    path.ends_with(".md") && (folder == Path::new("") || folder == Path::new(GUIDES))
}

/// Where a file is.
fn folder(path: &str) -> &Path {
    Path::new(path).parent().unwrap_or_else(|| Path::new(""))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path} can't be read: {error}"))
}

/// The paths of all files of the repository, from its root, that aren't made by tools.
struct Files(Vec<String>);

impl Files {
    fn collect() -> Result<Self, String> {
        let mut files = Vec::new();
        let mut folders = vec![root().to_path_buf()];
        while let Some(folder) = folders.pop() {
            let failed =
                |error: std::io::Error| format!("{} can't be read: {error}", folder.display());
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if !path.is_dir() {
                    let from_root = path.strip_prefix(root()).unwrap_or(&path);
                    files.push(from_root.to_string_lossy().into_owned());
                } else if !["target", "node_modules", ".git"].contains(&&*name) {
                    folders.push(path);
                }
            }
        }
        files.sort_unstable();
        Ok(Self(files))
    }

    /// The names of the published crates, and their manifests.
    fn manifests(&self) -> Result<Vec<(String, String)>, String> {
        let manifests = self.0.iter().filter_map(|path| {
            let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
            // Templates have manifests of their own.
            (!name.contains('/')).then(|| Ok((name.to_owned(), read(path)?)))
        });
        manifests.collect()
    }

    /// The texts of the manifests that aren't published, the workspace's among them, what other people's clients need aside.
    fn other_manifests(&self) -> Result<Vec<String>, String> {
        let folders = ["crates/", "tests/"];
        let others = self.0.iter().filter(|path| {
            let is_manifest = *path == "Cargo.toml" || path.ends_with("/Cargo.toml");
            is_manifest && !folders.iter().any(|it| path.starts_with(it))
        });
        others.map(|path| read(path)).collect()
    }

    /// Whether a link in `page` leads to a file, a folder, or a heading. Those to other sites aren't looked at.
    fn resolve(&self, page: &str, link: &str) -> Result<(), String> {
        if link.contains("://") || link.starts_with("mailto:") {
            return Ok(());
        }
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() {
            page.to_owned()
        } else {
            plain(&folder(page).join(path))
                .ok_or_else(|| format!("{link} leads out of the repository"))?
        };
        let folder = format!("{}/", target.trim_end_matches('/'));
        let is_file = self.0.contains(&target);
        if !is_file && !self.0.iter().any(|it| it.starts_with(&folder)) {
            return Err(format!("{link} leads nowhere"));
        }
        if !heading.is_empty() && !headings(&read(&target)?).iter().any(|it| it == heading) {
            return Err(format!("{link}: there is no such heading"));
        }
        Ok(())
    }
}

/// A path without `.` and `..`; `None` where it leads out of the root.
fn plain(path: &Path) -> Option<String> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if !plain.pop() => return None,
            Component::ParentDir => {}
            other => plain.push(other),
        }
    }
    Some(plain.to_string_lossy().into_owned())
}

/// The lines of a page that aren't code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The targets of `[text](target)`, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        // Every other piece between backticks is code.
        let line: String = line.split('`').step_by(2).collect();
        for rest in line.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                links.push(target.to_owned());
            }
        }
    }
    links
}

/// What a page's headings are called in links.
fn headings(text: &str) -> Vec<String> {
    let titles = prose(text).filter(|line| line.starts_with('#'));
    let slug = |title: &str| {
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    titles.map(slug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let check = |text: &str, expected: &[&str]| assert_eq!(links(text), expected);
        check("see [a](a.md) and [`b`](../b.md#c)", &["a.md", "../b.md#c"]);
        check("![a picture](a.png), `[x](y)`", &["a.png"]);
        check("```rust\n#[a](b)\n```\n[c](d)", &["d"]);
    }

    #[test]
    fn links_lead_to_files_folders_and_headings() {
        let files = ["README.md", "docs/README.md", "docs/chat.png"].map(str::to_owned);
        let files = Files(files.to_vec());
        let check = |page: &str, link: &str, expected: Result<(), &str>| {
            let found = files.resolve(page, link);
            assert_eq!(found, expected.map_err(str::to_owned), "{link}");
        };
        check("README.md", "docs/", Ok(()));
        check("README.md", "docs/chat.png", Ok(()));
        check("docs/README.md", "../README.md", Ok(()));
        check("docs/README.md", "https://example.com/x", Ok(()));
        check("docs/README.md", "README.md#guides", Ok(()));
        check(
            "docs/README.md",
            "#no-such",
            Err("#no-such: there is no such heading"),
        );
        check("README.md", "chat.png", Err("chat.png leads nowhere"));
        check(
            "docs/README.md",
            "../../x.md",
            Err("../../x.md leads out of the repository"),
        );
    }

    #[test]
    fn a_heading_is_called_by_its_letters() {
        let check = |text: &str, expected: &[&str]| assert_eq!(headings(text), expected);
        check(
            "# What it's for\n## `connect`",
            &["what-its-for", "connect"],
        );
        check("```sh\n# a comment\n```\ntext", &[]);
    }
}
