//! The socket at `/socket` and its routes.

use std::sync::Arc;

use bennu::{ConnectInfo, Result, Routes, Socket, refuse};
use serde::Deserialize;

use crate::{filtered::Filtered, lobby::Lobby, room::Room};

pub(crate) struct UserSocket {
    pub(crate) user_id: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Params {
    user_id: Option<String>,
    token: Option<String>,
}

impl Socket for UserSocket {
    type App = ();
    type Params = Params;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Room>("room:*")
            .channel::<Lobby>("lobby:*")
            .channel::<Filtered>("filtered:*")
    }

    async fn connect(_: &Arc<()>, params: Params, info: &ConnectInfo) -> Result<Self> {
        if params.token.as_deref() == Some("bad") || info.auth_token() == Some("bad") {
            return Err(refuse("bad token"));
        }
        Ok(Self {
            user_id: params.user_id,
        })
    }

    fn id(&self) -> Option<String> {
        self.user_id.as_ref().map(|id| format!("user:{id}"))
    }
}
