//! The page, kept in the program, and the JavaScript client that it uses.

use axum::{
    Router,
    http::header,
    response::Redirect,
    routing::{MethodRouter, get},
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The page's routes below `prefix`. The client is what `bennu` embeds.
pub(crate) fn routes(prefix: &str) -> Router {
    let assets = Router::new()
        .merge(bennu::client::routes())
        .route("/chat.css", asset(CSS, include_str!("../page/chat.css")))
        .route("/chat.js", asset(JS, include_str!("../page/chat.js")))
        .route("/rooms.js", asset(JS, include_str!("../page/rooms.js")))
        .route("/view.js", asset(JS, include_str!("../page/view.js")))
        .route("/bennu.svg", asset(SVG, include_str!("../page/bennu.svg")));
    let page = format!("{prefix}/");
    let router = Router::new()
        .route(&page, asset(HTML, include_str!("../page/index.html")))
        .nest(&format!("{prefix}/assets"), assets);
    if prefix.is_empty() {
        return router;
    }
    // The page names what it loads as seen from its folder.
    router.route(
        prefix,
        get(move || async move { Redirect::permanent(&page) }),
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
