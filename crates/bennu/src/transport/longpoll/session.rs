//! A session: what its requests share with its task, and the task.
//!
//! The task drives the channels, as that of a WebSocket connection does, and watches the clock. It never sees a
//! request: posted messages are handed to it one by one, and a poll that waits is woken to fetch what is queued.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bennu_wire::longpoll::{Entry, Settled, Window};
use tokio::{
    sync::{self, oneshot},
    time::{Instant, Sleep, sleep_until, timeout},
};

use super::{polling::Polling, sessions::Sessions};
use crate::{
    Reason,
    runtime::{
        Close, Conn, Driver, Seat, others_first,
        sync::{Mutex, MutexGuard},
    },
    telemetry::{Inspected, SocketDetails},
};

/// Rounds of mail before other tasks of the thread have their turn.
const ROUNDS_MAX: usize = 32;
/// How long the channels of a session that ended may take to end, and its last answer to be read.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a poll waits for the news of an answer over another node.
const NEWS_TIME_MAX: Duration = Duration::from_secs(1);

/// One client, over its requests.
pub(crate) struct Session {
    id: u64,
    token: Box<str>,
    pub(super) conn: Arc<Conn>,
    /// How long a poll waits, and a posted message.
    window: Duration,
    state: Mutex<State>,
    /// Held while an answer is on its way over another node.
    underway: sync::Mutex<()>,
}

pub(super) struct State {
    pub(super) window: Window,
    /// Of the poll that waits.
    pub(super) waker: Option<Waker>,
    pub(super) ended: bool,
    /// Of the task, which has ended but for an answer that is on its way.
    leaving: Option<Waker>,
    /// Messages that wait for the task: for a moment, or while a raw socket is busy.
    posted: VecDeque<Posted>,
    posted_bytes: usize,
}

struct Posted {
    entry: Entry,
    handled: Handled,
}

/// Tells the request that brought a message what came of it.
type Handled = oneshot::Sender<Result<(), Close>>;

/// Why a posted message wasn't handled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotHandled {
    /// It is no message.
    Malformed(Close),
    /// The session had no time for it within the window.
    TimedOut,
    /// The session has ended.
    Gone,
}

impl Session {
    pub(crate) fn new(id: u64, token: Box<str>, conn: Arc<Conn>, window: Duration) -> Self {
        let state = State {
            window: Window::new(window, Instant::now().into_std()),
            waker: None,
            ended: false,
            leaving: None,
            posted: VecDeque::new(),
            posted_bytes: 0,
        };
        Self {
            id,
            token,
            conn,
            window,
            state: Mutex::new(state),
            underway: sync::Mutex::default(),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// As [`poll`](Self::poll), once it's known what became of an answer over another node. This poll may have overtaken
    /// the news of it; but news can be lost, so it doesn't wait for long.
    pub(crate) async fn poll_next(self: &Arc<Self>) -> Polling {
        let _ = timeout(NEWS_TIME_MAX, self.underway.lock()).await;
        self.poll()
    }

    /// An answer goes over another node, until what is returned is dropped.
    pub(super) fn answers_elsewhere(&self) -> Option<sync::MutexGuard<'_, ()>> {
        self.underway.try_lock().ok()
    }

    /// Begins to wait for messages. Another poll that waits is ended.
    pub(crate) fn poll(self: &Arc<Self>) -> Polling {
        let (ticket, previous) = {
            let mut state = self.lock();
            let now = Instant::now().into_std();
            if state.window.settle(now) == Settled::TakeBack {
                // The answer before this, if it isn't written yet, won't be: its messages are for this poll.
                self.conn.take_back();
            }
            let ticket = state.window.poll(now);
            (ticket, state.waker.take())
        };
        if let Some(previous) = previous {
            previous.wake();
        }
        // The task has a new deadline to watch.
        self.conn.nudge();
        Polling::new(self.clone(), ticket)
    }

    /// Hands a message to the session and waits until it's handled.
    pub(crate) async fn post(&self, entry: Entry) -> Result<(), NotHandled> {
        let limits = &self.conn.mount().options;
        let (handled, outcome) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.ended {
                return Err(NotHandled::Gone);
            }
            if state.posted.len() >= limits.event_queue_messages_max
                || state.posted_bytes > limits.event_queue_bytes_max
            {
                return Err(NotHandled::TimedOut);
            }
            state.window.heard(Instant::now().into_std());
            state.posted_bytes += entry.len();
            state.posted.push_back(Posted { entry, handled });
        }
        self.conn.nudge();
        let outcome = timeout(self.window, outcome).await;
        // Who waits for a socket that is busy isn't silent.
        self.heard();
        match outcome {
            Ok(Ok(outcome)) => outcome.map_err(NotHandled::Malformed),
            Ok(Err(_)) => Err(NotHandled::Gone),
            Err(_) => Err(NotHandled::TimedOut),
        }
    }

    /// The client was heard.
    pub(crate) fn heard(&self) {
        self.lock().window.heard(Instant::now().into_std());
    }

    /// The next message whose request still waits for it.
    fn next_posted(&self) -> Option<Posted> {
        let mut state = self.lock();
        loop {
            let posted = state.posted.pop_front()?;
            state.posted_bytes -= posted.entry.len();
            if state.posted.is_empty() {
                state.posted = VecDeque::new();
            }
            if !posted.handled.is_closed() {
                return Some(posted);
            }
        }
    }

    /// Wakes the poll that waits if there is something to tell it, and gives up a client that is silent. Says when to
    /// look again.
    fn watch(&self) -> Instant {
        let now = Instant::now().into_std();
        let mut state = self.lock();
        if state.window.is_abandoned(now) {
            self.conn.close(Close::new(1001, "idle"));
        }
        if state.window.gives_up(now) {
            self.conn.take_back();
        }
        let expired = state.window.expire(now);
        let waker = if expired || self.conn.backlog().1 > 0 {
            state.waker.take()
        } else {
            None
        };
        let deadline = state.window.deadline();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Instant::from_std(deadline)
    }

    /// Whether no answer is on its way. Otherwise the task is woken when there is news of it.
    fn poll_idle(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        let idle = state.window.is_idle();
        state.leaving = (!idle).then(|| waker.clone());
        idle
    }

    /// Why the server closed it, if it has ended.
    pub(crate) fn ended(&self) -> Option<Close> {
        let ended = self.lock().ended;
        ended.then(|| self.told())?
    }

    /// What a client is told of its end. That it was lost, nobody is there to hear.
    fn told(&self) -> Option<Close> {
        self.conn.closing().filter(|it| it.code != 1006)
    }

    /// Nobody can poll or post any more.
    fn end(&self) {
        let (waker, posted) = {
            let mut state = self.lock();
            state.ended = true;
            (state.waker.take(), std::mem::take(&mut state.posted))
        };
        drop(posted);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// There is news of an answer, which the task may wait for, or the poll that came after.
    pub(super) fn settled(&mut self) {
        if let Some(waker) = self.leaving.take() {
            waker.wake();
        }
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// The task of one session.
pub(super) struct Task<D> {
    session: Arc<Session>,
    sessions: Arc<Sessions>,
    driver: Box<D>,
    /// Of the message that the driver is at.
    handling: Option<Handled>,
    place: u32,
    timer: Pin<Box<Sleep>>,
    closing: Option<Reason>,
    closed: bool,
}

impl<D: Driver> Task<D> {
    pub(super) fn new(
        session: Arc<Session>,
        seat: Seat,
        sessions: Arc<Sessions>,
        driver: D,
    ) -> Self {
        let place = seat.enter(&session.conn);
        let timer = Box::pin(sleep_until(session.watch()));
        Self {
            session,
            sessions,
            driver: Box::new(driver),
            handling: None,
            place,
            timer,
            closing: None,
            closed: false,
        }
    }

    /// Runs until the session is to end.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let conn = self.session.conn.clone();
        conn.unpark();
        for _ in 0..ROUNDS_MAX {
            conn.notice();
            self.driver.poll(&conn, cx);
            conn.answer(|| self.details());
            self.receive(&conn, cx);
            loop {
                let deadline = self.session.watch();
                if conn.is_closing() {
                    return Poll::Ready(());
                }
                if self.timer.deadline() != deadline {
                    self.timer.as_mut().reset(deadline);
                }
                if self.timer.as_mut().poll(cx).is_pending() {
                    break;
                }
            }
            if conn.park(cx.waker()) {
                return Poll::Pending;
            }
        }
        // Channels that send to themselves always have more.
        others_first(cx);
        Poll::Pending
    }

    fn details(&self) -> SocketDetails {
        let Inspected { id, channels } = self.driver.inspect();
        SocketDetails {
            id,
            // Each of its requests may come from another.
            peer: None,
            channels,
        }
    }

    /// Takes what was posted. A message is handled when its driver would take another.
    fn receive(&mut self, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        while self.driver.ready() {
            if let Some(handled) = self.handling.take() {
                // Its request may be gone.
                let _ = handled.send(Ok(()));
            }
            if conn.is_closing() {
                return;
            }
            let Some(Posted { entry, handled }) = self.session.next_posted() else {
                return;
            };
            conn.received(1, entry.len());
            match self.driver.receive(entry.as_frame(), conn, cx) {
                Ok(()) => self.handling = Some(handled),
                Err(close) => {
                    let _ = handled.send(Err(close));
                }
            }
        }
    }
}

impl<D: Driver> Future for Task<D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.is_none() {
            ready!(self.poll_open(cx));
            self.closing = Some(Reason::Disconnected);
            self.sessions.end(self.session.id, self.session.told());
            self.session.end();
            let deadline = Instant::now() + CLOSING_TIME_MAX;
            self.timer.as_mut().reset(deadline);
        }
        let Self {
            session,
            driver,
            timer,
            closing,
            closed,
            ..
        } = &mut *self;
        let reason = closing.unwrap_or(Reason::Disconnected);
        *closed = *closed || driver.poll_close(reason, &session.conn, cx).is_ready();
        // The last words may be on their way.
        if *closed && session.poll_idle(cx.waker()) {
            return Poll::Ready(());
        }
        timer.as_mut().poll(cx)
    }
}

impl<D> Drop for Task<D> {
    fn drop(&mut self) {
        // Whoever still holds the outbox shall not fill it.
        self.session.conn.close(Close::lost());
        self.session.conn.forget();
        self.session.conn.mount().leave(self.place);
        self.sessions.end(self.session.id, None);
        self.session.end();
    }
}
