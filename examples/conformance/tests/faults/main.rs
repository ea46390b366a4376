//! What becomes of a cluster of real processes, and of its clients, when a node or the bus is killed, stopped, cut off
//! or restarted under load.
//!
//! By default small and short; with `BENNU_FAULTS=long`, which `cargo xtask test --faults` sets, as large and as long as
//! docs/reliability.md says. What is promised is the same.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test says so by panicking, and tells its figures"
)]

mod client;
mod cluster;
mod crowd;
mod namespace;
mod network;
mod process;
mod proxy;
mod tests;
