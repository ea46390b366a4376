//! `bennu`, run as people run it.

mod commands;
mod generate;
mod new;
mod support;
