//! What a channel's client hears.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bennu_wire::{DecodeError, Payload, decode_event};
use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::{channel::Held, inbox::Inbox};

/// An event that the server pushed or broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub event: String,
    /// Its payload, unparsed: `event.payload.decode::<T>()` makes a `T` of it.
    pub payload: Payload,
}

impl Event {
    /// Event and payload as one value, nearly always an enum whose variants are the events, as a server's `In` is.
    ///
    /// ```
    /// use bennu_client::{Event, Payload};
    /// use serde::Deserialize;
    ///
    /// #[derive(Debug, PartialEq, Deserialize)]
    /// #[serde(rename_all = "snake_case")]
    /// enum Heard {
    ///     NewMsg { body: String },
    ///     Typing,
    ///     #[serde(other)]
    ///     SomethingElse,
    /// }
    ///
    /// let payload = Payload::new(&serde_json::json!({"body": "hi"}))?;
    /// let event = Event { event: "new_msg".to_owned(), payload };
    /// assert_eq!(event.decode::<Heard>()?, Heard::NewMsg { body: "hi".to_owned() });
    ///
    /// let event = Event { event: "presence_diff".to_owned(), payload: Payload::empty() };
    /// assert_eq!(event.decode::<Heard>()?, Heard::SomethingElse);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such variant, or the payload doesn't fit it.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        decode_event(&self.event, &self.payload)
    }
}

/// The events of a channel, in the order they came; a [`Stream`]. It ends when the channel is left or closed, and lives on
/// when the channel is joined again.
///
/// While it isn't read, [`Client::inbox_events_max`](crate::Client::inbox_events_max) events and
/// [`Client::inbox_bytes_max`](crate::Client::inbox_bytes_max) bytes are kept; beyond, the oldest go, and
/// [`missed`](Self::missed) counts them.
#[derive(Debug)]
pub struct Events {
    pub(crate) inbox: Arc<Inbox<Event>>,
    /// Who reads wants the channel.
    pub(crate) held: Arc<Held>,
}

impl Events {
    /// The next event. `None` when the channel is closed.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.inbox.poll_next(cx)).await
    }

    /// How many events went unread because too many waited.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.inbox.missed()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.inbox.poll_next(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.held.shared.unsubscribe(&self.inbox);
    }
}
