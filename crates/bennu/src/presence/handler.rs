//! What applications add to presences, off the path of those who come and go.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bennu_pubsub::{
    PubSub,
    tracker::{PresenceDiff, Presences},
};
use bennu_wire::Topic;
use futures_util::{
    FutureExt,
    future::{BoxFuture, join},
};

use super::tell;
use crate::{Result, runtime::discard};

/// How long a callback may take. Then the diff goes out with what was added so far.
const CALLBACK_MS_MAX: u64 = 5_000;
/// Diffs of one topic that wait for its callbacks. A further one is merged into the last of them.
const QUEUE_DIFFS_MAX: usize = 64;

/// What an application adds to presences. Phoenix's callbacks of `use Phoenix.Presence`.
///
/// The callbacks for the diffs of one topic run one after the other in a task of their own, so a slow one
/// delays these diffs and nobody who comes or goes. A callback that fails, panics or takes more than five
/// seconds is logged, and the diff goes out with what was added so far. While 64 diffs of a topic wait, what
/// follows is merged into one.
///
/// ```
/// use bennu::{Endpoint, PresenceHandler, Presences, Result, Topic};
///
/// struct WithNames;
///
/// impl PresenceHandler for WithNames {
///     async fn fetch(&self, _: &Topic, presences: &mut Presences) -> Result<()> {
///         // One query for all keys belongs here.
///         for (key, entry) in presences.iter_mut() {
///             entry.put("name", &key.to_uppercase())?;
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// let endpoint = Endpoint::new(()).presence_handler(WithNames);
/// let robot = endpoint.presence().member();
/// robot.track("room:7", "robot", &())?;
/// let present = endpoint.presence().list("room:7").await;
/// assert_eq!(present.get("robot").and_then(|it| it.field::<String>("name")).as_deref(), Some("ROBOT"));
/// # Ok(()) }
/// ```
pub trait PresenceHandler: Send + Sync + 'static {
    /// Adds fields to presences before clients see them, as from a database: the fields stand beside `metas`.
    ///
    /// It is called once for each list, and once for the joins and once for the leaves of each diff, when
    /// there are any. By default nothing is added.
    fn fetch(
        &self,
        topic: &Topic,
        presences: &mut Presences,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (topic, presences);
        async { Ok(()) }
    }

    /// Follows who comes and goes, as a client on the server. It is called for each diff, after clients were
    /// told. `diff.joins` and `diff.leaves` have what `fetch` added; `diff.after` has all metas that the keys
    /// of both have now. By default nothing happens.
    fn handle_metas(&self, diff: &PresenceDiff) -> impl Future<Output = Result<()>> + Send {
        let _ = diff;
        async { Ok(()) }
    }
}

/// A handler of any type.
pub(super) trait Erased: Send + Sync {
    fn fetch<'a>(
        &'a self,
        topic: &'a Topic,
        presences: &'a mut Presences,
    ) -> BoxFuture<'a, Result<()>>;
    fn handle_metas<'a>(&'a self, diff: &'a PresenceDiff) -> BoxFuture<'a, Result<()>>;
}

impl<H: PresenceHandler> Erased for H {
    fn fetch<'a>(
        &'a self,
        topic: &'a Topic,
        presences: &'a mut Presences,
    ) -> BoxFuture<'a, Result<()>> {
        // Called inside of the future, so that a panic anywhere is one of the future.
        Box::pin(async move { PresenceHandler::fetch(self, topic, presences).await })
    }

    fn handle_metas<'a>(&'a self, diff: &'a PresenceDiff) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { PresenceHandler::handle_metas(self, diff).await })
    }
}

/// Has a handler add to presences.
pub(super) async fn fetched(handler: &dyn Erased, topic: &Topic, presences: &mut Presences) {
    if !presences.is_empty() {
        guarded("fetch", topic, handler.fetch(topic, presences)).await;
    }
}

/// The tasks that take diffs to a handler and on to clients: one for each topic that has some.
pub(super) struct Workers {
    pubsub: PubSub,
    handler: Arc<dyn Erased>,
    /// What waits for the task of its topic. A topic is here while it has a task.
    queues: Mutex<HashMap<Topic, VecDeque<PresenceDiff>>>,
}

impl Workers {
    pub(super) fn new(pubsub: PubSub, handler: Arc<dyn Erased>) -> Self {
        Self {
            pubsub,
            handler,
            queues: Mutex::default(),
        }
    }

    pub(super) fn take(self: &Arc<Self>, diff: PresenceDiff) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // As when a member is dropped after its runtime: nobody can wait for a callback.
            return tell(&self.pubsub, &diff);
        };
        match self.queues().entry(diff.topic.clone()) {
            Entry::Occupied(queue) => {
                let queue = queue.into_mut();
                let full = queue.len() >= QUEUE_DIFFS_MAX;
                match queue.back_mut().filter(|_| full) {
                    Some(last) => last.merge(diff),
                    None => queue.push_back(diff),
                }
                return;
            }
            Entry::Vacant(queue) => queue.insert(VecDeque::new()),
        };
        let work = Work {
            workers: self.clone(),
            topic: diff.topic.clone(),
            done: false,
        };
        runtime.spawn(work.run(diff));
    }

    fn next(&self, topic: &Topic) -> Option<PresenceDiff> {
        let mut queues = self.queues();
        let next = queues.get_mut(topic)?.pop_front();
        if next.is_none() {
            queues.remove(topic);
        }
        next
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Topic, VecDeque<PresenceDiff>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task of one topic does.
struct Work {
    workers: Arc<Workers>,
    topic: Topic,
    done: bool,
}

impl Work {
    async fn run(mut self, first: PresenceDiff) {
        let (handler, topic) = (&*self.workers.handler, &self.topic);
        let mut next = Some(first);
        while let Some(mut diff) = next {
            let PresenceDiff { joins, leaves, .. } = &mut diff;
            join(
                fetched(handler, topic, joins),
                fetched(handler, topic, leaves),
            )
            .await;
            tell(&self.workers.pubsub, &diff);
            guarded("handle_metas", topic, handler.handle_metas(&diff)).await;
            next = self.workers.next(topic);
        }
        self.done = true;
    }
}

impl Drop for Work {
    /// When its runtime ends before it's done, clients are told without the handler.
    fn drop(&mut self) {
        if !self.done {
            let waiting = self.workers.queues().remove(&self.topic);
            for diff in waiting.into_iter().flatten() {
                tell(&self.workers.pubsub, &diff);
            }
        }
    }
}

/// Waits for a callback, whatever it does.
async fn guarded(callback: &str, topic: &Topic, call: BoxFuture<'_, Result<()>>) {
    let call = AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(Duration::from_millis(CALLBACK_MS_MAX), call).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => {
            tracing::error!(%topic, callback, %error, "a callback of a presence failed");
        }
        Ok(Err(panic)) => {
            discard(panic);
            tracing::error!(%topic, callback, "a callback of a presence panicked");
        }
        Err(_) => {
            tracing::error!(%topic, callback, ms = CALLBACK_MS_MAX, "a callback of a presence took too long");
        }
    }
}
