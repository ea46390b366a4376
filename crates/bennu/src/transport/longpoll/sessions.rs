//! The sessions of one mount.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::session::Session;
use crate::runtime::Close;

/// How many sessions that have ended are remembered, for clients that come back and ask.
const ENDED_MAX: usize = 1024;
/// And for how long.
const ENDED_TIME_MAX: Duration = Duration::from_secs(30);

/// All that are alive, by id.
pub(crate) struct Sessions {
    max: usize,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    by_id: HashMap<u64, Arc<Session>>,
    last_id: u64,
    /// Those that the server closed, in the order they ended.
    ended: VecDeque<Ended>,
}

struct Ended {
    id: u64,
    close: Close,
    at: Instant,
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

    /// Why the server closed a session, if that isn't long ago.
    pub(crate) fn ended(&self, id: u64) -> Option<Close> {
        let live = self.lock();
        let ended = live.ended.iter().find(|it| it.id == id)?;
        (ended.at.elapsed() < ENDED_TIME_MAX).then(|| ended.close.clone())
    }

    /// A session is over. Its client, which may not poll just now, is told why when it asks.
    pub(crate) fn end(&self, id: u64, close: Option<Close>) {
        let removed = {
            let mut live = self.lock();
            let removed = live.by_id.remove(&id);
            if let (Some(_), Some(close)) = (&removed, close) {
                let at = Instant::now();
                let is_old = |it: &Ended| at - it.at >= ENDED_TIME_MAX;
                while live.ended.len() >= ENDED_MAX || live.ended.front().is_some_and(is_old) {
                    live.ended.pop_front();
                }
                live.ended.push_back(Ended { id, close, at });
            }
            removed
        };
        drop(removed);
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bennu_pubsub::PubSub;
    use bennu_wire::{Encoding, Framing, Serializer};
    use tokio::time::advance;

    use super::*;
    use crate::{
        Presence, PresenceOptions, SocketOptions,
        runtime::{Conn, Mount},
    };

    #[tokio::test(start_paused = true)]
    async fn why_sessions_ended_is_known_for_a_while_and_of_the_latest() {
        let pubsub = PubSub::new();
        let presence = Presence::new("presence", &pubsub, PresenceOptions::new());
        let options = SocketOptions::new();
        let mount = Arc::new(Mount::new("/socket".into(), options, pubsub, presence));
        let encoding = Encoding {
            serializer: Serializer::V2,
            framing: Framing::LongPoll,
        };
        let conn = Arc::new(Conn::new(mount, encoding, false));
        let sessions = Sessions::new(usize::MAX);
        let close = Close::new(1001, "disconnected");
        let begin_and_end = |close| {
            let mut last = 0;
            let session = sessions.begin(|id| {
                last = id;
                Session::new(id, "token".into(), conn.clone(), Duration::ZERO)
            });
            sessions.end(last, close);
            assert!(session.is_some());
        };
        begin_and_end(Some(close.clone()));
        begin_and_end(None);
        assert_eq!(sessions.ended(1), Some(close.clone()));
        assert_eq!(sessions.ended(2), None);
        // The second end of a session isn't news.
        sessions.end(2, Some(close.clone()));
        assert_eq!(sessions.ended(2), None);
        advance(ENDED_TIME_MAX).await;
        assert_eq!(sessions.ended(1), None);
        for _ in 0..=ENDED_MAX {
            begin_and_end(Some(close.clone()));
        }
        assert_eq!(sessions.lock().ended.len(), ENDED_MAX);
        assert_eq!(sessions.ended(3), None);
        assert_eq!(sessions.ended(4), Some(close));
    }
}
