//! What a topic's members haven't been told yet.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{PresenceMeta, dot::Dot};

/// Changes of one topic since its last diff.
#[derive(Default)]
pub(super) struct Pending {
    /// When the window ends. `None` while there's none: the changes are told at the end of this very call.
    pub(super) until: Option<Instant>,
    /// The metas to tell of: their keys, and when they came in the tracker's count. Their text is in the topic.
    pub(super) joins: BTreeMap<Dot, (Arc<str>, u64)>,
    /// Metas that somebody may know of and that are gone.
    pub(super) leaves: Vec<(Arc<str>, PresenceMeta)>,
    /// When the topic was listed last, in the same count: who was shown a meta has to be told of its end, also
    /// when nobody was told of its beginning.
    pub(super) shown: u64,
    /// Whether a meta in `joins` may be in `leaves` as well: what another node tracks was hidden and came back.
    pub(super) back: bool,
    /// They are to be told when diffs have been published that wait already.
    pub(super) late: bool,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.joins.is_empty() && self.leaves.is_empty()
    }
}
