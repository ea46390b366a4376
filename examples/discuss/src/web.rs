//! HTTP: the pages, kept in the program, and who signs in and out.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use bennu::Endpoint;
use serde::{Deserialize, Serialize};

use crate::{
    App, form, now,
    session::{Session, Sessions},
};

/// More than the longest name takes.
const BODY_BYTES_MAX: usize = 4096;
/// Where pages may load from, and whom they may talk to: this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// What stands for the prefix in the pages' text.
const PREFIX: &str = "{{prefix}}";

#[derive(Clone)]
struct Web {
    endpoint: Endpoint<App>,
    sessions: Sessions,
}

/// All routes below `prefix`, but the socket's.
pub(crate) fn routes(prefix: &str, endpoint: Endpoint<App>, sessions: Sessions) -> Router {
    let page = |path: &str, content_type, text: &str| {
        let text = text.replace(PREFIX, prefix);
        (format!("{prefix}{path}"), asset(content_type, text))
    };
    let index = laid_out("Discuss", "index.js", include_str!("../page/index.html"));
    let topic = laid_out(
        "Topic · Discuss",
        "topic.js",
        include_str!("../page/topic.html"),
    );
    let assets = [
        page("/", HTML, &index),
        page("/topics/{id}", HTML, &topic),
        page(
            "/assets/discuss.css",
            CSS,
            include_str!("../page/discuss.css"),
        ),
        page("/assets/index.js", JS, include_str!("../page/index.js")),
        page("/assets/topic.js", JS, include_str!("../page/topic.js")),
        page("/assets/thread.js", JS, include_str!("../page/thread.js")),
        page("/assets/link.js", JS, include_str!("../page/link.js")),
        page("/assets/view.js", JS, include_str!("../page/view.js")),
        page("/assets/ibis.svg", SVG, include_str!("../page/ibis.svg")),
    ];
    let session = get(session).post(sign_in).delete(sign_out);
    let mut router = Router::new()
        .route(&format!("{prefix}/session"), session)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Web { endpoint, sessions })
        .nest(&format!("{prefix}/assets"), bennu::client::routes());
    for (path, route) in assets {
        router = router.route(&path, route);
    }
    if !prefix.is_empty() {
        let home = format!("{prefix}/");
        let home = get(move || async move { Redirect::permanent(&home) });
        router = router.route(prefix, home);
    }
    router
}

/// A page: what both have around it, and its own.
fn laid_out(title: &str, script: &str, main: &str) -> String {
    include_str!("../page/layout.html")
        .replace("{{title}}", title)
        .replace("{{script}}", script)
        .replace("{{main}}", main)
}

fn asset(content_type: &'static str, content: String) -> MethodRouter {
    let content = axum::body::Bytes::from(content);
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
        ];
        (headers, content)
    })
}

/// Who the page's user is.
#[derive(Serialize)]
struct Told {
    /// The name; `null` for guests.
    user: Option<String>,
    /// What the page says to the socket and when it signs out.
    csrf: Option<String>,
}

impl Told {
    fn answer(session: Option<Session>) -> Response {
        let told = Self {
            user: session.as_ref().map(|it| it.user.name.clone()),
            csrf: session.map(|it| it.csrf),
        };
        ([(header::CACHE_CONTROL, "no-store")], Json(told)).into_response()
    }
}

async fn session(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Failed> {
    let mut session = web.sessions.of(&headers);
    if let Some(Session { user, .. }) = &session
        && web.endpoint.app().db.user(user.id).await?.as_ref() != Some(user)
    {
        session = None;
    }
    Ok(Told::answer(session))
}

#[derive(Deserialize)]
struct SignIn {
    name: String,
}

/// Signs in by name alone. Only JSON is taken, which pages of other sites can't send.
async fn sign_in(
    State(web): State<Web>,
    headers: HeaderMap,
    Json(SignIn { name }): Json<SignIn>,
) -> Result<Response, Failed> {
    let name = match form::name(&name) {
        Ok(name) => name,
        Err(errors) => return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(errors)).into_response()),
    };
    let user = web.endpoint.app().db.sign_in(&name, now()).await?;
    let (session, cookie) = web.sessions.begin(user).ok_or(Failed)?;
    web.disconnect(web.sessions.of(&headers).as_ref());
    with_cookie(Told::answer(Some(session)), &cookie)
}

/// Signs out, and closes what is connected by this sign-in.
async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Failed> {
    if let Some(session) = web.sessions.of(&headers) {
        let said = headers.get("x-csrf-token").map(HeaderValue::as_bytes);
        if said != Some(session.csrf.as_bytes()) {
            return Ok(StatusCode::FORBIDDEN.into_response());
        }
        web.disconnect(Some(&session));
    }
    with_cookie(Told::answer(None), &web.sessions.end())
}

impl Web {
    fn disconnect(&self, session: Option<&Session>) {
        if let Some(session) = session {
            self.endpoint
                .broadcast(session.socket_id(), "disconnect", &());
        }
    }
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, Failed> {
    let cookie = HeaderValue::from_str(cookie).map_err(|_| Failed)?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Something that isn't the client's fault; the log says what.
struct Failed;

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "failed to ask the database");
        Self
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
