//! What the scripts are played with: the application, and people in it.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use bennu::testing::{Client, ClientChannel, Connect, ConnectError};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Discuss, Options, db::Db};

/// Databases take their time on a busy machine.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 100_000;

pub(crate) struct Stage {
    pub(crate) url: String,
    pub(crate) discuss: Discuss,
}

impl Stage {
    pub(crate) async fn open(url: &str) -> Self {
        let options = Options::new(url, "a secret that only the tests know");
        Self {
            url: url.to_owned(),
            discuss: Discuss::open(&options).await.unwrap(),
        }
    }

    /// The application as it is after a restart.
    pub(crate) async fn reopened(self) -> Self {
        self.discuss.close().await;
        Self::open(&self.url).await
    }

    pub(crate) fn db(&self) -> &Db {
        &self.discuss.endpoint().app().db
    }

    pub(crate) async fn guest(&self) -> Client {
        self.connect(None).await.unwrap()
    }

    /// Somebody who has signed in by HTTP and connected.
    pub(crate) async fn person(&self, name: &str) -> Client {
        let session = self.sign_in(name).await;
        self.connect(Some(&session)).await.unwrap()
    }

    pub(crate) async fn connect(&self, session: Option<&SignedIn>) -> Result<Client, ConnectError> {
        let mut connect = Connect::new(self.discuss.endpoint(), "/discuss/socket");
        if let Some(SignedIn { cookie, csrf }) = session {
            connect = connect
                .params(json!({"_csrf_token": csrf}))
                .header("cookie", cookie);
        }
        let client = connect.open().await?;
        client.set_timeout(ANSWER_TIME_MAX);
        Ok(client)
    }

    pub(crate) async fn sign_in(&self, name: &str) -> SignedIn {
        let answer = self.post(json!({"name": name})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        SignedIn {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            csrf: answer.json["csrf"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) async fn post(&self, body: Value) -> Answer {
        let request = Request::post("/discuss/session")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        self.ask(request.unwrap()).await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let router: Router = self.discuss.router();
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// What a browser keeps of a sign-in.
pub(crate) struct SignedIn {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
    pub(crate) text: String,
}

/// A new topic of this person's.
pub(crate) async fn topic(owner: &Client, title: &str, members_only: bool) -> String {
    let list = owner.join("topics", ()).await.unwrap();
    let topic = json!({"title": title, "members_only": members_only});
    let created = bennu::testing::assert_reply!(list.push("create", topic), "ok");
    let created: Value = created.decode().unwrap();
    format!("comments:{}", created["id"])
}

/// Adds a comment, which is stored.
pub(crate) async fn add(room: &ClientChannel, n: u32, content: &str) {
    let comment = json!({"id": uuid(n), "content": content});
    bennu::testing::assert_reply!(room.push("add", comment), "ok");
}

pub(crate) fn uuid(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}
