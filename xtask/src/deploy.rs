//! The files of docs/deploy fit the program that they start, and, where the tools are there, are what those can read.

use std::collections::BTreeSet;

use crate::program::Program;

const FOLDER: &str = "docs/deploy";
/// Who is started, by files in which only they are told options of ours.
const FILES: [&str; 3] = ["compose.yaml", "kubernetes.yaml", "Dockerfile"];
const OPTIONS: &str = "examples/conformance/src/options.rs";
/// Options of the broker, which is started by the same files.
const REDIS: [&str; 2] = ["--save", "--client-output-buffer-limit"];
/// Of what builds the program.
const BUILD: [&str; 3] = ["--release", "--bins", "--from"];
/// Of a file's first lines, which say how it is used.
const USAGE: [&str; 2] = ["--build", "--from-literal"];

/// Programs that read such files: their arguments, and what they need.
type Tool = (&'static str, &'static [&'static str]);
const TOOLS: [Tool; 3] = [
    (
        "docker",
        &["compose", "-f", "docs/deploy/compose.yaml", "config", "-q"],
    ),
    ("haproxy", &["-c", "-q", "-f", "docs/deploy/haproxy.cfg"]),
    (
        "kubernetes-validate",
        &["--strict", "--quiet", "docs/deploy/kubernetes.yaml"],
    ),
];

/// What is wrong. `read` is the text of a file of the repository.
pub(crate) fn check(read: impl Fn(&str) -> Result<String, String>) -> Result<Vec<String>, String> {
    let known = options(&read(OPTIONS)?);
    let mut wrong = Vec::new();
    for file in FILES {
        let path = format!("{FOLDER}/{file}");
        for option in unknown(&read(&path)?, &known) {
            wrong.push(format!("{path}: {OPTIONS} has no {option}"));
        }
    }
    let mut absent = Vec::new();
    for (name, args) in TOOLS {
        if !is_there(name) {
            absent.push(match name {
                "docker" => "docker compose",
                name => name,
            });
        } else if let Err(why) = Program::new(name, args)
            .env("BENNU_SECRET", "none")
            .output()
        {
            wrong.push(why);
        }
    }
    let seen_by = match absent.as_slice() {
        [] => String::new(),
        absent => format!(", without {}: not here", absent.join(" and ")),
    };
    println!("{FOLDER}{seen_by}");
    Ok(wrong)
}

fn is_there(name: &str) -> bool {
    let version: &[&str] = match name {
        // It may be there without its plugin.
        "docker" => &["compose", "version"],
        "haproxy" => &["-v"],
        _ => &["--version"],
    };
    Program::new(name, version).output().is_ok()
}

/// What clap makes of the fields of a struct that are marked as options.
fn options(source: &str) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        marked |= line.starts_with("#[arg(") && line.contains("long");
        if let Some((name, _)) = line.strip_prefix("pub ").and_then(|it| it.split_once(": "))
            && std::mem::take(&mut marked)
        {
            options.insert(format!("--{}", name.replace('_', "-")));
        }
    }
    options
}

/// The options in a file that nobody knows.
fn unknown(text: &str, known: &BTreeSet<String>) -> Vec<String> {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let words = text.split(is_end).filter(|it| {
        it.strip_prefix("--")
            .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
    });
    let foreign = [&REDIS[..], &BUILD, &USAGE].concat();
    words
        .filter(|it| !foreign.contains(it) && !known.contains(*it))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// Agrees to compress.
    #[arg(long)]
    pub idle_timeout_ms: u64,
    pub none: u64,
";

    #[test]
    fn options_are_what_clap_makes_of_fields() {
        let found: Vec<_> = options(SOURCE).into_iter().collect();
        assert_eq!(found, ["--idle-timeout-ms", "--port"]);
    }

    #[test]
    fn an_option_that_the_program_lacks_is_found() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(unknown(text, &options(SOURCE)), expected, "{text}");
        };
        check(r#"["--port", "4000", "--save", ""]"#, &[]);
        check(r#"["--prot", "4000", "--none=1"]"#, &["--prot", "--none"]);
        check("---\nb: x--y # -- z", &[]);
    }
}
