//! Clusters of three to nine nodes whose network loses, delays, doubles and reorders messages, falls apart and
//! heals, and whose nodes crash, stall, leave and start again with clocks that are wrong. All from seeds.
//!
//! `SIMULATION_SEEDS=20000 cargo test -p bennu-pubsub --test simulation` runs as many, and
//! `SIMULATION_SEED=7` runs that one and prints what happens in it.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says so by panicking, and tells its story"
)]

mod cases;
mod chaos;
mod hostile;
mod laws;
mod node;
mod random;
mod world;
