//! A socket: one connection and the channels it may join.

use std::{future::Future, sync::Arc};

use serde::de::DeserializeOwned;

use crate::{ConnectInfo, Result, Routes};

/// One client's connection. Its fields are what all its channels may know of the client: the user's id, say.
///
/// Phoenix's `Phoenix.Socket`, and its `socket.assigns`.
///
/// ```
/// use std::sync::Arc;
/// use bennu::{ConnectInfo, Endpoint, Result, Routes, Socket, refuse};
/// use serde::Deserialize;
///
/// struct App;
/// struct UserSocket { user_id: u64 }
///
/// #[derive(Deserialize)]
/// struct Login { token: String }
///
/// impl Socket for UserSocket {
///     type App = App;
///     type Params = Login;
///
///     fn channels(routes: Routes<Self>) -> Routes<Self> {
///         routes // .channel::<Room>("room:*")
///     }
///
///     async fn connect(_: &Arc<App>, login: Login, _: &ConnectInfo) -> Result<Self> {
///         match login.token.as_str() {
///             "secret" => Ok(Self { user_id: 7 }),
///             _ => Err(refuse("unknown token")),
///         }
///     }
///
///     fn id(&self) -> Option<String> {
///         Some(format!("user:{}", self.user_id))
///     }
/// }
///
/// let endpoint = Endpoint::new(App).socket::<UserSocket>("/socket");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a socket",
    label = "needs `impl Socket for {Self}`",
    note = "`Endpoint::socket::<S>(path)` takes a type that implements `bennu::Socket`"
)]
pub trait Socket: Send + Sync + Sized + 'static {
    /// What the endpoint was made with, shared by all connections.
    type App: Send + Sync + 'static;
    /// What a client gives in the address: the query string, nested as `a[b]=1`, and the path's variables.
    /// `()` takes anything.
    type Params: DeserializeOwned + Send;

    /// The topics of this socket, first match first.
    fn channels(routes: Routes<Self>) -> Routes<Self>;

    /// Lets a client connect, or refuses it with status 403.
    fn connect(
        app: &Arc<Self::App>,
        params: Self::Params,
        info: &ConnectInfo,
    ) -> impl Future<Output = Result<Self>> + Send;

    /// Names the connection: `endpoint.broadcast(id, "disconnect", &())` closes all connections of that id.
    fn id(&self) -> Option<String> {
        None
    }
}
