//! A session that its task, its polls, its posts and those who send to it hold at once, in a hundred thousand orders each
//! (`SCHEDULES`), as `runtime/schedules.rs` has it for the outbox. A wake-up that is lost leaves a poll, a post or the task
//! asleep for ever, which `shuttle` reports as a deadlock: no clock runs here, so that no window ever ends.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bennu_pubsub::PubSub;
use bennu_wire::{Encoding, Frame, Framing, Serializer, longpoll::Entry};
use bytes::Bytes;
use shuttle::{
    future::{JoinHandle, block_on, spawn},
    thread,
};

use super::{
    polling::Polling,
    session::{NotHandled, Session, Task},
    sessions::Sessions,
};
use crate::{
    Presence, PresenceOptions, Reason, SocketOptions,
    runtime::{Close, Conn, Driver, Mount},
    transport::delivery::Delivered,
};

/// Longer than any order takes.
const WINDOW: Duration = Duration::from_secs(3_600);
/// What two threads send, or post.
const TEXTS: [[&str; 2]; 2] = [["a1", "a2"], ["b1", "b2"]];

/// Takes down what is posted. Its own lock is the standard library's: nobody is scheduled while it's held.
struct Notebook(Arc<Mutex<Vec<String>>>);

impl Driver for Notebook {
    fn receive(
        &mut self,
        frame: Frame<'_>,
        _: &Arc<Conn>,
        _: &mut Context<'_>,
    ) -> Result<(), Close> {
        if let Frame::Text(text) = frame {
            self.0.lock().unwrap().push(text.to_owned());
        }
        Ok(())
    }

    fn poll(&mut self, _: &Arc<Conn>, _: &mut Context<'_>) {}

    fn poll_close(&mut self, _: Reason, _: &Arc<Conn>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A session whose task runs.
struct Stage {
    session: Arc<Session>,
    task: JoinHandle<()>,
    handled: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new() -> Self {
        let pubsub = PubSub::new();
        let presence = Presence::new("test", &pubsub, PresenceOptions::new());
        let mount = Mount::new(String::new(), SocketOptions::new(), pubsub, presence);
        let mount = Arc::new(mount);
        let encoding = Encoding {
            serializer: Serializer::V2,
            framing: Framing::LongPoll,
        };
        let conn = Arc::new(Conn::new(mount.clone(), encoding, false));
        let sessions = Arc::new(Sessions::new(1));
        let session = sessions.begin(|id| Session::new(id, "token".into(), conn, WINDOW));
        let session = session.unwrap();
        let seat = mount.reserve(None).ok().unwrap();
        let handled = Arc::default();
        let driver = Notebook(Arc::clone(&handled));
        let task = spawn(Task::new(session.clone(), seat, sessions, driver));
        Self {
            session,
            task,
            handled,
        }
    }

    /// Closes the session. Its task ends, and who polls now is told that there is nothing any more.
    fn end(self) {
        self.session.conn.close(Close::new(1001, "disconnected"));
        block_on(async {
            self.task.await.unwrap();
            assert!(self.session.poll().messages().await.is_none());
        });
    }
}

/// Runs a script within a runtime whose clock nobody moves.
fn check(script: fn()) {
    let schedules = std::env::var("SCHEDULES");
    let schedules = schedules.ok().and_then(|it| it.parse().ok());
    let schedules = schedules.unwrap_or(100_000);
    let script = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        // All threads of a schedule take turns on one real thread, so this holds for all of them.
        let _within = runtime.enter();
        script();
    };
    shuttle::check_random(script, schedules / 2);
    shuttle::check_pct(script, schedules / 2, 3);
}

/// What becomes of an answer.
#[derive(Clone, Copy)]
enum Fate {
    /// It is written to its end, and that is known at once.
    Written,
    /// It's handed over to its end, and it's known later that it has left.
    Sent,
    /// The client hangs up before it is read.
    Lost,
    /// The client hangs up once it has read it, so that the same comes once more.
    Unheard,
}

/// The messages of an answer that its client read. None when the poll has ended without.
async fn answer(polling: Polling, fate: Fate) -> Option<Vec<String>> {
    let load = polling.messages().await?;
    let mut read = Vec::new();
    for index in 0..load.messages {
        // A later poll may have taken over.
        let Some(message) = polling.message(index) else {
            return Some(Vec::new());
        };
        read.push(String::from_utf8(message.to_vec()).unwrap());
    }
    match fate {
        Fate::Written => polling.written(),
        Fate::Sent => {
            polling.leave();
            Box::new(polling).received();
        }
        Fate::Lost => read.clear(),
        Fate::Unheard => {}
    }
    Some(read)
}

fn speak(session: &Arc<Session>) -> Vec<thread::JoinHandle<()>> {
    let speakers = TEXTS.map(|texts| {
        let conn = session.conn.clone();
        thread::spawn(move || {
            for text in texts {
                conn.send(Bytes::from_static(text.as_bytes()));
            }
        })
    });
    speakers.into()
}

/// Whether each thread's texts are there, in its order.
fn check_texts(heard: &[String]) {
    assert_eq!(heard.len(), TEXTS.concat().len(), "{heard:?}");
    for texts in TEXTS {
        let own = heard.iter().filter(|it| it.starts_with(&texts[0][..1]));
        assert!(own.eq(texts.iter()), "{heard:?}");
    }
}

fn deliver(fates: &[Fate]) {
    let stage = Stage::new();
    let speakers = speak(&stage.session);
    let mut heard: Vec<String> = Vec::new();
    block_on(async {
        let mut fates = fates.iter().copied();
        while heard.len() < TEXTS.concat().len() {
            let fate = fates.next().unwrap_or(Fate::Written);
            let read = answer(stage.session.poll(), fate).await.unwrap();
            if !matches!(fate, Fate::Unheard) {
                heard.extend(read);
            }
        }
    });
    check_texts(&heard);
    for speaker in speakers {
        speaker.join().unwrap();
    }
    stage.end();
}

#[test]
fn a_polling_client_hears_everything_once_and_in_order() {
    check(|| deliver(&[]));
    check(|| deliver(&[Fate::Sent, Fate::Sent, Fate::Sent]));
}

#[test]
fn what_a_poll_that_hung_up_was_answered_is_the_next_ones() {
    check(|| deliver(&[Fate::Lost, Fate::Unheard, Fate::Sent, Fate::Lost]));
}

#[test]
fn two_polls_at_once_lose_nothing_and_neither_sleeps_for_ever() {
    check(|| {
        let stage = Stage::new();
        let speakers = speak(&stage.session);
        let heard = Arc::new(Mutex::new(BTreeSet::new()));
        let polls = [Fate::Written, Fate::Sent].map(|fate| {
            let (session, heard) = (stage.session.clone(), heard.clone());
            thread::spawn(move || hear(&session, fate, &heard, 3))
        });
        for speaker in speakers {
            speaker.join().unwrap();
        }
        // It ends those that wait, and they it, but not for ever.
        hear(&stage.session, Fate::Written, &heard, usize::MAX);
        for poll in polls {
            poll.join().unwrap();
        }
        let heard: Vec<String> = heard.lock().unwrap().iter().cloned().collect();
        assert_eq!(heard, TEXTS.concat());
        stage.end();
    });
}

/// Polls until everything is heard, which ends the session, or so many times. Nobody is scheduled while the standard
/// library's lock is held.
fn hear(session: &Arc<Session>, fate: Fate, heard: &Mutex<BTreeSet<String>>, polls_max: usize) {
    block_on(async {
        for _ in 0..polls_max {
            let read = answer(session.poll(), fate).await;
            if read.is_none() && session.conn.is_closing() {
                return;
            }
            let all = {
                let mut heard = heard.lock().unwrap();
                // An answer that another poll takes over may have been read, and comes twice.
                heard.extend(read.into_iter().flatten());
                heard.len() == TEXTS.concat().len()
            };
            if all {
                session.conn.close(Close::new(1001, "disconnected"));
            }
        }
    });
}

#[test]
fn what_is_posted_is_handled_in_order_or_its_sender_is_told() {
    check(|| {
        let stage = Stage::new();
        let posters = TEXTS.map(|texts| {
            let session = stage.session.clone();
            thread::spawn(move || block_on(post(&session, &texts)))
        });
        let closer = stage.session.clone();
        let closer = thread::spawn(move || closer.conn.close(Close::new(1001, "disconnected")));
        let told = posters.map(|it| it.join().unwrap());
        closer.join().unwrap();
        let handled = stage.handled.lock().unwrap().clone();
        for (texts, told) in TEXTS.iter().zip(told) {
            let own = handled.iter().filter(|it| it.starts_with(&texts[0][..1]));
            let own: Vec<&str> = own.map(String::as_str).collect();
            // One may be handled whose sender is told that the session is gone.
            assert!(
                texts.starts_with(&own) && own.len() <= told + 1,
                "{handled:?}"
            );
            assert!(own.len() >= told, "{told} of {own:?}");
        }
        stage.end();
    });
}

/// How many of the texts are handled before the session is gone.
async fn post(session: &Session, texts: &[&str]) -> usize {
    for (at, text) in texts.iter().enumerate() {
        match session.post(Entry::Text((*text).to_owned())).await {
            Ok(()) => {}
            Err(NotHandled::Gone) => return at,
            Err(other) => panic!("{other:?}"),
        }
    }
    texts.len()
}
