//! Which channel serves which topic.

use std::{any::Any, fmt, sync::Arc};

use bennu_wire::Pattern;

use crate::{
    Channel, Socket,
    runtime::{JoinFn, join},
};

/// The channels of a socket by the topics they serve. The first pattern that matches a topic serves it.
///
/// ```
/// # use bennu::*; use std::sync::Arc;
/// # struct User; struct Room; struct Lobby;
/// # impl Socket for User { type App = (); type Params = ();
/// #   fn channels(routes: Routes<Self>) -> Routes<Self> { routes }
/// #   async fn connect(_: &Arc<()>, _: (), _: &ConnectInfo) -> Result<Self> { Ok(Self) } }
/// # impl Channel for Room { type Socket = User; type Params = (); type In = RawEvent; type Info = ();
/// #   async fn join(_: &Topic, _: (), _: &Context<Self>) -> Result<Joined<Self>> { Ok(Self.into()) }
/// #   async fn handle_in(&mut self, _: RawEvent, _: &Context<Self>) -> Result { Ok(Reply::ok()) } }
/// # impl Channel for Lobby { type Socket = User; type Params = (); type In = RawEvent; type Info = ();
/// #   async fn join(_: &Topic, _: (), _: &Context<Self>) -> Result<Joined<Self>> { Ok(Self.into()) }
/// #   async fn handle_in(&mut self, _: RawEvent, _: &Context<Self>) -> Result { Ok(Reply::ok()) } }
/// # fn channels(routes: Routes<User>) -> Routes<User> {
/// routes
///     .channel::<Lobby>("room:lobby")      // exactly this topic
///     .channel::<Room>("room:*")           // every other topic that starts with "room:"
/// # }
/// ```
#[must_use]
pub struct Routes<S: Socket> {
    app: Arc<S::App>,
    table: Vec<Arc<Route<S>>>,
}

pub(crate) struct Route<S: Socket> {
    /// Here, where all channels of a route find it, so that no connection needs a field for it.
    pub(crate) app: Arc<S::App>,
    pub(crate) pattern: Pattern,
    pub(crate) join: JoinFn<S>,
    /// What the route says of itself to the channels it makes.
    pub(crate) assigns: Option<Box<dyn Any + Send + Sync>>,
}

impl<S: Socket> Routes<S> {
    pub(crate) fn new(app: Arc<S::App>) -> Self {
        Self {
            app,
            table: Vec::new(),
        }
    }

    /// Serves the topics that match `pattern` with `C`: a whole topic, or its beginning followed by `*`.
    ///
    /// # Panics
    ///
    /// When `pattern` is empty, or has a `*` anywhere but at its end.
    pub fn channel<C: Channel<Socket = S>>(self, pattern: &str) -> Self {
        self.add::<C>(pattern, None)
    }

    /// As [`channel`](Self::channel), with a value that the channels of this route find in
    /// [`Context::assigns`](crate::Context::assigns). Phoenix's `channel pattern, Module, assigns: ...`.
    ///
    /// # Panics
    ///
    /// As [`channel`](Self::channel).
    pub fn channel_with<C: Channel<Socket = S>>(
        self,
        pattern: &str,
        assigns: impl Any + Send + Sync,
    ) -> Self {
        self.add::<C>(pattern, Some(Box::new(assigns)))
    }

    fn add<C: Channel<Socket = S>>(
        mut self,
        pattern: &str,
        assigns: Option<Box<dyn Any + Send + Sync>>,
    ) -> Self {
        let pattern = match Pattern::parse(pattern) {
            Ok(pattern) => pattern,
            #[expect(clippy::panic, reason = "a mistake in the program, met when it starts")]
            Err(error) => panic!("the topic pattern {pattern:?} of a route is wrong: {error}"),
        };
        self.table.push(Arc::new(Route {
            app: self.app.clone(),
            pattern,
            join: join::<C>,
            assigns,
        }));
        self
    }

    /// The number of the route that serves a topic.
    pub(crate) fn find(&self, topic: &str) -> Option<u32> {
        let at = self.table.iter().position(|it| it.pattern.matches(topic));
        at.and_then(|it| u32::try_from(it).ok())
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Arc<Route<S>>> {
        self.table.get(number as usize)
    }
}

impl<S: Socket> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.table.iter().map(|it| it.pattern.as_str()))
            .finish()
    }
}
