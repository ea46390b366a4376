//! Signing in and out, and what is served.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use bennu::testing::{Close, assert_reply};
use serde_json::json;
use tower::ServiceExt;

use super::people::{SignedIn, Stage, topic};
use crate::{Discuss, Options};

pub(crate) async fn signing_in_gives_a_session_and_signing_out_ends_its_sockets(stage: Stage) {
    let (here, there) = (stage.sign_in("Ada").await, stage.sign_in("Ada").await);
    let at = async |session| stage.connect(Some(session)).await.unwrap();
    let (ada, elsewhere) = (at(&here).await, at(&there).await);
    let delete = |csrf: &str| {
        let request = Request::delete("/discuss/session").header("cookie", &here.cookie);
        request.header("x-csrf-token", csrf).body(Body::empty())
    };
    let forged = stage.ask(delete(&there.csrf).unwrap()).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let out = stage.ask(delete(&here.csrf).unwrap()).await;
    assert_eq!(
        (out.status, &out.json),
        (StatusCode::OK, &json!({"user": null, "csrf": null}))
    );
    let cookie = out.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("discuss_session=; Path=/discuss/; Max-Age=0"),
        "{cookie}"
    );
    assert_eq!(ada.closed().await, Some(Close::new(1001, "disconnected")));
    // The other sign-in goes on.
    assert!(
        topic(&elsewhere, "Still here", false)
            .await
            .starts_with("comments:")
    );
}

pub(crate) async fn a_session_is_for_pages_that_know_its_csrf_token(stage: Stage) {
    let ada = stage.sign_in("Ada").await;
    let ben = stage.sign_in("Ben").await;
    let told = Request::get("/discuss/session").header("cookie", format!("a=b; {}", ada.cookie));
    let told = stage.ask(told.body(Body::empty()).unwrap()).await;
    assert_eq!(told.json, json!({"user": "Ada", "csrf": ada.csrf}));
    assert_eq!(told.headers[header::CACHE_CONTROL], "no-store");
    let forged = |cookie: &str, csrf: &str| SignedIn {
        cookie: cookie.to_owned(),
        csrf: csrf.to_owned(),
    };
    let cut = ada.cookie.get(..ada.cookie.len() - 1).unwrap();
    for forged in [
        forged(&ada.cookie, &ben.csrf),
        forged(cut, &ada.csrf),
        forged("discuss_session=", &ada.csrf),
    ] {
        let refused = stage.connect(Some(&forged)).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    // With a cookie, but without the token, it's a guest.
    let guest = bennu::testing::Connect::new(stage.discuss.endpoint(), "/discuss/socket")
        .header("cookie", &ada.cookie)
        .open();
    let list = guest.await.unwrap().join("topics", ()).await.unwrap();
    let create = list.push("create", json!({"title": "Forged", "members_only": false}));
    assert_reply!(create, "error", {"reason": "sign in to open a topic"});
}

pub(crate) async fn names_are_judged(stage: Stage) {
    let answer = stage.post(json!({"name": "  "})).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json, json!({"errors": {"name": ["is required"]}}));
    assert_eq!(
        stage.post(json!({})).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let long = stage.post(json!({"name": "x".repeat(5_000)})).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    // What a form of another site could send.
    let form = Request::post("/discuss/session")
        .header("content-type", "text/plain")
        .body(Body::from(r#"{"name": "Ada"}"#));
    let form = stage.ask(form.unwrap()).await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(form.headers.get(header::SET_COOKIE).is_none());
}

pub(crate) async fn pages_are_served_under_the_prefix(stage: Stage) {
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty());
        stage.ask(request.unwrap()).await
    };
    assert_eq!(get("/discuss").await.headers[header::LOCATION], "/discuss/");
    for (path, starts) in [
        ("/discuss/", "<!doctype html>"),
        ("/discuss/topics/7", "<!doctype html>"),
        ("/discuss/assets/topic.js", "//"),
        ("/discuss/assets/thread.js", "//"),
        ("/discuss/assets/discuss.css", "/*"),
        ("/discuss/assets/ibis.svg", "<svg"),
        ("/discuss/assets/bennu.mjs", ""),
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.text.starts_with(starts), "{path}");
        assert!(!answer.text.contains("{{"), "{path}");
    }
    assert_eq!(
        get("/discuss/socket/websocket").await.status,
        StatusCode::UPGRADE_REQUIRED
    );
    assert_eq!(get("/topics/7").await.status, StatusCode::NOT_FOUND);
    for (prefix, home) in [("", "/"), ("/", "/"), ("a/b", "/a/b/")] {
        let mut options = Options::new(&stage.url, "a secret that only the tests know");
        options.prefix = prefix.to_owned();
        let router = Discuss::open(&options).await.unwrap().router();
        let request = Request::get(home).body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{prefix:?}");
    }
    let policy = &get("/discuss/").await.headers[header::CONTENT_SECURITY_POLICY];
    assert!(policy.to_str().unwrap().contains("default-src 'none'"));
}

/// The cookie of another database, whose users were others.
pub(crate) async fn a_session_of_an_unknown_user_is_none(stage: Stage) {
    let before = stage.sign_in("Ada").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fresh.db");
    let stage = Stage::open(&format!("sqlite://{}", file.display())).await;
    for others in [None, Some("Ben")] {
        if let Some(name) = others {
            stage.sign_in(name).await;
        }
        let refused = stage.connect(Some(&before)).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let told = Request::get("/discuss/session").header("cookie", &before.cookie);
        let told = stage.ask(told.body(Body::empty()).unwrap()).await;
        assert_eq!(told.json, json!({"user": null, "csrf": null}));
    }
}
