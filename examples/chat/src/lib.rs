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
        let prefix = prefix.trim_end_matches('/').to_owned();
        let options = SocketOptions::new().longpoll(LongPoll::default());
        let endpoint = Endpoint::new(Rooms::default())
            .socket_with::<Person>(&format!("{prefix}/socket"), options);
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
        Ok(Self {
            name: name.to_owned(),
            rooms: rooms.clone(),
        })
    }
}
