//! The sessions of one mount.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::session::Session;

/// All that are alive, by id.
pub(crate) struct Sessions {
    max: usize,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    by_id: HashMap<u64, Arc<Session>>,
    last_id: u64,
}

impl Sessions {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            live: Mutex::default(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock().by_id.len() >= self.max
    }

    /// Adds a session, unless there are too many.
    pub(crate) fn begin(&self, begin: impl FnOnce(u64) -> Session) -> Option<Arc<Session>> {
        let mut live = self.lock();
        if live.by_id.len() >= self.max {
            return None;
        }
        // Nobody can guess a token, so the id may be guessed. Ids aren't used twice.
        live.last_id += 1;
        let id = live.last_id;
        let session = Arc::new(begin(id));
        live.by_id.insert(id, session.clone());
        Some(session)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.lock().by_id.get(&id).cloned()
    }

    pub(crate) fn remove(&self, id: u64) {
        let removed = self.lock().by_id.remove(&id);
        drop(removed);
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
