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
mod relay;
#[cfg(all(test, shuttle))]
mod schedules;
mod session;
mod sessions;
#[cfg(test)]
mod tests;
mod token;

#[cfg(feature = "fuzzing")]
pub use relay::relay_fuzzing;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use bennu_pubsub::NodeId;
use bennu_wire::Framing;
use http::{HeaderMap, Method, request::Parts};

use self::{
    answer::Answer,
    bodies::Bodies,
    post::{content_type, post, read},
    relay::{Accepted, Asking, Passed},
    session::{Session, Task},
    sessions::Sessions,
    token::Claim,
};
pub(crate) use self::{
    relay::{Relay, RelayStats},
    token::{NODE_BYTES, Signer},
};
use super::{
    Accept,
    admit::{self, Admitted, Carrier, Refusal},
    delivery::Delivery,
};
use crate::{
    LongPoll,
    params::Params,
    runtime::{Close, Mount},
    telemetry::Refused,
};

const TOKEN_HEADER: &str = "x-phoenix-longpoll-token";
const AUTH_TOKEN_HEADER: &str = "x-phoenix-authtoken";

/// One mount's long-polling.
pub(crate) struct LongPolling<T> {
    mount: Arc<Mount>,
    sockets: Arc<T>,
    desk: Arc<Desk>,
    /// The way to sessions of other nodes, where there are some.
    relay: Option<Arc<Relay>>,
}

/// Where the sessions of a mount are found.
pub(crate) struct Desk {
    options: LongPoll,
    sessions: Arc<Sessions>,
    bodies: Bodies,
    signer: Signer,
}

/// The session that a request is for.
enum Meant {
    /// None that is alive, and why it was closed, if that is known.
    Nobody(Option<Close>),
    Here(Arc<Session>),
    /// Perhaps one of this node, by this token.
    There(NodeId, String),
}

/// The handler of a mount's long-poll path.
pub(crate) fn route<T: Accept>(
    mount: Arc<Mount>,
    options: LongPoll,
    sockets: Arc<T>,
    signer: Signer,
    relay: Option<Arc<Relay>>,
) -> MethodRouter {
    let desk = Arc::new(Desk {
        sessions: Arc::new(Sessions::new(options.sessions_max)),
        bodies: Bodies::new(options.bodies_bytes_max),
        options,
        signer,
    });
    if let Some(relay) = &relay {
        relay.add(&mount.path, &desk);
    }
    let it = Arc::new(LongPolling {
        mount,
        sockets,
        desk,
        relay,
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
        let answer = match (&parts.method, self.meant(&parts)) {
            (_, Err(refusal)) => Answer::Refused(refusal),
            (&Method::GET, Ok(Meant::Here(session))) => {
                let delivery = parts.extensions.get::<Arc<Delivery>>().cloned();
                // The request isn't needed any more: while it waits it shall not keep its memory.
                drop((parts, body));
                let polling = session.poll_next().await;
                drop(session);
                let load = polling.messages().await;
                Answer::Polled(polling, load, delivery)
            }
            // Boxed, since a poll that waits would have their size as well.
            (&Method::GET, Ok(Meant::Nobody(close))) => {
                let began = Box::pin(self.begin(parts, close)).await;
                began.unwrap_or_else(Answer::Refused)
            }
            (&Method::GET, Ok(Meant::There(home, token))) => {
                drop(body);
                Box::pin(self.poll_elsewhere(parts, &home, token)).await
            }
            (&Method::POST, Ok(Meant::Here(session))) => {
                let Desk {
                    options, bodies, ..
                } = &*self.desk;
                Box::pin(post(&session, options, bodies, &parts.headers, body)).await
            }
            (&Method::POST, Ok(Meant::Nobody(close))) => Answer::Gone(close),
            (&Method::POST, Ok(Meant::There(home, token))) => {
                let passed = self.post_elsewhere(&home, &token, &parts.headers, body);
                Box::pin(passed).await
            }
            (&Method::OPTIONS, Ok(_)) => Answer::preflight(&parts.headers),
            _ => Answer::Refused(Refusal::BadRequest),
        };
        answer.into_response()
    }

    /// Asks another node for its session's messages. Where there's no such session, one begins here.
    async fn poll_elsewhere(&self, parts: Parts, home: &NodeId, token: String) -> Answer {
        let relay = self.relay.as_ref();
        let Some(mut asking) = relay.and_then(|it| it.poll(home, &self.mount.path, &token)) else {
            return Answer::Refused(Refusal::Unavailable);
        };
        match asking.accepted().await {
            Accepted::Yes => {}
            Accepted::Busy => return Answer::Refused(Refusal::Unavailable),
            Accepted::No => {
                let close = asking.into_close();
                let began = self.begin(parts, close).await;
                return began.unwrap_or_else(Answer::Refused);
            }
        }
        let delivery = parts.extensions.get::<Arc<Delivery>>().cloned();
        drop(parts);
        match asking.answer(self.desk.options.window, &token).await {
            Passed::Messages(relayed) => Answer::Relayed(relayed.watched_by(delivery)),
            Passed::Nothing(close) => Answer::Nothing(token, close),
            Passed::Gone(_) | Passed::Handled(..) => Answer::Nothing(token, None),
        }
    }

    /// Passes what is posted on to another node.
    async fn post_elsewhere(
        &self,
        home: &NodeId,
        token: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Answer {
        let Desk {
            options, bodies, ..
        } = &*self.desk;
        let body = match read(options, bodies, body).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let content_type = content_type(headers).unwrap_or_default();
        let path = &self.mount.path;
        let relay = self.relay.as_ref();
        let asking = relay.and_then(|it| it.post(home, path, token, content_type, &body.bytes()));
        let Some(mut asking) = asking else {
            return Answer::Refused(Refusal::Unavailable);
        };
        match asking.accepted().await {
            Accepted::Yes => {}
            Accepted::Busy => return Answer::Refused(Refusal::Unavailable),
            Accepted::No => return Answer::Gone(asking.into_close()),
        }
        // The other node has it, or will not have it.
        drop(body);
        handled(asking, options.window, token).await
    }

    /// Lets a client in, which may have had a session before.
    async fn begin(&self, mut parts: Parts, before: Option<Close>) -> Result<Answer, Refusal> {
        let params = admit::params(&self.mount, &mut parts).await?;
        if self.desk.sessions.is_full() {
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
        let Desk {
            options,
            sessions,
            signer,
            ..
        } = &*self.desk;
        let session = sessions
            .begin(|id| {
                let token = signer.sign(id, SystemTime::now());
                Session::new(id, token, conn, options.window)
            })
            .ok_or_else(|| self.too_many())?;
        let sessions = sessions.clone();
        tokio::spawn(Task::new(session.clone(), seat, sessions, driver));
        Ok(Answer::Began(session, before))
    }

    fn too_many(&self) -> Refusal {
        self.mount.counters.refuse(Refused::TooManySessions);
        let (path, sessions_max) = (&self.mount.path, self.desk.options.sessions_max);
        tracing::warn!(
            path,
            sessions_max,
            "refused a connection: too many sessions"
        );
        Refusal::Unavailable
    }

    /// The session that a request is for. The header says which, and where there is none the query. A wrong header isn't
    /// made good by a right query.
    fn meant(&self, parts: &Parts) -> Result<Meant, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let params = Params::parse(query).ok_or(Refusal::BadRequest)?;
        let token = match parts.headers.get(TOKEN_HEADER) {
            Some(header) => header.to_str().ok(),
            None => params.text("token"),
        };
        Ok(token.map_or(Meant::Nobody(None), |token| self.desk.meant(token)))
    }
}

impl Desk {
    fn meant(&self, token: &str) -> Meant {
        let age_max = self.options.token_age_max;
        match self.signer.verify(token, age_max, SystemTime::now()) {
            Some(Claim::Here(id)) => match self.sessions.get(id) {
                Some(session) => Meant::Here(session),
                None => Meant::Nobody(self.sessions.ended(id)),
            },
            Some(Claim::There(node)) => Meant::There(node, token.to_owned()),
            None => Meant::Nobody(None),
        }
    }

    /// A session of this node, or else why it was closed, if that is known.
    fn session(&self, token: &str) -> Result<Arc<Session>, Option<Close>> {
        match self.meant(token) {
            Meant::Here(session) => Ok(session),
            Meant::Nobody(close) => Err(close),
            Meant::There(..) => Err(None),
        }
    }
}

/// What another node made of a post.
async fn handled(asking: Asking, window: Duration, token: &str) -> Answer {
    match asking.answer(window, token).await {
        Passed::Gone(close) => Answer::Gone(close),
        Passed::Handled(status, why) if why.is_empty() => Answer::Status(status),
        Passed::Handled(status, why) => Answer::Malformed(status, why.into()),
        Passed::Nothing(_) | Passed::Messages(_) => Answer::Status(408),
    }
}
