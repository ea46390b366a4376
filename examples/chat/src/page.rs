//! The page, kept in the program, and the JavaScript client that it uses.

use axum::{
    Router,
    http::header,
    routing::{MethodRouter, get},
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The page's routes. The client is what `bennu` embeds, at `/bennu.mjs`.
pub(crate) fn routes() -> Router {
    Router::new()
        .merge(bennu::client::routes())
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
}

fn asset(content_type: &'static str, content: &'static str) -> MethodRouter {
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (headers, content)
    })
}
