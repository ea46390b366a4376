//! The tracker: scripts in and out, a model beside it with clients that follow, and what joining costs.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says so by panicking"
)]

mod client;
mod cluster;
mod cost;
mod model;
mod roster;
mod script;
mod scripts;
