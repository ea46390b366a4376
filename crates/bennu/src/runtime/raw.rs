//! Drives a raw socket: one callback at a time, and no reading while it's busy.

use std::{
    any::{Any, type_name},
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bennu_pubsub::Subscription;
use bennu_wire::{Bucket, ChannelId, Frame};
use bytes::Bytes;

use super::{
    Close, Conn, Control, Driver, Mail, SOCKET_ID, TOO_MANY_EVENTS,
    running::{caught, discard},
};
use crate::{RawContext, RawControl, RawMessage, RawSocket, Reason, Result, telemetry::Inspected};

/// A raw socket's mail has no channel; this stands in its place.
pub(crate) const RAW: ChannelId = ChannelId::new(0);

/// One connection's raw socket.
pub(crate) struct Raw<R: RawSocket> {
    state: State<R>,
    queue: VecDeque<Job>,
    ending: bool,
    bucket: Bucket,
    /// To the socket's id, for forced disconnects. A pointer, since many have none.
    id: Option<Box<Subscription>>,
}

enum State<R: RawSocket> {
    Idle(Box<Live<R>>),
    Busy(Run<R>),
    /// A panic, or the last callback, ended it.
    Ended,
}

struct Live<R: RawSocket> {
    socket: R,
    cx: RawContext<R>,
}

enum Job {
    Init,
    In(RawMessage),
    Control(RawControl),
    Info(Box<dyn Any + Send>),
    Terminate(Reason),
}

type Run<R> = Pin<Box<dyn Future<Output = (Box<Live<R>>, Result<()>)> + Send>>;

impl<R: RawSocket> Raw<R> {
    pub(crate) fn new(socket: R, conn: &Arc<Conn>) -> Self {
        let id = socket
            .id()
            .map(|id| Box::new(conn.pubsub().subscribe(id, conn.clone(), SOCKET_ID)));
        let live = Live {
            socket,
            cx: RawContext::new(conn.clone()),
        };
        Self {
            state: State::Idle(Box::new(live)),
            queue: VecDeque::from([Job::Init]),
            ending: false,
            bucket: Bucket::default(),
            id,
        }
    }

    /// Works off the queue, until a callback doesn't end at once.
    fn work(&mut self, conn: &Conn, cx: &mut Context<'_>) {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Idle(live) => match self.queue.pop_front() {
                    None => {
                        self.queue = VecDeque::new();
                        self.state = State::Idle(live);
                        return;
                    }
                    Some(job) => match caught(|| live.run(job)) {
                        Ok(run) => self.state = State::Busy(run),
                        Err(_) => return panicked(conn),
                    },
                },
                State::Busy(mut run) => match caught(|| run.as_mut().poll(cx)) {
                    Ok(Poll::Pending) => {
                        self.state = State::Busy(run);
                        return;
                    }
                    Ok(Poll::Ready((live, result))) => {
                        discard(run);
                        if let Err(error) = result {
                            tracing::error!(socket = type_name::<R>(), %error, "a callback failed");
                            conn.close(Close::new(1011, "internal error"));
                            if !self.ending {
                                self.drop_queue();
                            }
                        }
                        self.state = State::Idle(live);
                    }
                    Err(_) => {
                        discard(run);
                        return panicked(conn);
                    }
                },
                State::Ended => return,
            }
        }
    }

    /// Drops jobs one by one: users' values among them may panic, and two panics at once end the process.
    fn drop_queue(&mut self) {
        std::mem::take(&mut self.queue)
            .into_iter()
            .for_each(discard);
    }

    fn add(&mut self, job: Job, conn: &Conn, cx: &mut Context<'_>) {
        self.queue.push_back(job);
        self.work(conn, cx);
    }
}

fn panicked(conn: &Conn) {
    conn.mount().counters.panics.add(1);
    conn.close(Close::new(1011, "internal error"));
}

impl<R: RawSocket> Live<R> {
    fn run(mut self: Box<Self>, job: Job) -> Run<R> {
        Box::pin(async move {
            let Self { socket, cx } = &mut *self;
            let result = match job {
                Job::Init => socket.init(cx).await,
                Job::In(message) => socket.handle_in(message, cx).await,
                Job::Control(control) => socket.handle_control(control, cx).await,
                Job::Info(info) => match info.downcast() {
                    Ok(info) => socket.handle_info(*info, cx).await,
                    Err(_) => Ok(()),
                },
                Job::Terminate(reason) => {
                    socket.terminate(reason).await;
                    Ok(())
                }
            };
            (self, result)
        })
    }
}

impl<R: RawSocket> Driver for Raw<R> {
    fn receive(
        &mut self,
        frame: Frame<'_>,
        conn: &Arc<Conn>,
        cx: &mut Context<'_>,
    ) -> Result<(), Close> {
        if !conn.mount().may_send(|| &mut self.bucket) {
            conn.close(Close::new(1008, TOO_MANY_EVENTS));
            return Ok(());
        }
        let message = match frame {
            Frame::Text(text) => RawMessage::Text(text.to_owned()),
            Frame::Binary(bytes) => RawMessage::Binary(Bytes::copy_from_slice(bytes)),
        };
        self.add(Job::In(message), conn, cx);
        Ok(())
    }

    fn control(&mut self, control: Control<'_>, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        let control = match control {
            Control::Ping(payload) => RawControl::Ping(Bytes::copy_from_slice(payload)),
            Control::Pong(payload) => RawControl::Pong(Bytes::copy_from_slice(payload)),
        };
        self.add(Job::Control(control), conn, cx);
    }

    /// What one read brought may wait; no more is read until it's worked off.
    fn ready(&self) -> bool {
        matches!(self.state, State::Idle(_))
    }

    fn inspect(&self) -> Inspected {
        Inspected {
            id: self.id.as_ref().map(|it| it.topic().to_string()),
            channels: Vec::new(),
        }
    }

    fn poll(&mut self, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        for mail in conn.take_mail() {
            let Mail::Info(_, info) = mail else { continue };
            if self.queue.len() < conn.mount().options.event_queue_messages_max {
                self.queue.push_back(Job::Info(info));
            } else {
                conn.mount().counters.mail_dropped.add(1);
                discard(info);
            }
        }
        self.work(conn, cx);
    }

    fn poll_close(&mut self, reason: Reason, conn: &Arc<Conn>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.ending {
            self.ending = true;
            self.drop_queue();
            self.queue.push_back(Job::Terminate(reason));
        }
        self.work(conn, cx);
        match self.state {
            State::Busy(_) => Poll::Pending,
            State::Idle(_) | State::Ended => Poll::Ready(()),
        }
    }
}

impl<R: RawSocket> Drop for Raw<R> {
    fn drop(&mut self) {
        // The user's values may panic when they are dropped; the runtime's worker shall not notice.
        self.drop_queue();
        discard(std::mem::replace(&mut self.state, State::Ended));
    }
}
