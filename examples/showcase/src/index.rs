//! The first page: what there is, and where.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect},
    routing::get,
};

use crate::address::Addresses;

/// Nothing but this server's own styles and pictures; there is no script.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The page is looked at by whoever may reach it, the big screen's link only shown to whoever sits here.
const CONSOLE: &str = "{{console}}";
const PHONES: &str = "{{phones}}";

/// The page's routes. `console` makes a fresh link to the race's big screen.
pub(crate) fn routes<F>(addresses: Addresses, console: F) -> Router
where
    F: Fn() -> Option<String> + Clone + Send + Sync + 'static,
{
    let index = async move |ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap| {
        let console = match is_here(peer.ip(), &headers) {
            true => console(),
            false => None,
        };
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, page(&addresses, console.as_deref()))
    };
    let style = async || {
        let headers = [
            (header::CONTENT_TYPE, "text/css; charset=utf-8"),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (headers, include_str!("../page/showcase.css")).into_response()
    };
    // Browsers ask for it by themselves.
    let icon = async || Redirect::permanent("/chat/assets/bennu.svg");
    Router::new()
        .route("/", get(index))
        .route("/showcase.css", get(style))
        .route("/favicon.ico", get(icon))
}

/// Whether it's the person at this computer who asks: not a proxy for others, nor a page of another site whose name was
/// made to lead here.
fn is_here(peer: IpAddr, headers: &HeaderMap) -> bool {
    const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "via"];
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    let name = host.map(|it| it.rsplit_once(':').map_or(it, |(name, _)| name));
    peer.to_canonical().is_loopback()
        && matches!(name, Some("localhost" | "127.0.0.1" | "[::1]"))
        && !FORWARDED.iter().any(|name| headers.contains_key(*name))
}

fn page(addresses: &Addresses, console: Option<&str>) -> String {
    let console = match console {
        Some(path) => format!(r#"<a class="second" href="{path}">Big screen</a>"#),
        None => "<span>The big screen opens on the computer that runs this.</span>".to_owned(),
    };
    let phones = match &addresses.phones {
        Some(url) => format!(r#"On phones in the same network: <a href="{url}/">{url}/</a>"#),
        None => "Phones can’t reach this program as it was started.".to_owned(),
    };
    include_str!("../page/index.html")
        .replace(CONSOLE, &console)
        .replace(PHONES, &phones)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::{bus::Bus, data::Data, site::Site};

    #[test]
    fn the_big_screen_is_for_whoever_sits_here() {
        let check = |peer: &str, headers: &[(&'static str, &'static str)], expected: bool| {
            let headers = headers.iter().map(|(name, value)| {
                let name = name.parse::<header::HeaderName>().unwrap();
                (name, value.parse().unwrap())
            });
            let found = is_here(peer.parse().unwrap(), &headers.collect());
            assert_eq!(found, expected, "{peer}");
        };
        check("127.0.0.1", &[("host", "localhost:4000")], true);
        check("::1", &[("host", "[::1]:4000")], true);
        check("::ffff:127.0.0.1", &[("host", "127.0.0.1")], true);
        check("10.1.2.3", &[("host", "localhost:4000")], false);
        check("127.0.0.1", &[("host", "rebound.example:4000")], false);
        check("127.0.0.1", &[], false);
        let proxied = [("host", "localhost"), ("x-forwarded-for", "10.1.2.3")];
        check("127.0.0.1", &proxied, false);
    }

    /// The status and the body.
    async fn ask(router: &Router, peer: &str, path: &str) -> (u16, String) {
        let peer: SocketAddr = peer.parse().unwrap();
        let request = Request::get(path)
            .header(header::HOST, "localhost:4000")
            .extension(ConnectInfo(peer))
            .body(Body::empty());
        let response = router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn everything_that_the_page_leads_to_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::open(folder.path()).unwrap();
        let site = Site::open(&data, &Bus::default()).await.unwrap();
        let router = site.router(Addresses::of("127.0.0.1:4000".parse().unwrap()));
        let (status, page) = ask(&router, "127.0.0.1:9", "/").await;
        assert_eq!(status, 200);
        assert!(!page.contains("{{"), "{page}");
        let values = page.split("=\"").skip(1);
        let links = values.filter_map(|it| it.split(['"', '#']).next());
        let links: Vec<_> = links.filter(|it| it.starts_with('/')).collect();
        for path in ["/chat/", "/discuss/", "/tap-racer/", "/tap-racer/console"] {
            assert!(links.contains(&path), "{path} isn't among {links:?}");
        }
        for path in links {
            assert_eq!(ask(&router, "127.0.0.1:9", path).await.0, 200, "{path}");
        }
        assert_eq!(ask(&router, "10.1.2.3:9", "/health").await.0, 200);
        let (status, page) = ask(&router, "10.1.2.3:9", "/").await;
        assert_eq!(status, 200);
        assert!(!page.contains("/console"), "{page}");
        site.discuss.close().await;
    }
}
