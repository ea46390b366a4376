//! `bennu`, run as people run it.

mod commands;
mod generate;
mod listen;
mod new;
mod push;
mod server;
mod support;
