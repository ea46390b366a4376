//! What a Rust user would take otherwise, as its own documentation has it used: the same messages, the same checks.

pub(crate) mod axum;
pub(crate) mod socketioxide;
