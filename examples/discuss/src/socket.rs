//! One connection: whose it is, and which topics it may join.

use std::sync::Arc;

use bennu::{ConnectInfo, Result, Routes, Socket, refuse};
use serde::Deserialize;

use crate::{App, comments::Comments, db::User, session::Session, topics::Topics};

/// A person who reads: signed in, or a guest.
pub(crate) struct Person {
    session: Option<Session>,
}

#[derive(Deserialize)]
pub(crate) struct Params {
    /// Said by pages whose user is signed in.
    #[serde(rename = "_csrf_token")]
    csrf: Option<String>,
}

impl Person {
    /// Who is signed in. Guests are nobody.
    pub(crate) fn user(&self) -> Option<&User> {
        self.session.as_ref().map(|it| &it.user)
    }
}

impl Socket for Person {
    type App = App;
    type Params = Params;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Topics>("topics")
            .channel::<Comments>("comments:*")
    }

    async fn connect(app: &Arc<App>, params: Params, info: &ConnectInfo) -> Result<Self> {
        let session = info.session::<Session>().cloned();
        // A page that thinks its user is signed in shall not go on as a guest's without a word.
        if session.is_none() && params.csrf.is_some() {
            return Err(refuse("signed out"));
        }
        if let Some(Session { user, .. }) = &session
            && app.db.user(user.id).await?.as_ref() != Some(user)
        {
            return Err(refuse("the user isn't known any more"));
        }
        Ok(Self { session })
    }

    fn id(&self) -> Option<String> {
        self.session.as_ref().map(Session::socket_id)
    }
}
