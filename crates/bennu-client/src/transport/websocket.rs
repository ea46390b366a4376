//! Over a WebSocket.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bennu_wire::{Frame as WireFrame, Response, Serializer};
use futures_core::Stream;
use futures_sink::Sink;
use http::{HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    LinkEvent,
    dial::{Dialer, Io},
    turns::{Turns, pause},
};
use crate::{ConnectionError, Transport, machine::Frame};

/// Answers to pings that the server hasn't read. It has gone wrong, or is up to no good.
const PONG_BYTES_MAX: usize = 1 << 20;
/// The head of a client's control frame.
const CONTROL_HEAD_BYTES: usize = 6;
/// What asks for nothing but time, until others have their turn.
const CONTROL_FRAMES_AT_ONCE: usize = 64;

/// An open WebSocket, and what is to be written to it.
pub(crate) struct WebSocket {
    stream: WebSocketStream<Turns<Box<dyn Io>>>,
    queue: VecDeque<(Message, usize)>,
    /// Something was written and may not have left yet.
    unflushed: bool,
    /// Answers to pings since all was last written. The library's own limit would count messages too, which have none.
    pong_bytes: usize,
}

impl WebSocket {
    pub(super) async fn connect(dialer: &Dialer) -> Result<Self, ConnectionError> {
        let target = dialer.target(Transport::WebSocket)?;
        let invalid = |error: &dyn std::fmt::Display| ConnectionError::Invalid(error.to_string());
        let uri = Uri::builder()
            .scheme(if dialer.address.secure { "wss" } else { "ws" })
            .authority(dialer.address.authority())
            .path_and_query(target)
            .build()
            .map_err(|error| invalid(&error))?;
        let mut request = uri.into_client_request().map_err(|error| invalid(&error))?;
        request.headers_mut().extend(dialer.headers.clone());
        if let Some(token) = dialer.auth_token.ask() {
            // Phoenix knows the standard alphabet only, whatever the prefix says.
            let protocols = format!(
                "phoenix, base64url.bearer.phx.{}",
                STANDARD_NO_PAD.encode(token)
            );
            let mut protocols =
                HeaderValue::try_from(protocols).map_err(|error| invalid(&error))?;
            protocols.set_sensitive(true);
            request
                .headers_mut()
                .insert(SEC_WEBSOCKET_PROTOCOL, protocols);
        }
        let bytes_max = Some(dialer.options.message_bytes_max);
        let config = WebSocketConfig::default()
            .max_message_size(bytes_max)
            .max_frame_size(bytes_max);
        let stream = Turns::new(dialer.dial().await?);
        let (stream, _) = client_async_with_config(request, stream, Some(config))
            .await
            .map_err(refusal)?;
        Ok(Self {
            stream,
            queue: VecDeque::new(),
            unflushed: false,
            pong_bytes: 0,
        })
    }

    pub(super) fn send(&mut self, frame: Frame, bytes: usize) {
        let message = match frame {
            Frame::Text(text) => Message::text(text),
            Frame::Binary(bytes) => Message::binary(bytes),
        };
        self.queue.push_back((message, bytes));
    }

    pub(super) fn unwritten(&self) -> usize {
        self.queue.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Says goodbye if that takes no time.
    pub(super) fn hang_up(&mut self, why: &'static str) {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let stream = Pin::new(&mut self.stream);
        let goodbye = Message::Close(Some(CloseFrame {
            code: CloseCode::Normal,
            reason: why.into(),
        }));
        if let Poll::Ready(Ok(())) = stream.poll_ready(cx)
            && Pin::new(&mut self.stream).start_send(goodbye).is_ok()
        {
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        match self.write(cx) {
            Ok(0) => {}
            Ok(bytes) => return Poll::Ready(LinkEvent::Wrote(bytes)),
            Err(error) => return self.lost(error),
        }
        for _ in 0..CONTROL_FRAMES_AT_ONCE {
            let Poll::Ready(message) = Pin::new(&mut self.stream).poll_next(cx) else {
                return Poll::Pending;
            };
            let frame = match &message {
                Some(Ok(Message::Text(text))) => WireFrame::Text(text),
                Some(Ok(Message::Binary(bytes))) => WireFrame::Binary(bytes),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.as_ref().map_or((1005, String::new()), |it| {
                        (u16::from(it.code), it.reason.to_string())
                    });
                    // The answer to it leaves if that takes no time.
                    let _ = Pin::new(&mut self.stream).poll_flush(cx);
                    let closed = ConnectionError::Closed { code, reason };
                    return Poll::Ready(LinkEvent::Lost(closed, self.unwritten()));
                }
                Some(Ok(Message::Ping(asked))) => match self.pong(asked.len(), cx) {
                    Ok(()) if self.pong_bytes <= PONG_BYTES_MAX => continue,
                    Ok(()) => {
                        let error = "the server pings, and reads no answer".to_owned();
                        let error = ConnectionError::Failed(error);
                        return Poll::Ready(LinkEvent::Lost(error, self.unwritten()));
                    }
                    Err(error) => return self.lost(error),
                },
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(_)) | None => {
                    let error = message.and_then(Result::err);
                    return self.lost(error.unwrap_or(Error::ConnectionClosed));
                }
            };
            let response = Response::decode(Serializer::V2, frame);
            return Poll::Ready(LinkEvent::Heard(
                response.map_err(|error| error.to_string()),
            ));
        }
        pause(cx)
    }

    /// Writes the answer to a ping, which the library has made, or counts it.
    fn pong(&mut self, bytes: usize, cx: &mut Context<'_>) -> Result<(), Error> {
        self.pong_bytes += CONTROL_HEAD_BYTES + bytes;
        self.unflushed = true;
        self.flush(cx)
    }

    /// Writes as much as the stream takes; returns how much of the queue that was.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<usize, Error> {
        let mut written = 0;
        while !self.queue.is_empty() {
            if Pin::new(&mut self.stream).poll_ready(cx)?.is_pending() {
                break;
            }
            if let Some((message, bytes)) = self.queue.pop_front() {
                written += bytes;
                self.unflushed = true;
                Pin::new(&mut self.stream).start_send(message)?;
            }
        }
        self.flush(cx)?;
        Ok(written)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
            self.pong_bytes = 0;
        }
        Ok(())
    }

    fn lost(&self, error: Error) -> Poll<LinkEvent> {
        let error = match error {
            // RFC 6455 section 7.1.5: no close frame was seen.
            Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => {
                ConnectionError::Closed {
                    code: 1006,
                    reason: String::new(),
                }
            }
            error => ConnectionError::Failed(format!("the WebSocket failed: {error}")),
        };
        Poll::Ready(LinkEvent::Lost(error, self.unwritten()))
    }

    /// Writes all, says goodbye, and waits for the server to do so too.
    pub(super) async fn finish(&mut self) {
        let goodbye = Message::Close(Some(CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        }));
        self.queue.push_back((goodbye, 0));
        loop {
            if let LinkEvent::Lost(..) = poll_fn(|cx| self.poll_next(cx)).await {
                return;
            }
        }
    }
}

/// Why there was no handshake.
fn refusal(error: Error) -> ConnectionError {
    match error {
        Error::Http(response) => ConnectionError::Refused {
            status: response.status().as_u16(),
        },
        error => ConnectionError::Failed(format!("the handshake failed: {error}")),
    }
}
