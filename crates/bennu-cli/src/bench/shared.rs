//! What all connections of one worker have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::clock::now_ns;
use super::measure::Recorder;
use super::member::Command;
use super::plan::{Course, Plan, Share, Window};
use super::scenario::Scenario;
use super::wire::{Payload, quoted};

/// Pages of the recorder for each thread.
const PAGES_PER_THREAD: usize = 2;

/// One scenario as one worker runs it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) course: Course,
    pub(crate) share: Share,
    pub(crate) recorder: Recorder,
    pub(crate) payload: Payload,
    /// The event and the join's payload, as JSON.
    pub(crate) event: String,
    pub(crate) join_params: String,
    /// Pushes that wait for a reply.
    pub(crate) in_flight: AtomicI64,
    /// Commands that were given and count as something to be sent, and up to when all were.
    pub(crate) told: AtomicU64,
    pub(crate) told_ns: AtomicU64,
    /// When something came that was measured.
    pub(crate) last_ns: AtomicU64,
    warm_ns: AtomicU64,
    end_ns: AtomicU64,
    /// When each of this worker's clients was last meant to leave, and to come.
    changes: Vec<[AtomicU64; 2]>,
}

impl Shared {
    pub(crate) fn new(plan: Arc<Plan>, course: Course, share: Share) -> Self {
        let changes = share.connections().map(|_| Default::default()).collect();
        Self {
            recorder: Recorder::new(share.threads * PAGES_PER_THREAD),
            payload: Payload::new(&plan.payload, plan.payload_bytes),
            event: quoted(&course.event),
            join_params: plan.join_params.to_string(),
            in_flight: AtomicI64::new(0),
            told: AtomicU64::new(0),
            told_ns: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
            warm_ns: AtomicU64::new(u64::MAX),
            end_ns: AtomicU64::new(u64::MAX),
            plan,
            course,
            share,
            changes,
        }
    }

    pub(crate) fn set_window(&self, window: Window) {
        self.end_ns.store(window.end_ns, Ordering::Relaxed);
        self.warm_ns.store(window.warm_ns, Ordering::Relaxed);
    }

    /// Ends what is measured now, if it hasn't ended.
    pub(crate) fn cut_window(&self) {
        self.end_ns.fetch_min(now_ns(), Ordering::Relaxed);
    }

    pub(crate) fn window(&self) -> Window {
        Window {
            begin_ns: 0,
            warm_ns: self.warm_ns.load(Ordering::Relaxed),
            end_ns: self.end_ns.load(Ordering::Relaxed),
        }
    }

    /// Whether this is something to be sent that is measured: it ends as sent or as skipped.
    pub(crate) fn is_counted(&self, command: Command) -> bool {
        let due_ns = match command {
            Command::Push(due_ns) | Command::Change(due_ns, _) => due_ns,
            Command::Heartbeat(due_ns) if self.course.scenario == Scenario::Idle => due_ns,
            _ => return false,
        };
        self.window().is_measured(due_ns)
    }

    /// Notes when a client was meant to change its presence.
    pub(crate) fn note_change(&self, n: u64, joins: bool, at_ns: u64) {
        if let Some(change) = self.change(n, joins) {
            change.store(at_ns, Ordering::Relaxed);
        }
    }

    /// When the client was last meant to do so; 0 if it never was, or is another worker's.
    pub(crate) fn changed_ns(&self, n: u64, joins: bool) -> u64 {
        let change = self.change(n, joins);
        change.map_or(0, |it| it.load(Ordering::Relaxed))
    }

    fn change(&self, n: u64, joins: bool) -> Option<&AtomicU64> {
        let at = usize::try_from(n.checked_sub(self.share.first)?).ok()?;
        let [leaves, comes] = self.changes.get(at)?;
        Some(if joins { comes } else { leaves })
    }
}
