//! axum's own WebSocket, with a `tokio::sync::broadcast` channel for each topic. It speaks as much of Phoenix's protocol as
//! the load client asks for, so all texts are those that Bennu sends; each message is sent as a text frame of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::any,
    serve::ListenerExt,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

use crate::{
    Result,
    control::{Application, listen},
    frame::{EVENT, TOPIC},
    server::NewMsg,
};

/// Messages that a topic keeps for subscribers that are slow.
const TOPIC_MESSAGES_MAX: usize = 1024;

/// The topics that somebody has joined.
#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, Sender<Utf8Bytes>>>>);

/// What clients send: join ref, ref, topic, event and payload.
#[derive(Deserialize)]
struct Push<'a>(
    Option<&'a str>,
    Option<&'a str>,
    &'a str,
    &'a str,
    #[serde(borrow)] &'a RawValue,
);

#[derive(Serialize)]
struct Reply<'a> {
    status: &'a str,
    response: &'a RawValue,
}

impl Topics {
    fn sender(&self, topic: &str) -> Sender<Utf8Bytes> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = topics
            .entry(topic.to_owned())
            .or_insert_with(|| channel(TOPIC_MESSAGES_MAX).0);
        sender.clone()
    }
}

impl Application for Topics {
    async fn broadcast(&self, times: usize, bytes: usize) -> Result<()> {
        let sender = self.sender(TOPIC);
        let payload = NewMsg::new(bytes);
        for _ in 0..times {
            let none = None::<&str>;
            let text = serde_json::to_string(&(none, none, TOPIC, EVENT, &payload))?;
            // Fails where nobody listens.
            let _ = sender.send(text.into());
        }
        Ok(())
    }
}

/// Serves until it's killed.
pub(crate) async fn serve() -> Result<()> {
    let topics = Topics::default();
    let data = listen(topics.clone()).await?;
    // As Bennu's own server does.
    let data = data.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new()
        .route("/socket/websocket", any(upgrade))
        .with_state(topics);
    axum::serve(data, router).await?;
    Ok(())
}

async fn upgrade(upgrade: WebSocketUpgrade, State(topics): State<Topics>) -> Response {
    upgrade.on_upgrade(async move |socket| {
        // It ended, however it did.
        let _ = converse(socket, topics).await;
    })
}

async fn converse(mut socket: WebSocket, topics: Topics) -> Result<()> {
    let mut joined: SelectAll<BoxStream<'static, Utf8Bytes>> = SelectAll::new();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    let Push(join_ref, reference, topic, event, payload) = serde_json::from_str(&text)?;
                    if event == "phx_join" {
                        joined.push(subscription(topics.sender(topic).subscribe()));
                    }
                    // What a client pushes comes back to it, and what it joins with is empty.
                    let reply = Reply { status: "ok", response: payload };
                    let reply = (join_ref, reference, topic, "phx_reply", reply);
                    socket.send(Message::text(serde_json::to_string(&reply)?)).await?;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(()),
            },
            Some(text) = joined.next() => socket.send(Message::Text(text)).await?,
        }
    }
}

/// What comes to a topic, for as long as somebody listens fast enough.
fn subscription(receiver: Receiver<Utf8Bytes>) -> BoxStream<'static, Utf8Bytes> {
    stream::unfold(receiver, async |mut receiver| match receiver.recv().await {
        Ok(text) => Some((text, receiver)),
        Err(RecvError::Lagged(_) | RecvError::Closed) => None,
    })
    .boxed()
}
