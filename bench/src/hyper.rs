//! The floor under handshakes and requests: hyper alone, which knows neither sockets nor channels.

use std::{convert::Infallible, sync::LazyLock};

use bennu::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;

use crate::{
    Result,
    control::{Application, listen},
    echo::DEPTHS,
    frame::{ACCEPT, TOPIC, echo_reply_text, join_reply_text},
};

/// As many replies as one poll may ask for.
const DEPTH_MAX: usize = {
    let [_, deepest] = DEPTHS;
    deepest
};

/// Knows no broadcasts.
#[derive(Clone)]
struct Hyper;

impl Application for Hyper {
    async fn broadcast(&self, _: usize, _: usize) -> Result<()> {
        Err("this floor only answers requests".into())
    }
}

/// Serves until it's killed.
pub(crate) async fn serve() -> Result<()> {
    let data = listen(Hyper).await?;
    loop {
        let (stream, _) = data.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .with_upgrades();
        tokio::spawn(connection);
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.headers().contains_key(header::UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { idle(upgrade.await?).await });
        return Ok(upgraded());
    }
    let body = match *request.method() {
        Method::POST => {
            // A client that leaves in the middle of a body is nobody's loss.
            let _ = request.collect().await;
            Bytes::from_static(br#"{"status":200}"#)
        }
        _ if !request.headers().contains_key("x-phoenix-longpoll-token") => {
            Bytes::from_static(br#"{"status":410,"token":"floor","messages":[]}"#)
        }
        _ => polled(request.uri().query().unwrap_or_default()),
    };
    let mut response = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// The answer to the load client's key, which is always the same.
fn upgraded() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, ACCEPT),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Waits until the client leaves.
async fn idle(upgraded: Upgraded) -> Result<()> {
    let mut stream = TokioIo::new(upgraded);
    let mut buffer = [0; 64];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// As many replies as the query's `depth`; for none the reply to a join.
fn polled(query: &str) -> Bytes {
    /// One for each depth, made once: this floor is to cost what requests do, and not what JSON does.
    static BODIES: LazyLock<Vec<Bytes>> = LazyLock::new(|| (0..=DEPTH_MAX).map(body).collect());
    let depth = query.split('&').find_map(|it| it.strip_prefix("depth="));
    let depth = depth.map_or(Ok(0), str::parse::<usize>);
    let body = depth.ok().and_then(|depth| BODIES.get(depth));
    // The load client takes that for no answer, and says so.
    body.map_or(Bytes::from_static(br#"{"status":400}"#), Bytes::clone)
}

fn body(depth: usize) -> Bytes {
    let messages = match depth {
        0 => vec![join_reply_text(TOPIC)],
        depth => vec![echo_reply_text(); depth],
    };
    let body = serde_json::json!({"status": 200, "token": "floor", "messages": messages});
    body.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_has_as_many_replies_as_it_asks_for() {
        let check = |query: &str, status: u16, replies: usize| {
            let body: serde_json::Value = serde_json::from_slice(&polled(query)).unwrap();
            assert_eq!(body["status"], status, "{query}");
            let messages = body["messages"].as_array();
            assert_eq!(messages.map_or(0, Vec::len), replies, "{query}");
        };
        check("vsn=2.0.0&depth=0", 200, 1);
        check("vsn=2.0.0", 200, 1);
        for depth in DEPTHS {
            check(&format!("vsn=2.0.0&depth={depth}"), 200, depth);
        }
        check("depth=1000000000", 400, 0);
        check("depth=x", 400, 0);
    }
}
