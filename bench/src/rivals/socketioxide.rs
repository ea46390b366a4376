//! socketioxide, which speaks Socket.IO: rooms are topics, acknowledgements are replies.

use std::{convert::Infallible, time::Duration};

use axum::{Router, serve::ListenerExt};
use serde_json::value::RawValue;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
    handler::ConnectHandler,
};

use crate::{
    Result,
    control::{Application, listen},
    frame::{EVENT, TOPIC},
    server::NewMsg,
};

/// Long enough that no ping comes between what is measured: Bennu's clients send heartbeats, here the server would.
const PING_INTERVAL: Duration = Duration::from_secs(3600);

/// What a client pushes comes back to it as it came: passed on, not read and written anew. It is a tuple, since an event's
/// arguments are one, and text that isn't looked at is else taken for all of them together with the event's name.
type Arguments = (Box<RawValue>,);

#[derive(Clone)]
struct Rooms(SocketIo);

impl Application for Rooms {
    async fn broadcast(&self, times: usize, bytes: usize) -> Result<()> {
        let message = NewMsg::new(bytes);
        for _ in 0..times {
            let emitted = self.0.to(TOPIC).emit(EVENT, &message).await;
            emitted.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Serves until it's killed.
pub(crate) async fn serve() -> Result<()> {
    let (layer, io) = SocketIo::builder()
        .ping_interval(PING_INTERVAL)
        .build_layer();
    io.ns("/", (async || {}).with(prepare));
    let data = listen(Rooms(io)).await?;
    let data = data.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(data, Router::new().layer(layer)).await?;
    Ok(())
}

/// Says what is done with events, in a middleware: what a client says right after it has been let in is lost where that is
/// done in the handler of connections, which runs beside.
async fn prepare(socket: SocketRef) -> Result<(), Infallible> {
    socket.on(
        "join",
        async |socket: SocketRef, Data(room): Data<String>, ack: AckSender| {
            socket.join(room);
            // Fails where its client has left.
            let _ = ack.send("ok");
        },
    );
    socket.on(
        "echo",
        async |Data((payload,)): Data<Arguments>, ack: AckSender| {
            let _ = ack.send(&payload);
        },
    );
    Ok(())
}
