//! What a topic's members haven't been told yet.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::PresenceMeta;

/// Changes of one topic since its last diff.
#[derive(Default)]
pub(super) struct Pending {
    /// When the window ends. `None` while there's none: the changes are told at the end of this very call.
    pub(super) until: Option<Instant>,
    /// The keys of the metas to tell of by version. Their text is in the topic.
    pub(super) joins: BTreeMap<u64, Arc<str>>,
    /// Metas that somebody may know of and that are gone.
    pub(super) leaves: Vec<(Arc<str>, PresenceMeta)>,
    /// The newest version that was listed: who was shown a meta has to be told of its end, also when nobody
    /// was told of its beginning.
    pub(super) shown: u64,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.joins.is_empty() && self.leaves.is_empty()
    }
}
