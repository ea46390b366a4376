//! Locks and counters: the standard library's, or with `--cfg shuttle` those of `shuttle`, whose threads take turns in
//! whatever order a test wants (`tests/schedules.rs`).

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64},
};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64},
};
