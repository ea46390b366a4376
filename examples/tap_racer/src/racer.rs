//! One connection, of a player or a console.

use std::sync::Arc;

use bennu::{ConnectInfo, Result, Routes, Socket};
use serde::{Deserialize, Serialize};

use crate::{
    App,
    console::Console,
    play::Play,
    player::PlayerId,
    referee::{CONSOLE, PLAY},
};

pub(crate) struct Racer {
    pub(crate) app: Arc<App>,
    pub(crate) role: Role,
}

pub(crate) enum Role {
    Console,
    Player { id: PlayerId, token: String },
}

/// What a token says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pass {
    Console,
    Player(PlayerId),
}

#[derive(Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    token: Option<String>,
}

impl Socket for Racer {
    type App = App;
    type Params = Params;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Console>(CONSOLE).channel::<Play>(PLAY)
    }

    /// Nobody is refused here, since browsers can't be told why: a token that is old or forged is as none, and makes its
    /// holder a new player, who may do nothing yet. The topics refuse in words.
    async fn connect(app: &Arc<App>, params: Params, _: &ConnectInfo) -> Result<Self> {
        let role = match app.open(params.token.as_deref()) {
            Some(Pass::Console) => Role::Console,
            Some(Pass::Player(id)) => Role::Player {
                id,
                token: params.token.unwrap_or_default(),
            },
            None => {
                let id = PlayerId::random()?;
                let token = app.seal(&Pass::Player(id))?;
                Role::Player { id, token }
            }
        };
        Ok(Self {
            app: app.clone(),
            role,
        })
    }

    fn id(&self) -> Option<String> {
        match self.role {
            Role::Console => None,
            Role::Player { id, .. } => Some(id.socket_id()),
        }
    }
}
