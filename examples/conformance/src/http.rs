//! The HTTP side: to broadcast and disconnect from outside any channel, and to be watched.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use bennu::{Endpoint, Metrics, Payload, SocketDetails, SocketInfo, SocketRefError};
use serde::Deserialize;

pub(crate) fn routes(endpoint: Endpoint<()>) -> Router {
    Router::new()
        .route("/disconnect/{user_id}", post(disconnect))
        .route("/broadcast", post(broadcast))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/sockets", get(sockets))
        .route("/sockets/{socket}", get(socket))
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

/// 503 while it drains, so that a load balancer looks elsewhere.
async fn health(State(endpoint): State<Endpoint<()>>) -> impl IntoResponse {
    let health = endpoint.health();
    let status = match health.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health))
}

async fn metrics(State(endpoint): State<Endpoint<()>>) -> impl IntoResponse {
    let mut text = endpoint.metrics().await.to_string();
    // A soak asks whether any task is left behind.
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    text.push_str(&format!(
        "# TYPE conformance_tasks gauge\nconformance_tasks {tasks}\n"
    ));
    ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], text)
}

#[derive(Deserialize)]
struct Page {
    after: Option<String>,
}

/// The connections, a hundred at a time: the last one's name gets the next hundred.
async fn sockets(
    State(endpoint): State<Endpoint<()>>,
    Query(Page { after }): Query<Page>,
) -> Result<Json<Vec<SocketInfo>>, (StatusCode, String)> {
    let after = after.map(|it| it.parse()).transpose();
    let after = after
        .map_err(|error: SocketRefError| (StatusCode::BAD_REQUEST, format!("after: {error}")))?;
    Ok(Json(endpoint.sockets(after, 100)))
}

async fn socket(
    State(endpoint): State<Endpoint<()>>,
    Path(socket): Path<String>,
) -> Result<Json<SocketDetails>, StatusCode> {
    let socket = socket.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let details = endpoint.inspect(socket).await;
    details.map(Json).ok_or(StatusCode::NOT_FOUND)
}
