//! The page, kept in the program, and the JavaScript client that it uses.

use std::{fs, io, path::Path};

use axum::{
    Router,
    body::Bytes,
    http::header,
    routing::{MethodRouter, get},
};

/// Where `cargo xtask test` installs Phoenix's client.
const INSTALLED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/phoenix-js/node_modules/phoenix-new/priv/static/phoenix.mjs"
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The page's routes, with the client at `phoenix_js`, or the one that is installed, or our own small one.
pub(crate) fn routes(phoenix_js: Option<&Path>) -> io::Result<Router> {
    let client = match phoenix_js {
        Some(file) => fs::read_to_string(file)?,
        None => fs::read_to_string(INSTALLED)
            .unwrap_or_else(|_| include_str!("../page/phoenix-lite.js").to_owned()),
    };
    let client = Bytes::from(client);
    Ok(Router::new()
        .route("/", asset(HTML, include_str!("../page/index.html")))
        .route(
            "/assets/chat.css",
            asset(CSS, include_str!("../page/chat.css")),
        )
        .route(
            "/assets/chat.js",
            asset(JS, include_str!("../page/chat.js")),
        )
        .route(
            "/assets/rooms.js",
            asset(JS, include_str!("../page/rooms.js")),
        )
        .route(
            "/assets/view.js",
            asset(JS, include_str!("../page/view.js")),
        )
        .route(
            "/assets/bennu.svg",
            asset(SVG, include_str!("../page/bennu.svg")),
        )
        .route("/assets/phoenix.mjs", asset(JS, client)))
}

fn asset(content_type: &'static str, content: impl Into<Bytes>) -> MethodRouter {
    let content = content.into();
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (headers, content)
    })
}
