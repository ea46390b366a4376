//! `bennu`, run as people run it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says so by panicking"
)]

mod commands;
mod generate;
mod listen;
mod new;
mod push;
mod server;
mod support;
