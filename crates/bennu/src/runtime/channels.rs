//! Drives a socket with channels: between the session, which decides, and the channels, which act.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use bennu_pubsub::Subscription;
use bennu_wire::{Action, ChannelId, Frame, Limits, Payload, Ref, Session, Topic};
use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
};

use super::{
    Close, Conn, Driver, Mail, SOCKET_ID, TOO_MANY_EVENTS, TOO_MANY_UNHANDLED,
    busy::Busy,
    live::{Job, Live, Place, Ran, Request},
    running::{Panicked, Run, Running, caught, discard, poll},
    slot::{More, Slot, Stage},
    unhandled::Share,
};
use crate::{
    ChannelInfo, ChannelStatus, Flood, Reason, Routes, Socket,
    context::Ending,
    telemetry::{Inspected, count_refusal},
};

/// One connection's channels.
pub(crate) struct Channels<S: Socket> {
    socket: Arc<S>,
    routes: Arc<Routes<S>>,
    session: Session,
    /// By id, which only grows.
    slots: Vec<Slot<S>>,
    busy: Option<Box<Busy<S>>>,
    /// To the socket's id, for forced disconnects. A pointer, since many have none.
    id: Option<Box<Subscription>>,
}

/// Up to so many slots the storage grows one by one, then by an eighth: most connections join a few topics and stay.
const GROWN_ONE_BY_ONE: usize = 32;

/// A channel and what it has to do next.
type Work<S> = (Box<dyn Live<S>>, Job);

impl<S: Socket> Channels<S> {
    pub(crate) fn new(socket: S, routes: Arc<Routes<S>>, conn: &Arc<Conn>) -> Self {
        let options = &conn.mount().options;
        let limits = Limits {
            channels_max: options.channels_max,
            joining_channels_max: options
                .limits
                .joins_at_once_max
                .unwrap_or(options.channels_max),
            joining_messages_max: options.event_queue_messages_max,
            joining_bytes_max: options.event_queue_bytes_max,
        };
        let id = socket
            .id()
            .map(|id| Box::new(conn.pubsub().subscribe(id, conn.clone(), SOCKET_ID)));
        Self {
            socket: Arc::new(socket),
            routes,
            session: Session::new(limits),
            slots: Vec::new(),
            busy: None,
            id,
        }
    }

    /// Does what the session asks for.
    fn act(&mut self, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        while let Some(action) = self.session.poll_action() {
            self.take(action, conn, cx);
        }
        if !self.hold(0, conn) {
            conn.close(Close::new(1013, TOO_MANY_UNHANDLED));
        }
    }

    fn take(&mut self, action: Action, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        match action {
            Action::Send(outbound) => {
                count_refusal(&outbound, &conn.mount().counters);
                // The session's own messages encode, unless a client's topic or ref is too long for what
                // it asked for: then there is no way to tell it so.
                if let Err(error) = conn.push(&outbound.as_outgoing()) {
                    tracing::debug!(%error, "failed to encode a reply of the session");
                }
            }
            Action::Join {
                id,
                topic,
                join_ref,
                payload,
            } => self.join(id, topic, join_ref, payload, conn, cx),
            Action::Joined { id } => {
                if let Some(work) = self.joined(id, conn) {
                    self.work(id, work, conn, cx);
                }
            }
            Action::Deliver { id, message } => self.run(id, Job::In(message), conn, cx),
            Action::Leave { id, message } => self.run(id, Job::Leave(message), conn, cx),
            Action::Ended { id } => {
                if let Some(work) = self.close(id) {
                    self.work(id, work, conn, cx);
                }
            }
            Action::Abandon { id } => self.abandon(id, conn, cx),
            Action::Close { code, reason } => conn.close(Close::new(code, reason)),
        }
    }

    fn join(
        &mut self,
        id: ChannelId,
        topic: Topic,
        join_ref: Ref,
        payload: Payload,
        conn: &Arc<Conn>,
        cx: &mut Context<'_>,
    ) {
        // The session asked whether there is a route before it started the join.
        let Some(route) = self.routes.find(&topic) else {
            return;
        };
        if self.slots.len() >= self.session.len() + conn.mount().options.channels_max {
            // The session counts those that are there, and forgets who leaves. Leaving may take its time.
            return conn.close(Close::new(1008, "too many channels ending"));
        }
        if self.slots.len() == self.slots.capacity() {
            let more = match self.slots.len() {
                ..GROWN_ONE_BY_ONE => 1,
                len => len / 8,
            };
            self.slots.reserve_exact(more);
        }
        self.slots.push(Slot::new(id, route));
        let topic = match conn.pubsub().named(&topic) {
            Some(named) => {
                self.session.share(id, &named);
                named
            }
            None => topic,
        };
        let Some(place) = self.place(id, Some(join_ref), conn) else {
            return;
        };
        let start = place.route.join;
        let run = caught(move || {
            start(Request {
                place,
                topic,
                payload,
            })
        });
        if let Some(work) = self.start(id, run, conn, cx) {
            self.work(id, work, conn, cx);
        }
    }

    /// Gives a channel a job, now or when it's idle.
    fn run(&mut self, id: ChannelId, job: Job, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        let Some(slot) = self.slot(id) else {
            return discard(job);
        };
        match slot.wake() {
            Some(channel) => self.work(id, (channel, job), conn, cx),
            None => self.enqueue(id, job, conn),
        }
    }

    fn enqueue(&mut self, id: ChannelId, job: Job, conn: &Arc<Conn>) {
        let options = &conn.mount().options;
        let queued_bytes = self.busy.as_ref().map_or(0, |it| it.queued_bytes);
        let Some(slot) = self.slot(id) else {
            return discard(job);
        };
        if slot.is_closing() {
            return discard(job);
        }
        let full = slot.more().queue.len() >= options.event_queue_messages_max
            || queued_bytes > options.event_queue_bytes_max;
        match job {
            Job::Out(_) | Job::Info(_) if full => {
                conn.mount().counters.mail_dropped.add(1);
                discard(job);
            }
            Job::In(message) if full || !self.hold(message.bytes(), conn) => {
                self.session.overflowed(message);
            }
            job => {
                self.busy.get_or_insert_default().queued_bytes += job.bytes();
                if let Some(slot) = self.slot(id) {
                    slot.more().queue.push_back(job);
                }
            }
        }
    }

    /// Has the mount count what waits, with `more` beside it. False when that is too much: then it's counted without.
    fn hold(&mut self, more: usize, conn: &Conn) -> bool {
        let queued = self.busy.as_ref().map_or(0, |it| it.queued_bytes);
        let bytes = queued + self.session.joining_bytes();
        let shares = self.busy.as_ref().is_some_and(|it| it.share.is_some());
        if bytes + more == 0 && !shares {
            return true;
        }
        let share = self
            .busy
            .get_or_insert_default()
            .share
            .get_or_insert_with(|| Share::new(conn.mount().unhandled.clone()));
        let held = share.hold(bytes + more);
        if !held {
            share.hold(bytes);
        }
        held
    }

    /// A join was replied to: what its callback decided, and what waited for it.
    fn joined(&mut self, id: ChannelId, conn: &Arc<Conn>) -> Option<Work<S>> {
        let mut channel = self.slot(id)?.wake()?;
        let join_ref = self.session.join_ref(id).cloned();
        let ending = channel.joined(self.place(id, join_ref, conn)?);
        self.next(id, channel, ending)
    }

    /// What a channel is lent while it runs.
    fn place(
        &mut self,
        id: ChannelId,
        join_ref: Option<Ref>,
        conn: &Arc<Conn>,
    ) -> Option<Place<S>> {
        let route = self.slot(id)?.route;
        Some(Place {
            conn: conn.clone(),
            socket: self.socket.clone(),
            route: self.routes.get(route)?.clone(),
            id,
            join_ref,
        })
    }

    /// Has a channel do a job, and what waits for it, until a callback doesn't end at once.
    fn work(
        &mut self,
        id: ChannelId,
        (mut channel, mut job): Work<S>,
        conn: &Arc<Conn>,
        cx: &mut Context<'_>,
    ) {
        loop {
            if let Job::Leave(message) = job {
                channel.unsubscribed(self.session.join_ref(id));
                self.closing(id, channel, Reason::Left);
                return self.session.left(id, &message);
            }
            // An event that has come this far has its channel's join ref, if it has one.
            let join_ref = match &job {
                Job::In(message) if !message.join_ref.is_null() => Some(&message.join_ref),
                _ => self.session.join_ref(id),
            };
            let join_ref = join_ref.cloned();
            let Some(place) = self.place(id, join_ref, conn) else {
                return discard((channel, job));
            };
            let run = caught(move || channel.run(job, place));
            match self.start(id, run, conn, cx) {
                Some(next) => (channel, job) = next,
                None => return,
            }
        }
    }

    /// Polls a callback once: most end at once and need no place of their own.
    fn start(
        &mut self,
        id: ChannelId,
        run: Result<Run<S>, Panicked>,
        conn: &Arc<Conn>,
        cx: &mut Context<'_>,
    ) -> Option<Work<S>> {
        let mut run = match run {
            Ok(run) => run,
            Err(panicked) => return self.finish(id, Err(panicked), conn),
        };
        match poll(&mut run, cx) {
            Poll::Ready(ran) => {
                discard(run);
                self.finish(id, ran, conn)
            }
            Poll::Pending => {
                let (abort, registration) = AbortHandle::new_pair();
                if let Some(slot) = self.slot(id).filter(|it| !it.is_closing()) {
                    slot.more().stage = Stage::Running(abort);
                }
                let running = Abortable::new(Running::new(id, run), registration);
                self.busy.get_or_insert_default().running.push(running);
                None
            }
        }
    }

    /// A callback ended: what its channel has to do next.
    fn finish(
        &mut self,
        id: ChannelId,
        ran: Result<Ran<S>, Panicked>,
        conn: &Conn,
    ) -> Option<Work<S>> {
        let ended = match self.slot(id)?.stage() {
            Stage::Ending(reason) => Some(*reason),
            Stage::Open | Stage::Running(_) | Stage::Closing(_) => None,
        };
        match ran {
            Ok(Ran::Joined(channel, _, Ending::Fail)) => {
                discard(channel);
                self.forget(id);
                self.session.join_crashed(id);
            }
            Ok(Ran::Joined(channel, response, _)) if self.ending().is_none() => {
                let slot = self.slot(id)?;
                slot.channel = Some(channel);
                if let Some(more) = &mut slot.more {
                    more.stage = Stage::Open;
                }
                self.session.joined(id, response);
            }
            Ok(Ran::Refused(response)) => {
                self.forget(id);
                self.session.refused(id, response);
            }
            Ok(Ran::Done(channel, ending)) if ended.is_none() => {
                return self.next(id, channel, ending);
            }
            Ok(Ran::Joined(channel, ..) | Ran::Done(channel, _)) => {
                discard(channel);
                self.forget(id);
                if ended == Some(Reason::Failed) {
                    self.session.failed(id);
                }
            }
            Err(Panicked) => {
                conn.mount().counters.panics.add(1);
                self.forget(id);
                // One of the two applies: the session knows whether it was joining.
                self.session.join_crashed(id);
                self.session.failed(id);
            }
        }
        None
    }

    /// What a channel does after a callback.
    fn next(
        &mut self,
        id: ChannelId,
        mut channel: Box<dyn Live<S>>,
        ending: Ending,
    ) -> Option<Work<S>> {
        if let Some(reason) = self.ending() {
            return self.last(id, channel, reason);
        }
        match ending {
            Ending::None => {
                let slot = self.slot(id)?;
                if let Some(job) = slot.dequeue() {
                    self.dequeued(&job);
                    return Some((channel, job));
                }
                slot.rest(channel);
            }
            Ending::Stop => {
                channel.unsubscribed(self.session.join_ref(id));
                self.closing(id, channel, Reason::Stopped);
                self.session.stopped(id);
            }
            Ending::Fail => return self.last(id, channel, Reason::Failed),
        }
        None
    }

    /// The client was told that the channel is closed: it may clean up.
    fn close(&mut self, id: ChannelId) -> Option<Work<S>> {
        let slot = self.slot(id)?;
        let Stage::Closing(reason) = *slot.stage() else {
            return None;
        };
        let channel = slot.channel.take()?;
        self.last(id, channel, reason)
    }

    /// A channel waits for its client to be told.
    fn closing(&mut self, id: ChannelId, channel: Box<dyn Live<S>>, reason: Reason) {
        if let Some(slot) = self.slot(id) {
            slot.channel = Some(channel);
            slot.more().stage = Stage::Closing(reason);
        }
    }

    /// A channel's last job.
    fn last(
        &mut self,
        id: ChannelId,
        mut channel: Box<dyn Live<S>>,
        reason: Reason,
    ) -> Option<Work<S>> {
        channel.unsubscribed(self.session.join_ref(id));
        let more = self.slot(id)?.more();
        more.stage = Stage::Ending(reason);
        let queue = std::mem::take(&mut more.queue);
        self.discard_queue(queue);
        Some((channel, Job::Terminate(reason)))
    }

    /// Stops a channel where it is.
    fn abandon(&mut self, id: ChannelId, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        if let Some(abort) = self.forget(id) {
            abort.abort();
            // The future holds the channel's subscription: it goes now, before its successor joins.
            self.poll_running(conn, cx);
        }
    }

    fn poll_running(&mut self, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        while let Some(busy) = &mut self.busy {
            match busy.running.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok((id, ran)))) => {
                    if let Some(work) = self.finish(id, ran, conn) {
                        self.work(id, work, conn, cx);
                    }
                }
                // Abandoned.
                Poll::Ready(Some(Err(_))) => {}
                Poll::Ready(None) => {
                    if busy.is_idle() {
                        self.busy = None;
                    }
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    fn slot(&mut self, id: ChannelId) -> Option<&mut Slot<S>> {
        let at = self.slots.binary_search_by_key(&id, |it| it.id).ok()?;
        self.slots.get_mut(at)
    }

    /// Takes a channel out of the table, and hands over what stops its callback, if one runs.
    fn forget(&mut self, id: ChannelId) -> Option<AbortHandle> {
        let at = self.slots.binary_search_by_key(&id, |it| it.id).ok()?;
        let Slot { channel, more, .. } = self.slots.remove(at);
        discard(channel);
        let More { stage, queue } = *more?;
        self.discard_queue(queue);
        match stage {
            Stage::Running(abort) => Some(abort),
            Stage::Open | Stage::Closing(_) | Stage::Ending(_) => None,
        }
    }

    /// Drops jobs one by one: users' values among them may panic, and two panics at once end the process.
    fn discard_queue(&mut self, queue: VecDeque<Job>) {
        for job in queue {
            self.dequeued(&job);
            discard(job);
        }
    }

    fn dequeued(&mut self, job: &Job) {
        if let Some(busy) = &mut self.busy {
            busy.queued_bytes = busy.queued_bytes.saturating_sub(job.bytes());
        }
    }

    fn ending(&self) -> Option<Reason> {
        self.busy.as_ref()?.ending
    }
}

impl<S: Socket> Driver for Channels<S> {
    fn receive(
        &mut self,
        frame: Frame<'_>,
        conn: &Arc<Conn>,
        cx: &mut Context<'_>,
    ) -> Result<(), Close> {
        let mount = conn.mount();
        let limits = &mount.options.limits;
        let serializer = conn.encoding().serializer;
        let message = match serializer.decode_within(&limits.decode, frame) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "a message was not understood");
                mount.counters.messages_undecodable.add(1);
                return Err(Close::new(error.cause().close_code(), error.to_string()));
            }
        };
        let first = if mount.may_send(|| &mut self.busy.get_or_insert_default().bucket) {
            let routes = &self.routes;
            self.session
                .receive(message, |topic| routes.find(topic).is_some())
        } else if limits.flood == Flood::Close {
            conn.close(Close::new(1008, TOO_MANY_EVENTS));
            None
        } else {
            self.session.throttled(message, TOO_MANY_EVENTS)
        };
        if let Some(action) = first {
            self.take(action, conn, cx);
        }
        self.act(conn, cx);
        Ok(())
    }

    fn inspect(&self) -> Inspected {
        let channels = self.session.channels().map(|(id, topic, joined)| {
            let slot = self.slots.iter().find(|it| it.id == id);
            let queue = slot.and_then(|it| it.more.as_ref()).map(|it| &it.queue);
            let leaves = |it: &VecDeque<Job>| it.iter().any(|it| matches!(it, Job::Leave(_)));
            let status = match slot.filter(|it| !it.is_closing()) {
                Some(slot) if slot.channel.is_some() => ChannelStatus::Idle,
                Some(_) if joined => ChannelStatus::Busy,
                Some(_) if !queue.is_some_and(leaves) => ChannelStatus::Joining,
                Some(_) | None => ChannelStatus::Leaving,
            };
            ChannelInfo {
                topic: topic.to_string(),
                status,
                queued: queue.map_or(0, VecDeque::len),
            }
        });
        Inspected {
            id: self.id.as_ref().map(|it| it.topic().to_string()),
            channels: channels.collect(),
        }
    }

    fn poll(&mut self, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        for mail in conn.take_mail() {
            let (id, job) = match mail {
                Mail::Info(id, info) => (id, Job::Info(info)),
                Mail::Out(id, broadcast) => (id, Job::Out(broadcast)),
            };
            self.run(id, job, conn, cx);
            self.act(conn, cx);
        }
        if self.busy.is_some() {
            self.poll_running(conn, cx);
            self.act(conn, cx);
        }
    }

    fn poll_close(&mut self, reason: Reason, conn: &Arc<Conn>, cx: &mut Context<'_>) -> Poll<()> {
        if self.ending().is_none() {
            self.busy.get_or_insert_default().ending = Some(reason);
            let ids: Vec<_> = self.slots.iter().map(|it| it.id).collect();
            for id in ids {
                let Some(slot) = self.slot(id) else { continue };
                if let Some(channel) = slot.channel.take()
                    && let Some(work) = self.last(id, channel, reason)
                {
                    self.work(id, work, conn, cx);
                }
            }
        }
        self.poll_running(conn, cx);
        self.act(conn, cx);
        if self.slots.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl<S: Socket> Drop for Channels<S> {
    fn drop(&mut self) {
        // The user's values may panic when they are dropped; the runtime's worker shall not notice.
        while let Some(id) = self.slots.last().map(|it| it.id) {
            self.forget(id);
        }
        discard(self.busy.take());
    }
}

#[cfg(test)]
mod tests;
