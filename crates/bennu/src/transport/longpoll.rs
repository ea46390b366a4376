//! The long-polling transport: a session over many requests. GETs fetch what the server sends, POSTs bring what the
//! client sends, and a signed token says which session is meant.
//!
//! HTTP's status is 200 for all that the protocol says; its own status is in the body, which is JSON
//! (`Phoenix.Transports.LongPoll`). A client that asks for `binary=base64` with its first request gets binary messages
//! as entries in Base64, as it sends them; others never see them.
//!
//! A session is a task like that of a WebSocket connection, over the same outbox. The token is not a cookie and must be
//! said by the client itself, so no other site's page can speak for it; therefore every origin may read the answers.

mod answer;
mod bodies;
mod polling;
mod post;
mod session;
mod sessions;
#[cfg(test)]
mod tests;
mod token;

use std::{sync::Arc, time::SystemTime};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use bennu_wire::Framing;
use http::{HeaderMap, Method, request::Parts};

pub(crate) use self::token::{NODE_BYTES, Signer};
use self::{
    answer::Answer,
    bodies::Bodies,
    post::post,
    session::{Session, Task},
    sessions::Sessions,
};
use super::{
    Accept,
    admit::{self, Admitted, Carrier, Refusal},
    delivery::Delivery,
};
use crate::{LongPoll, params::Params, runtime::Mount, telemetry::Refused};

const TOKEN_HEADER: &str = "x-phoenix-longpoll-token";
const AUTH_TOKEN_HEADER: &str = "x-phoenix-authtoken";

/// One mount's long-polling.
pub(crate) struct LongPolling<T> {
    mount: Arc<Mount>,
    options: LongPoll,
    sockets: Arc<T>,
    sessions: Arc<Sessions>,
    bodies: Bodies,
    signer: Signer,
}

/// The handler of a mount's long-poll path.
pub(crate) fn route<T: Accept>(
    mount: Arc<Mount>,
    options: LongPoll,
    sockets: Arc<T>,
    signer: Signer,
) -> MethodRouter {
    let sessions = Arc::new(Sessions::new(options.sessions_max));
    let bodies = Bodies::new(options.bodies_bytes_max);
    let it = Arc::new(LongPolling {
        mount,
        options,
        sockets,
        sessions,
        bodies,
        signer,
    });
    any(move |request: Request| {
        let it = it.clone();
        async move { it.answer(request).await }
    })
}

impl<T: Accept> LongPolling<T> {
    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        if let Err(refusal) = admit::origin(&self.mount, &parts) {
            return Answer::Refused(refusal).into_response();
        }
        let answer = match (&parts.method, self.session(&parts)) {
            (_, Err(refusal)) => Answer::Refused(refusal),
            (&Method::GET, Ok(Some(session))) => {
                let delivery = parts.extensions.get::<Arc<Delivery>>().cloned();
                // The request isn't needed any more: while it waits it shall not keep its memory.
                drop((parts, body));
                let polling = session.poll();
                let load = polling.messages().await;
                Answer::Polled(polling, load, delivery)
            }
            // Boxed, since a poll that waits would have their size as well.
            (&Method::GET, Ok(None)) => {
                let began = Box::pin(self.begin(parts)).await;
                began.unwrap_or_else(Answer::Refused)
            }
            (&Method::POST, Ok(Some(session))) => {
                let Self {
                    options, bodies, ..
                } = self;
                Box::pin(post(&session, options, bodies, &parts.headers, body)).await
            }
            (&Method::POST, Ok(None)) => Answer::Status(410),
            (&Method::OPTIONS, Ok(_)) => Answer::preflight(&parts.headers),
            _ => Answer::Refused(Refusal::BadRequest),
        };
        answer.into_response()
    }

    /// Lets a client in.
    async fn begin(&self, mut parts: Parts) -> Result<Answer, Refusal> {
        let params = admit::params(&self.mount, &mut parts).await?;
        if self.sessions.is_full() {
            return Err(self.too_many());
        }
        let auth_token = self.mount.options.auth_token.then(|| {
            let token = parts.headers.get(AUTH_TOKEN_HEADER)?.to_str().ok()?;
            Some(token.to_owned())
        });
        let carrier = Carrier {
            framing: match params.text("binary") {
                Some("base64") => Framing::LongPollBase64,
                _ => Framing::LongPoll,
            },
            deflate: false,
            auth_token: auth_token.flatten(),
        };
        let Admitted { seat, conn, driver } =
            admit::connect(&self.mount, &*self.sockets, params, parts, carrier).await?;
        let session = self
            .sessions
            .begin(|id| {
                let token = self.signer.sign(id, SystemTime::now());
                Session::new(id, token, conn, self.options.window)
            })
            .ok_or_else(|| self.too_many())?;
        let sessions = self.sessions.clone();
        tokio::spawn(Task::new(session.clone(), seat, sessions, driver));
        Ok(Answer::Began(session))
    }

    fn too_many(&self) -> Refusal {
        self.mount.counters.refuse(Refused::TooManySessions);
        let (path, sessions_max) = (&self.mount.path, self.options.sessions_max);
        tracing::warn!(
            path,
            sessions_max,
            "refused a connection: too many sessions"
        );
        Refusal::Unavailable
    }

    /// The session that a request is for. `None` where it is for none that is alive.
    fn session(&self, parts: &Parts) -> Result<Option<Arc<Session>>, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let params = Params::parse(query).ok_or(Refusal::BadRequest)?;
        Ok(self.find(&params, &parts.headers))
    }

    /// The header says which session is meant, and where there is none the query. A wrong header isn't made good by a
    /// right query.
    fn find(&self, params: &Params, headers: &HeaderMap) -> Option<Arc<Session>> {
        let token = match headers.get(TOKEN_HEADER) {
            Some(header) => header.to_str().ok()?,
            None => params.text("token")?,
        };
        let age_max = self.options.token_age_max;
        let id = self.signer.verify(token, age_max, SystemTime::now())?;
        self.sessions.get(id)
    }
}
