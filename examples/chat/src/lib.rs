//! A chat in the browser: rooms, typing, and what happens when the connection is lost.
//!
//! The channel is in `room.rs`, what it remembers in `rooms.rs`, the page in `page/`. `main.rs` serves it alone, and
//! another program may merge it into its own router.

mod page;
mod room;
mod rooms;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use bennu::{ConnectInfo, Endpoint, LongPoll, Routes, Socket, SocketOptions, refuse};
use room::Room;
pub use rooms::Rooms;
use serde::Deserialize;

const NAME_CHARS_MAX: usize = 20;
/// Rooms that one connection may be in: the page joins three and those that its person adds.
const CHANNELS_MAX: usize = 20;

/// The chat, to be mounted in a router.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let chat = chat::Chat::new("/chat");
/// let router = axum::Router::<()>::new().merge(chat.router());
/// # _ = router;
/// # }
/// ```
#[derive(Debug)]
pub struct Chat {
    prefix: String,
    endpoint: Endpoint<Rooms>,
}

impl Chat {
    /// A chat whose page and socket are below `prefix`, such as `/chat`; with an empty one it's at `/`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self::with(prefix, |endpoint| endpoint)
    }

    /// A chat whose endpoint is set up by `set_up` before its socket is mounted: with an adapter, a node's name and a secret
    /// that all nodes share, it goes over several nodes.
    ///
    /// # Panics
    ///
    /// With an adapter, outside of a tokio runtime: what is said on other nodes is heard by tasks.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let bus = bennu::LocalBus::new();
    /// let node = |name: &str| chat::Chat::with("/chat", |endpoint| endpoint.adapter(bus.adapter()).node_name(name));
    /// let (web_1, web_2) = (node("web-1"), node("web-2"));
    /// # _ = (web_1.router(), web_2.router());
    /// # }
    /// ```
    #[must_use]
    pub fn with(prefix: &str, set_up: impl FnOnce(Endpoint<Rooms>) -> Endpoint<Rooms>) -> Self {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let options = SocketOptions::new()
            .longpoll(LongPoll::default())
            .channels_max(CHANNELS_MAX);
        let endpoint = set_up(Endpoint::new(Rooms::default()))
            .socket_with::<Person>(&format!("{prefix}/socket"), options);
        let pubsub = endpoint.pubsub();
        if pubsub.cluster().is_some() {
            endpoint.app().listen(pubsub);
        }
        Self { prefix, endpoint }
    }

    /// The page and the socket.
    pub fn router(&self) -> Router {
        page::routes(&self.prefix).merge(self.endpoint.router())
    }

    /// The endpoint, to be drained when the server ends.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint<Rooms> {
        &self.endpoint
    }
}

/// One person's connection.
struct Person {
    name: String,
    rooms: Arc<Rooms>,
}

#[derive(Deserialize)]
struct Params {
    name: String,
}

impl Socket for Person {
    type App = Rooms;
    type Params = Params;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(rooms: &Arc<Rooms>, params: Params, _: &ConnectInfo) -> bennu::Result<Self> {
        let name = params.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(refuse("a name has 1 to 20 characters"));
        }
        // The page takes its name for what was typed, so nothing is left out of it here.
        if names::seen(name) != name {
            return Err(refuse(
                "a name has characters that can be seen, and single spaces",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            rooms: rooms.clone(),
        })
    }
}
