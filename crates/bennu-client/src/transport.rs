//! Connections: frames out, messages in, whatever carries them. Transports make no decisions; the machine does.

mod dial;
mod longpoll;
mod request;
mod turns;
mod websocket;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bennu_wire::Response;
use tokio::task::JoinHandle;

pub(crate) use self::dial::Dialer;
#[cfg(feature = "rustls")]
pub(crate) use self::dial::{default_tls, tls_with_roots};
use self::{longpoll::LongPoll, websocket::WebSocket};
use crate::{ConnectionError, Transport, machine::Frame};

/// What a connection does.
pub(crate) enum LinkEvent {
    Opened,
    /// A message, or what is wrong with what came instead.
    Heard(Result<Response, String>),
    /// So many bytes of the queue were written.
    Wrote(usize),
    /// It is gone, and so many bytes of the queue weren't written.
    Lost(ConnectionError, usize),
}

/// The one connection that a socket has, or tries to make.
pub(crate) enum Link {
    None,
    Connecting(Connecting),
    WebSocket(Box<WebSocket>),
    LongPoll(Box<LongPoll>),
}

/// A task, since it asks the caller for params, and a panic there shall be no one else's.
pub(crate) struct Connecting(JoinHandle<Result<Link, ConnectionError>>);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    /// Begins an attempt. As the other methods it returns how many bytes of the queue weren't written.
    pub(crate) fn connect(&mut self, dialer: &Arc<Dialer>, transport: Transport) -> usize {
        let dialer = dialer.clone();
        let attempt = tokio::spawn(async move {
            match transport {
                Transport::WebSocket => WebSocket::connect(&dialer)
                    .await
                    .map(|it| Self::WebSocket(Box::new(it))),
                Transport::LongPoll => LongPoll::connect(dialer)
                    .await
                    .map(|it| Self::LongPoll(Box::new(it))),
            }
        });
        self.replace(Self::Connecting(Connecting(attempt)))
    }

    fn replace(&mut self, link: Self) -> usize {
        match std::mem::replace(self, link) {
            Self::None | Self::Connecting(_) => 0,
            Self::WebSocket(it) => it.unwritten(),
            Self::LongPoll(it) => it.unwritten(),
        }
    }

    pub(crate) fn send(&mut self, frame: Frame, bytes: usize) -> usize {
        match self {
            Self::None | Self::Connecting(_) => return bytes,
            Self::WebSocket(it) => it.send(frame, bytes),
            Self::LongPoll(it) => it.send(frame, bytes),
        }
        0
    }

    /// Ends it without waiting for anybody.
    pub(crate) fn hang_up(&mut self, why: &'static str) -> usize {
        if let Self::WebSocket(it) = self {
            it.hang_up(why);
        }
        self.replace(Self::None)
    }

    /// What happens next. It can be dropped and asked again: nothing is lost.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        let event = poll_fn(|cx| self.poll_next(cx)).await;
        if let LinkEvent::Lost(..) = event {
            *self = Self::None;
        }
        event
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        match self {
            Self::None => Poll::Pending,
            Self::Connecting(attempt) => {
                let link = match ready!(Pin::new(&mut attempt.0).poll(cx)) {
                    Ok(Ok(link)) => link,
                    Ok(Err(error)) => return Poll::Ready(LinkEvent::Lost(error, 0)),
                    Err(error) => {
                        let error = ConnectionError::Failed(format!("connecting failed: {error}"));
                        return Poll::Ready(LinkEvent::Lost(error, 0));
                    }
                };
                *self = link;
                Poll::Ready(LinkEvent::Opened)
            }
            Self::WebSocket(it) => it.poll_next(cx),
            Self::LongPoll(it) => it.poll_next(cx),
        }
    }

    /// Writes what waits, and closes it as one does.
    pub(crate) async fn finish(self) {
        match self {
            Self::None | Self::Connecting(_) => {}
            Self::WebSocket(mut it) => it.finish().await,
            Self::LongPoll(mut it) => it.finish().await,
        }
    }
}
