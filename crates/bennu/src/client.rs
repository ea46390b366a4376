//! The JavaScript client, so that a page needs no npm (feature `client`).
//!
//! [`routes`] serves it: the same file that npm's `@bennu/client` has for browsers, minified, as a module and as a
//! script. It speaks to this server and to Phoenix's, and replaces npm's `phoenix`.

use std::{io::Write, sync::LazyLock};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

/// The client as an ES module: `import { Socket } from "/bennu.mjs"`.
pub const MODULE: &str = include_str!("client/bennu.min.mjs");

/// The client as a script: `<script src="/bennu.js"></script>`, then `new Bennu.Socket("/socket")`.
pub const SCRIPT: &str = include_str!("client/bennu.min.js");

/// For an hour nobody asks; then they ask whether it has changed.
const CACHE_CONTROL: &str = "public, max-age=3600";

/// `GET /bennu.mjs`, the client as an ES module, and `GET /bennu.js`, as a script that sets the global `Bennu`.
///
/// They are answered from memory, compressed for those who accept gzip, with an `ETag`; caches may keep them for an
/// hour. Every origin may load them. To have them elsewhere, nest the routes.
///
/// ```
/// use axum::{Router, body::Body};
/// use http::{Request, header};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let router: Router = Router::new().nest("/assets", bennu::client::routes());
/// let request = Request::get("/assets/bennu.mjs").body(Body::empty()).unwrap();
/// let response = router.oneshot(request).await.unwrap();
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
/// # }
/// ```
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    static FILES: LazyLock<[File; 2]> = LazyLock::new(|| [File::new(MODULE), File::new(SCRIPT)]);
    let [module, script] = &*FILES;
    Router::new()
        .route("/bennu.mjs", module.route())
        .route("/bennu.js", script.route())
}

/// A text that is served as it is.
struct File {
    plain: Bytes,
    gzip: Option<Bytes>,
    etag: String,
}

impl File {
    fn new(text: &'static str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(text.as_bytes());
        // Weak, since it names both the plain and the compressed one.
        let etag = format!(r#"W/"{}""#, URL_SAFE_NO_PAD.encode(Sha256::digest(text)));
        Self {
            plain: Bytes::from_static(text.as_bytes()),
            gzip: gzip.and_then(|()| encoder.finish()).map(Bytes::from).ok(),
            etag,
        }
    }

    fn route<S: Clone + Send + Sync + 'static>(&'static self) -> MethodRouter<S> {
        get(move |headers: HeaderMap| async move { self.answer(&headers) })
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let common = [
            (header::ETAG, self.etag.as_str()),
            (header::CACHE_CONTROL, CACHE_CONTROL),
            (header::VARY, "accept-encoding"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ];
        if has(headers, header::IF_NONE_MATCH, |known| {
            known == "*" || known.trim_start_matches("W/") == self.etag.trim_start_matches("W/")
        }) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let own = [
            (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        match &self.gzip {
            Some(gzip) if has(headers, header::ACCEPT_ENCODING, takes_gzip) => {
                let encoding = [(header::CONTENT_ENCODING, "gzip")];
                (common, own, encoding, gzip.clone()).into_response()
            }
            _ => (common, own, self.plain.clone()).into_response(),
        }
    }
}

/// Whether one of the comma-separated values that this header has is such.
fn has(headers: &HeaderMap, name: header::HeaderName, is: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name);
    let mut values = lines
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    values.any(|value| is(value.trim()))
}

/// An entry of `accept-encoding`. A weight of zero is a no.
fn takes_gzip(entry: &str) -> bool {
    let (coding, weight) = entry.split_once(';').unwrap_or((entry, "q=1"));
    let weight = weight.trim().trim_start_matches("q=").parse();
    coding.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight: f32| weight > 0.0)
}
