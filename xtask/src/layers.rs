//! The river flows one way: which crate may know which, read off the dependency trees and the sources.

use std::fs;
use std::path::Path;

use crate::program::{Program, root};

/// What a crate may know of ours, and what it must never know of others.
struct Layer {
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

/// Values only: no runtime, no I/O.
const RUNTIMES: &[&str] = &[
    "tokio",
    "axum",
    "hyper",
    "hyper-util",
    "tower",
    "async-std",
    "mio",
];

const LAYERS: &[Layer] = &[
    Layer {
        name: "bennu-wire",
        ours: &[],
        never: RUNTIMES,
    },
    Layer {
        name: "bennu-websocket",
        ours: &[],
        never: RUNTIMES,
    },
    Layer {
        name: "bennu-pubsub",
        ours: &["bennu-wire"],
        never: &["axum", "hyper", "hyper-util", "tower"],
    },
    Layer {
        name: "bennu-redis",
        ours: &["bennu-pubsub", "bennu-wire"],
        never: &["axum", "hyper", "hyper-util", "tower"],
    },
    Layer {
        name: "bennu-nats",
        ours: &["bennu-pubsub", "bennu-wire"],
        never: &["axum", "hyper", "hyper-util", "tower"],
    },
    Layer {
        name: "bennu",
        ours: &["bennu-wire", "bennu-websocket", "bennu-pubsub"],
        never: &[],
    },
    Layer {
        name: "bennu-client",
        ours: &["bennu-wire"],
        never: &["axum"],
    },
];

/// The events that only the session knows.
const SESSION_EVENTS: [&str; 5] = ["join", "leave", "reply", "error", "close"];
/// Where they may stand as text: in the session, and in the clients of the test kit and of `bennu bench`, which are its
/// other side.
const SESSIONS: [&str; 3] = [
    "crates/bennu-cli/src/bench/wire.rs",
    "crates/bennu-wire/src/session",
    "crates/bennu/src/testing/wire.rs",
];

/// The error lists every crossing.
pub(crate) fn run() -> Result<(), String> {
    let mut crossings = Vec::new();
    for layer in LAYERS {
        let args = ["tree", "--edges", "normal", "--prefix", "none"];
        let args = [&args[..], &["--all-features", "--package", layer.name]].concat();
        let tree = Program::cargo(&args).output()?;
        let found = unwanted(layer, &tree);
        println!("{:16} {}", layer.name, verdict(&found));
        crossings.extend(
            found
                .iter()
                .map(|name| format!("{} uses {name}", layer.name)),
        );
    }
    let mut sources = Vec::new();
    collect(&root().join("crates"), &mut sources)?;
    let mut named = Vec::new();
    for (path, text) in &sources {
        if !SESSIONS.iter().any(|it| path.starts_with(it)) {
            let lines = session_events(text);
            named.extend(lines.iter().map(|line| format!("{path}:{line}")));
        }
    }
    println!("{:16} {}", "phx_ names", verdict(&named));
    crossings.extend(
        named
            .iter()
            .map(|place| format!("{place} names an event of the session")),
    );
    if crossings.is_empty() {
        return Ok(());
    }
    Err(format!("layers are crossed:\n  {}", crossings.join("\n  ")))
}

fn verdict(found: &[String]) -> String {
    if found.is_empty() {
        "ok".to_owned()
    } else {
        found.join(", ")
    }
}

/// The crates in `tree` (of `cargo tree --prefix none`) that this layer mustn't know.
fn unwanted(layer: &Layer, tree: &str) -> Vec<String> {
    let mut found: Vec<String> = tree
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| {
            let ours = *name == "bennu" || name.starts_with("bennu-");
            layer.never.contains(name) || (ours && !layer.ours.contains(name))
        })
        .map(str::to_owned)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The lines on which an event of the session stands as a string; comments and the tests at the end don't count.
fn session_events(text: &str) -> Vec<usize> {
    let code = text
        .lines()
        .take_while(|line| !line.contains("#[cfg(test)]"));
    code.zip(1..)
        .filter(|(line, _)| !line.trim_start().starts_with("//"))
        .filter(|(line, _)| {
            SESSION_EVENTS
                .iter()
                .any(|event| line.contains(&format!("\"phx_{event}")))
        })
        .map(|(_, number)| number)
        .collect()
}

/// Every source file below `folder` with its path from the root, tests left out, and what the fuzzer alone
/// compiles.
fn collect(folder: &Path, sources: &mut Vec<(String, String)>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} can't be read: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !["tests", "examples", "benches", "target"].contains(&name.as_str()) {
                collect(&path, sources)?;
            }
        } else if name.ends_with(".rs")
            && !["tests.rs", "fuzzing.rs"].contains(&name.as_str())
            && !name.ends_with("_tests.rs")
        {
            let text = fs::read_to_string(&path).map_err(failed)?;
            let from_root = path.strip_prefix(root()).unwrap_or(&path);
            sources.push((from_root.to_string_lossy().into_owned(), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_knows_only_what_it_may() {
        let layer = Layer {
            name: "bennu-pubsub",
            ours: &["bennu-wire"],
            never: &["axum"],
        };
        let check = |tree: &str, expected: &[&str]| assert_eq!(unwanted(&layer, tree), expected);
        check(
            "bennu-pubsub v0.1.0 (/x)\nbennu-wire v0.1.0 (/y)\nbytes v1.12.0",
            &[],
        );
        check("bennu-pubsub v0.1.0\naxum v0.8.9\ntower v0.5.0", &["axum"]);
        check(
            "bennu-pubsub v0.1.0\nbennu v0.1.0\nbennu v0.1.0 (*)",
            &["bennu"],
        );
        check("bennu-pubsub v0.1.0\naxum-core v0.5.0", &[]);
    }

    #[test]
    fn the_sessions_events_are_found_in_code_only() {
        let check = |text: &str, expected: &[usize]| assert_eq!(session_events(text), expected);
        check(r#"const JOIN: &str = "phx_join";"#, &[1]);
        check("let a = 1;\nlet b = r#\"[1,\"phx_reply\"]\"#;", &[2]);
        check(r#"/// assert_eq!(event, "phx_close");"#, &[]);
        check(r#"let event = "phx_drain"; // phx_join"#, &[]);
        check(
            "#[cfg(test)]\nmod tests { const A: &str = \"phx_error\"; }",
            &[],
        );
    }
}
