//! The pages, kept in the program, and the JavaScript client that they use.

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use qrcode::{QrCode, render::svg};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
/// A host's name has at most 253 characters, and a port.
const HOST_BYTES_MAX: usize = 260;

/// The pages' routes below `prefix`. The client is what `bennu` embeds.
pub(crate) fn routes(prefix: &str) -> Router {
    let assets = Router::new()
        .merge(bennu::client::routes())
        .route("/racer.css", asset(CSS, include_str!("../page/racer.css")))
        .route("/play.js", asset(JS, include_str!("../page/play.js")))
        .route("/console.js", asset(JS, include_str!("../page/console.js")))
        .route("/line.js", asset(JS, include_str!("../page/line.js")))
        .route("/view.js", asset(JS, include_str!("../page/view.js")))
        .route("/bennu.svg", asset(SVG, include_str!("../page/bennu.svg")));
    let players = format!("{prefix}/");
    let router = Router::new()
        .route(&players, asset(HTML, include_str!("../page/index.html")))
        .route(
            &format!("{prefix}/console"),
            asset(HTML, include_str!("../page/console.html")),
        )
        .route(&format!("{prefix}/qr.svg"), code(players.clone()))
        .nest(&format!("{prefix}/assets"), assets);
    if prefix.is_empty() {
        return router;
    }
    // The pages name what they load as seen from their folder.
    router.route(
        prefix,
        get(move || async move { Redirect::permanent(&players) }),
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

/// The players' address as a picture for the cameras of phones: as the console was asked for, so that it's right behind
/// a proxy.
fn code(path: String) -> MethodRouter {
    get(async move |headers: HeaderMap| {
        let header = |name| headers.get(name).and_then(|it| it.to_str().ok());
        let scheme = match header("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        picture(scheme, header("host").unwrap_or_default(), &path)
    })
}

fn picture(scheme: &str, host: &str, path: &str) -> Response {
    let is_host = |it: char| it.is_ascii_alphanumeric() || "-._:[]".contains(it);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(is_host) {
        return (StatusCode::BAD_REQUEST, "this needs a Host\n").into_response();
    }
    let Ok(code) = QrCode::new(format!("{scheme}://{host}{path}")) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let picture = code
        .render()
        .min_dimensions(200, 200)
        .dark_color(svg::Color("#2a241d"))
        .light_color(svg::Color("#fffcf7"))
        .build();
    let headers = [
        (header::CONTENT_TYPE, SVG),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, picture).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_of_hosts_only() {
        let check = |host: &str, expected: StatusCode| {
            let status = picture("http", host, "/tap-racer/").status();
            assert_eq!(status, expected, "{host}");
        };
        check("example.com:4000", StatusCode::OK);
        check("[::1]:4000", StatusCode::OK);
        check("", StatusCode::BAD_REQUEST);
        check("a b", StatusCode::BAD_REQUEST);
        check("<script>", StatusCode::BAD_REQUEST);
        check(&"x".repeat(261), StatusCode::BAD_REQUEST);
    }
}
