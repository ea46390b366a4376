//! What `listen` and `push` have in common: the connection, the join, and how payloads are shown.

pub(crate) mod show;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bennu_client::{
    Channel, ChannelStatus, Client, ConnectionError, Joining, Payload, PushError, Socket, Status,
    Transport,
};
use clap::Args;
use serde_json::Value;

use crate::error::{Failure, Result};

/// Seconds; more than a day is a slip of the finger.
const TIMEOUT_SECONDS_MAX: u64 = 86_400;
/// How long a server may take to say goodbye once nothing more is wanted of it.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);

/// To whom, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Talk {
    /// Where the socket is mounted, as in ws://localhost:4000/socket; wss, http and https do as well.
    url: String,
    /// The topic to join, as in room:lobby.
    pub(crate) topic: String,
    /// The socket's params: a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object, help_heading = "Connection")]
    params: Option<Value>,
    /// The socket's param `token`, as pages hand over window.userToken.
    #[arg(
        long,
        env = "BENNU_TOKEN",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    token: Option<String>,
    /// The token that travels beside the address, Phoenix's authToken.
    #[arg(
        long,
        env = "BENNU_AUTH_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Connection"
    )]
    auth_token: Option<String>,
    /// A header of the request, as in `x-role: admin`; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header, help_heading = "Connection")]
    headers: Vec<(String, String)>,
    /// Long-polling in place of a WebSocket.
    #[arg(long, help_heading = "Connection")]
    longpoll: bool,
    /// The join's params, any JSON.
    #[arg(long, value_name = "JSON", value_parser = json, help_heading = "Connection")]
    join_params: Option<Value>,
    /// How long to wait for the connection and for each reply.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Connection",
        value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_SECONDS_MAX))]
    timeout: u64,
}

impl Talk {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Connects. It has to succeed at once.
    pub(crate) async fn connect(&self) -> Result<Socket> {
        let mut params = self
            .params
            .clone()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        if let (Some(token), Value::Object(params)) = (&self.token, &mut params) {
            params.insert("token".to_owned(), token.as_str().into());
        }
        let mut client = Client::connect(&self.url)
            .params(&params)
            .timeout(self.timeout());
        if let Some(token) = &self.auth_token {
            client = client.auth_token(token);
        }
        for (name, value) in &self.headers {
            client = client.header(name, value);
        }
        if self.longpoll {
            client = client.transport(Transport::LongPoll);
        }
        client
            .open()
            .await
            .map_err(|error| self.not_connected(&error))
    }

    /// The topic's channel, to be joined with the params that were given.
    pub(crate) fn channel(&self, socket: &Socket) -> Joining {
        let joining = socket.channel(self.topic.as_str());
        match &self.join_params {
            Some(params) => joining.params(params),
            None => joining,
        }
    }

    /// Joins, or says why not.
    pub(crate) async fn join(&self, socket: &Socket, joining: Joining) -> Result<Channel> {
        joining.join().await.map_err(|error| {
            let why = |what: &dyn fmt::Display| {
                Failure::new(format_args!("failed to join {}: {what}", self.topic))
            };
            match error {
                PushError::Refused(refusal) => why(&format_args!(
                    "the server says {refusal}; check the topic, --join-params and who you are"
                )),
                PushError::Timeout => match socket.status() {
                    Status::Waiting { error, .. } | Status::Closed { error } => {
                        why(&format_args!("{error}; look at what the server says"))
                    }
                    _ => why(&format_args!(
                        "there was no answer within {} s; --timeout waits longer",
                        self.timeout
                    )),
                },
                other => why(&other),
            }
        })
    }

    fn not_connected(&self, error: &ConnectionError) -> Failure {
        let failed = |advice: &str| {
            Failure::new(format_args!(
                "failed to connect to {}: {error}; {advice}",
                self.url
            ))
        };
        match error {
            ConnectionError::Invalid(_) => Failure::usage(format_args!(
                "{error}; a socket's address is like ws://localhost:4000/socket"
            )),
            ConnectionError::Refused { status: 403 } => {
                failed("say who you are by --token, --auth-token or --params, or --header origin")
            }
            ConnectionError::Refused { status: 404 } => failed(
                "is this where the socket is mounted, as in ws://localhost:4000/socket, and is its transport on?",
            ),
            ConnectionError::Timeout => failed("--timeout waits longer"),
            _ => failed("is the server running, and is that its address?"),
        }
    }
}

/// Why a push that isn't refused and isn't late came to nothing: what happened to the channel, or to the connection.
pub(crate) fn why_lost(error: &PushError, channel: &Channel, socket: &Socket) -> String {
    if !matches!(error, PushError::Disconnected | PushError::Closed) {
        return error.to_string();
    }
    // What happened to the connection happened to its channels too.
    match (socket.status(), channel.status()) {
        (Status::Waiting { error, .. } | Status::Closed { error }, _) => {
            format!("{error}, before an answer came")
        }
        (_, ChannelStatus::Errored { .. }) => {
            "the channel crashed before an answer came; look at the server's log".to_owned()
        }
        (_, ChannelStatus::Closed) => {
            "the server closed the channel before an answer came".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Leaves and closes as one does, unless that takes the server too long.
pub(crate) async fn goodbye(goodbye: impl Future<Output = ()>) {
    // What the server had to do is done; whether it hears of our leaving is its own affair.
    let _ = tokio::time::timeout(GOODBYE_TIME_MAX, goodbye).await;
}

/// Runs a conversation with a server to its end.
pub(crate) fn run(conversation: impl Future<Output = Result>) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Failure::new(format_args!(
            "the system gives no means to wait for a connection: {error}"
        ))
    })?;
    runtime.block_on(conversation)
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        format!("it is no JSON ({error}); quote it for the shell, as in '{{\"a\": 1}}'")
    })
}

fn object(text: &str) -> Result<Value, String> {
    match json(text)? {
        object @ Value::Object(_) => Ok(object),
        _ => Err("it is no object, as in '{\"a\": 1}'".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("a header is a name, a colon and a value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A payload as JSON on one line; bytes as Base64.
pub(crate) fn payload_json(payload: &Payload) -> Result<Box<serde_json::value::RawValue>> {
    let text = match payload {
        Payload::Json(raw) => show::compact(raw.get()),
        Payload::Binary(bytes) => serde_json::json!({ "base64": show::base64(bytes) }).to_string(),
    };
    serde_json::value::RawValue::from_string(text)
        .map_err(|error| Failure::new(format_args!("the server sent what is no JSON: {error}")))
}
