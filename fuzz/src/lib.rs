//! What must hold whatever bytes come: one function for each decoder, called with the same bytes by libFuzzer
//! (`fuzz/libfuzzer`), by the [program](../src/main.rs) that needs no other toolchain, and by the tests, which replay the
//! corpora. A function that returns has found nothing; otherwise it panics.
#![expect(clippy::panic, reason = "a finding is told by panicking")]

mod client;
mod cluster;
mod handshake;
mod input;
mod longpoll;
mod mutate;
#[path = "../../crates/bennu-pubsub/tests/simulation/node.rs"]
#[expect(
    dead_code,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "it's a simulation's, which needs more of it, and a finding is told by panicking"
)]
mod node;
mod parcel;
mod replica;
mod serializer;
mod session;
mod token;
mod websocket;

use std::path::PathBuf;

pub use input::Input;
pub use mutate::Mutator;

/// One decoder, and what is tried on it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also the name of its corpus.
    pub name: &'static str,
    /// Takes the bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "websocket",
        run: websocket::run,
    },
    Target {
        name: "inflate",
        run: websocket::inflate,
    },
    Target {
        name: "handshake",
        run: handshake::run,
    },
    Target {
        name: "text",
        run: serializer::text,
    },
    Target {
        name: "binary",
        run: serializer::binary,
    },
    Target {
        name: "session",
        run: session::run,
    },
    Target {
        name: "longpoll",
        run: longpoll::run,
    },
    Target {
        name: "token",
        run: token::run,
    },
    Target {
        name: "client-frames",
        run: client::run,
    },
    Target {
        name: "client",
        run: bennu_client::fuzzing::machine,
    },
    Target {
        name: "client-presence",
        run: bennu_client::fuzzing::roster,
    },
    Target {
        name: "replica",
        run: replica::bytes,
    },
    Target {
        name: "replicas",
        run: replica::operations,
    },
    Target {
        name: "cluster",
        run: cluster::run,
    },
    Target {
        name: "parcel",
        run: parcel::run,
    },
    Target {
        name: "relay",
        run: bennu::fuzzing::relay,
    },
];

/// The target of that name.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn target(name: &str) -> Target {
    let target = TARGETS.iter().find(|it| it.name == name);
    *target.unwrap_or_else(|| panic!("there is no target {name:?}"))
}

/// The corpus of a target: small inputs that have led somewhere, in the order of their names.
///
/// # Panics
///
/// When it can't be read.
#[must_use]
pub fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|it| panic!("{folder:?}: {it}"));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|it| it.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| std::fs::read(path).unwrap_or_else(|it| panic!("{path:?}: {it}"));
    paths.iter().map(read).collect()
}
