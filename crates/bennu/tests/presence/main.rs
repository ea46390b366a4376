//! Presences of channels. Cases follow Phoenix's `presence_test`.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says so by panicking"
)]

mod clients;
mod guest;
mod handler;
mod nodes;
#[path = "../support/mod.rs"]
mod support;
