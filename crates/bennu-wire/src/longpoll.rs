//! Long-polling as values: what a client posts ([`Batch`]), and who waits for what is sent to it ([`Window`]).
//!
//! The messages themselves wait elsewhere; nothing here opens a request or reads a clock.

mod batch;
mod window;

pub use batch::{BATCH_ENTRIES_MAX, Batch, BatchError, Entry};
pub use window::{Settled, Ticket, Verdict, Window};
