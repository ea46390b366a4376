//! The window: how long a poll waits, which poll it is that waits, and when a client is given up.

use std::time::{Duration, Instant};

/// One poll of a session. A later one is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What a poll is to be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet. It is to be asked for again when a message came, or at [`Window::deadline`].
    Wait,
    /// All messages that wait, with status 200. They are to be kept until they are [written](Window::written).
    Messages,
    /// None, with status 204.
    Empty,
}

/// Who waits for a session's messages, and since when (`Phoenix.Transports.LongPoll.Server`).
///
/// One poll waits at a time: a second one ends the first. Messages that a poll is answered with stay where they are
/// until its answer is [written](Self::written). A poll whose client hung up before loses nothing, the next one gets them
/// again. A client that neither polls nor posts for one and a half windows is given up at the next check, and checks are
/// as far apart.
///
/// ```
/// use std::time::{Duration, Instant};
/// use bennu_wire::longpoll::{Verdict, Window};
///
/// let now = Instant::now();
/// let mut window = Window::new(Duration::from_secs(10), now);
/// let poll = window.poll(now);
/// assert_eq!(window.verdict(poll, false, now), Verdict::Wait);
///
/// // A message came. Its answer doesn't reach the client:
/// assert_eq!(window.verdict(poll, true, now), Verdict::Messages);
/// window.hung_up(poll);
///
/// // The next poll gets it at once.
/// let poll = window.poll(now);
/// assert_eq!(window.verdict(poll, true, now), Verdict::Messages);
/// assert!(window.written(poll), "the message may be forgotten");
/// ```
#[derive(Debug)]
pub struct Window {
    window: Duration,
    /// The latest poll.
    ticket: Ticket,
    stage: Stage,
    /// The poll before, whose answer isn't known to have left yet.
    leaving: Option<Leaving>,
    /// When the client last asked for something.
    heard_at: Instant,
    check_at: Instant,
}

/// How long a poll waits to hear whether the answer before it has left.
const LEAVING_TIME_MAX: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
struct Leaving {
    ticket: Ticket,
    until: Instant,
}

/// What becomes of the messages that were answered last: see [`Window::settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// They are for the next poll.
    TakeBack,
    /// It isn't known yet.
    Later,
}

/// What the latest poll does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting {
        until: Instant,
    },
    /// Its answer is on its way.
    Writing,
    /// Its answer was handed over to its end, and is about to leave.
    Leaving,
    /// It was answered, or is gone.
    Over,
}

impl Window {
    /// A session that begins now, whose polls wait that long.
    #[must_use]
    pub fn new(window: Duration, now: Instant) -> Self {
        Self {
            window,
            ticket: Ticket(0),
            stage: Stage::Over,
            leaving: None,
            heard_at: now,
            check_at: now + inactivity(window),
        }
    }

    /// A poll begins to wait. The one that waited is to be answered now: its verdict is [`Verdict::Empty`]. What was
    /// answered last is to be [settled](Self::settle) before.
    pub fn poll(&mut self, now: Instant) -> Ticket {
        self.heard_at = now;
        self.ticket.0 += 1;
        self.stage = Stage::Waiting {
            until: now + self.window,
        };
        self.ticket
    }

    /// The client is about to poll again. Who doesn't wait for the end of an answer gets it again. One that is about to
    /// leave may have been read already: then the poll that comes waits a moment for the news.
    #[must_use]
    pub fn settle(&mut self, now: Instant) -> Settled {
        match self.stage {
            Stage::Leaving => {
                self.stage = Stage::Over;
                self.leaving = Some(Leaving {
                    ticket: self.ticket,
                    until: now + LEAVING_TIME_MAX,
                });
                Settled::Later
            }
            Stage::Waiting { .. } | Stage::Writing | Stage::Over if self.leaving.is_some() => {
                Settled::Later
            }
            Stage::Waiting { .. } | Stage::Writing | Stage::Over => Settled::TakeBack,
        }
    }

    /// Whether no news came of the answer that is about to leave, for too long: its messages are to be taken back.
    #[must_use]
    pub fn gives_up(&mut self, now: Instant) -> bool {
        self.leaving.take_if(|it| now >= it.until).is_some()
    }

    /// The answer to a poll was handed over to its end.
    pub fn leave(&mut self, ticket: Ticket) {
        if self.is_writing(ticket) {
            self.stage = Stage::Leaving;
        }
    }

    /// What to answer to a poll, given whether messages wait. After any other answer than [`Verdict::Wait`] it is over,
    /// but for its writing.
    pub fn verdict(&mut self, ticket: Ticket, messages: bool, now: Instant) -> Verdict {
        let Stage::Waiting { until } = self.stage else {
            return Verdict::Empty;
        };
        if ticket != self.ticket {
            return Verdict::Empty;
        }
        if messages && self.leaving.is_none() {
            self.stage = Stage::Writing;
            return Verdict::Messages;
        }
        if now < until {
            return Verdict::Wait;
        }
        self.expire(now);
        Verdict::Empty
    }

    /// The answer to a poll has left as a whole, so that it's taken for granted that it arrived. Whether its messages may be
    /// forgotten: not when another poll came before that, which gets them again.
    #[must_use]
    pub fn written(&mut self, ticket: Ticket) -> bool {
        let current = self.is_answering(ticket);
        if current {
            self.stage = Stage::Over;
        }
        current || self.has_left(ticket)
    }

    /// The request of a poll is gone, answered or not. Whether its messages are to be kept for the next one.
    pub fn hung_up(&mut self, ticket: Ticket) -> bool {
        let unwritten = self.is_answering(ticket);
        if ticket == self.ticket {
            self.stage = Stage::Over;
        }
        unwritten || self.has_left(ticket)
    }

    /// The client posted something, or took a part of an answer.
    pub fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Whether a poll waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }

    /// Ends a poll that has waited for the whole window. Whether there was one: it is to be answered now.
    pub fn expire(&mut self, now: Instant) -> bool {
        let expired = matches!(self.stage, Stage::Waiting { until } if now >= until);
        if expired {
            self.heard_at = now;
            self.stage = Stage::Over;
        }
        expired
    }

    /// When to ask again whether a poll has [waited enough](Self::expire), and whether the client is
    /// [gone](Self::is_abandoned).
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let deadline = match self.stage {
            Stage::Waiting { until } => until.min(self.check_at),
            Stage::Writing | Stage::Leaving | Stage::Over => self.check_at,
        };
        self.leaving.map_or(deadline, |it| deadline.min(it.until))
    }

    /// Whether the client was silent for too long, by the check that is due now.
    pub fn is_abandoned(&mut self, now: Instant) -> bool {
        if now < self.check_at {
            return false;
        }
        let inactivity = inactivity(self.window);
        self.check_at = now + inactivity;
        !self.is_waiting() && now.saturating_duration_since(self.heard_at) > inactivity
    }

    /// Whether no poll waits, and no answer is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether the answer to this poll is on its way.
    #[must_use]
    pub fn is_writing(&self, ticket: Ticket) -> bool {
        ticket == self.ticket && self.stage == Stage::Writing
    }

    fn is_answering(&self, ticket: Ticket) -> bool {
        let answering = matches!(self.stage, Stage::Writing | Stage::Leaving);
        ticket == self.ticket && answering
    }

    /// There is news of the poll before.
    fn has_left(&mut self, ticket: Ticket) -> bool {
        self.leaving.take_if(|it| it.ticket == ticket).is_some()
    }
}

/// How long a client may be silent, and how far checks for it are apart.
fn inactivity(window: Duration) -> Duration {
    window + window / 2
}

#[cfg(test)]
mod tests;
