//! Requests, one after the other over one connection that is made again when it's gone.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header::HOST, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::dial::Dialer;
use crate::ConnectionError;

/// A connection for requests, while it lasts.
pub(super) struct Requests {
    dialer: Arc<Dialer>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What is asked.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Requests {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            sender: None,
        }
    }

    /// Asks, and reads the whole answer.
    pub(super) async fn ask(
        &mut self,
        ask: Ask,
        time_max: Duration,
    ) -> Result<(StatusCode, Bytes), ConnectionError> {
        timeout(time_max, self.ask_anyhow(ask))
            .await
            .unwrap_or(Err(ConnectionError::Timeout))
    }

    async fn ask_anyhow(&mut self, ask: Ask) -> Result<(StatusCode, Bytes), ConnectionError> {
        // The server may have closed it while it idled.
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        let reused = self.sender.is_some();
        match self.ask_once(&ask).await {
            // Or at the very moment it was used again. What hyper calls canceled hasn't been sent.
            Err(error) if reused && error.is_canceled() => {
                self.sender = None;
                self.ask_once(&ask).await
            }
            result => result,
        }
        .map_err(|error| match error {
            AskError::Connection(error) => error,
            AskError::Hyper(error) => ConnectionError::Failed(format!("a request failed: {error}")),
            AskError::Body(error) => ConnectionError::Failed(format!("an answer failed: {error}")),
        })
    }

    async fn ask_once(&mut self, ask: &Ask) -> Result<(StatusCode, Bytes), AskError> {
        // While it's out it isn't here: a request that is given up takes its connection along.
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.target.clone().into();
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(self.dialer.address.authority());
        headers.insert(
            HOST,
            host.map_err(|error| ConnectionError::Invalid(error.to_string()))?,
        );
        headers.extend(self.dialer.headers.clone());
        headers.extend(ask.headers.iter().cloned());
        let response = sender
            .send_request(request)
            .await
            .map_err(AskError::Hyper)?;
        let status = response.status();
        // What waits for a slow client, as JSON in JSON.
        let bytes_max = self.dialer.options.message_bytes_max.saturating_mul(2);
        let body = Limited::new(response.into_body(), bytes_max)
            .collect()
            .await
            .map_err(AskError::Body)?;
        self.sender = Some(sender);
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, AskError> {
        let stream = TokioIo::new(self.dialer.dial().await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(AskError::Hyper)?;
        // It ends with its sender.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for requests failed");
            }
        });
        Ok(sender)
    }
}

enum AskError {
    Connection(ConnectionError),
    Hyper(hyper::Error),
    Body(Box<dyn std::error::Error + Send + Sync>),
}

impl AskError {
    fn is_canceled(&self) -> bool {
        matches!(self, Self::Hyper(error) if error.is_canceled())
    }
}

impl From<ConnectionError> for AskError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}
