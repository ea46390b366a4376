//! The HTTP side: to broadcast and disconnect from outside any channel, and to be watched.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use bennu::{Endpoint, Payload};
use serde::Deserialize;

pub(crate) fn routes(endpoint: Endpoint<()>) -> Router {
    Router::new()
        .route("/disconnect/{user_id}", post(disconnect))
        .route("/broadcast", post(broadcast))
        .route("/health", get(|| async { "ok" }))
        .route("/metrics", get(metrics))
        .with_state(endpoint)
}

async fn disconnect(
    State(endpoint): State<Endpoint<()>>,
    Path(user_id): Path<String>,
) -> StatusCode {
    endpoint.broadcast(format!("user:{user_id}"), "disconnect", &());
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Message {
    topic: String,
    event: String,
    payload: Payload,
}

async fn broadcast(
    State(endpoint): State<Endpoint<()>>,
    body: Bytes,
) -> Result<StatusCode, (StatusCode, String)> {
    let Message {
        topic,
        event,
        payload,
    } = serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    endpoint.broadcast(topic, &event, &payload);
    Ok(StatusCode::NO_CONTENT)
}

async fn metrics(State(endpoint): State<Endpoint<()>>) -> impl IntoResponse {
    let text = format!(
        "# TYPE bennu_connections gauge\nbennu_connections {}\n# TYPE bennu_topics gauge\nbennu_topics {}\n",
        endpoint.connections(),
        endpoint.stats().topics
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
