//! `cargo xtask test --only clients`: other people's clients for JavaScript, Python and Rust, as their registries have
//! them, against the conformance server. Which ones, and what is known of the rest, is in docs/clients.md.

use crate::program::{Program, target};
use crate::test::build;

const NPM: &str = "tests/clients/npm";
const PYPI: &str = "tests/clients/pypi";
const CRATES: &str = "tests/clients/crates";
/// Each in a virtualenv of its own, since they want different releases of the same library. Their pinned versions are in
/// a file of this name, their tests in one that is named after it.
const PYTHON: [&str; 3] = ["phxsocket", "phoenix-channels-python-client", "chunnel"];

/// Those for JavaScript and Python, or all of them: what those for Rust are built of takes minutes.
pub(crate) fn run(all: bool) -> Result<(), String> {
    build()?;
    npm()?;
    for client in PYTHON {
        python(client)?;
    }
    if all { crates() } else { Ok(()) }
}

fn npm() -> Result<(), String> {
    let ci = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    here(Program::new("npm", &ci).within(NPM)).run()?;
    here(Program::new("npm", &["test"]).within(NPM)).run()
}

fn python(client: &str) -> Result<(), String> {
    let folder = target().join("clients/pypi").join(client);
    let python = folder.join("bin/python");
    if !python.is_file() {
        let folder = folder.to_string_lossy();
        Program::new("python3", &["-m", "venv", "--clear", &folder]).run()?;
    }
    let python = python.to_string_lossy();
    let pinned = format!("{client}.txt");
    let pip = ["-m", "pip", "install", "--quiet", "--requirement", &pinned];
    let pip = Program::new(&python, &pip).within(PYPI);
    pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").run()?;
    let tests = format!("test_{}.py", client.replace('-', "_"));
    here(Program::new(&python, &["-B", &tests, "-v"]).within(PYPI)).run()
}

fn crates() -> Result<(), String> {
    let test = Program::cargo(&["test", "--locked"]).within(CRATES);
    here(test)
        .env("CARGO_TARGET_DIR", target().join("clients/crates"))
        .run()
}

/// Tells the tests where the server is.
fn here(program: Program) -> Program {
    program.env("BENNU_PROGRAMS", target().join("debug"))
}
