//! Why a connection came to nothing: in a few words to be counted by, and in a line that says what to do.

use std::fmt;
use std::io;

use bennu_websocket::client::ResponseError;

use super::target::Target;

/// Characters that are shown of what a server says.
const QUOTED_CHARS_MAX: usize = 80;

/// Why a connection came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody listens.
    Refused,
    /// No file is left to open a socket with.
    Files,
    /// No port is left at the source address, or the address isn't this machine's.
    Ports,
    /// The operating system said something else.
    Io(String),
    /// Something took longer than it may: what.
    Timeout(String),
    /// An event was answered with an error.
    NotOk(String),
    /// The handshake was answered with this status.
    Status(u16),
    /// It was answered with something that is no handshake.
    Handshake(&'static str),
    Tls(String),
    /// A join was answered with an error: its response.
    Join(String),
    /// A channel ended by itself.
    Ended {
        crashed: bool,
    },
    /// The server closed, with or without saying why.
    Closed(Option<(u16, String)>),
    /// The server sent what isn't the protocol.
    Protocol(String),
}

impl Cause {
    pub(crate) fn io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Self::Ports,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Closed(None),
            _ if is_out_of_files(error) => Self::Files,
            _ => Self::Io(cut(&error.to_string())),
        }
    }

    pub(crate) fn closed(said: Option<(u16, &str)>) -> Self {
        Self::Closed(said.map(|(code, reason)| (code, cut(reason))))
    }

    pub(crate) fn protocol(why: impl fmt::Display) -> Self {
        Self::Protocol(cut(&why.to_string()))
    }

    pub(crate) fn join(response: &str) -> Self {
        Self::Join(cut(response))
    }

    /// The line for a person whose run this ends.
    pub(crate) fn advice(&self, target: &Target, topic: &str) -> String {
        let url = &target.url;
        let addr = format!("{}:{}", target.host, target.port);
        match self {
            Self::Refused => {
                format!("nothing listens on {addr}: start the server, or check the URL's port")
            }
            Self::Files => "no file is left to open a socket with: raise the limit with `ulimit -n`, or share the \
                connections out with --processes"
                .to_owned(),
            Self::Ports => "no port is left, or a source address isn't this machine's: give others with --source \
                ADDR,ADDR"
                .to_owned(),
            Self::Status(403) => format!(
                "{url} refused the handshake with 403: check what it asks of --params and of an `origin` in --header"
            ),
            Self::Status(404) => format!(
                "{url} has no socket there (404): give the path that the server mounts its socket at, such as /socket"
            ),
            Self::Status(status) => {
                format!("{url} answered the handshake with {status} where 101 was expected")
            }
            Self::Handshake(why) => {
                format!("{url} is no WebSocket: it answered with {why}; check the URL")
            }
            Self::Tls(why) => format!(
                "failed to speak TLS with {addr}: {why}; for a certificate of your own use --insecure, without TLS ws://"
            ),
            Self::Join(response) if response.contains("unmatched topic") => format!(
                "the server has no channel for topic {topic:?}: name one with --topic (or --presence-topic)"
            ),
            Self::Join(response) => format!(
                "joining {topic:?} was answered with an error, {response}: check --topic and --join-params"
            ),
            Self::Timeout(what) => {
                format!("{url} gave no answer in time: {what} took longer than --timeout")
            }
            Self::NotOk(event) => format!(
                "the server answered {event:?} on {topic:?} with an error: name an event it knows with --event \
                (echo) or --broadcast-event (fan-out), and what it takes with --payload"
            ),
            Self::Ended { .. } | Self::Closed(_) | Self::Protocol(_) | Self::Io(_) => {
                format!("failed to talk with {url}: {self}")
            }
        }
    }
}

/// In a few words.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Files => f.write_str("out of files"),
            Self::Ports => f.write_str("out of ports"),
            Self::Io(why) => f.write_str(why),
            Self::Timeout(what) => write!(f, "no answer in time: {what}"),
            Self::NotOk(event) => write!(f, "{event:?} was answered with an error"),
            Self::Status(status) => write!(f, "handshake answered with {status}"),
            Self::Handshake(why) => write!(f, "handshake answered with {why}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Join(response) => write!(f, "join refused: {response}"),
            Self::Ended { crashed: true } => f.write_str("the channel crashed"),
            Self::Ended { crashed: false } => f.write_str("the channel ended"),
            Self::Closed(None) => f.write_str("the server hung up"),
            Self::Closed(Some((code, reason))) if reason.is_empty() => {
                write!(f, "the server closed with {code}")
            }
            Self::Closed(Some((code, reason))) => {
                write!(f, "the server closed with {code} {reason:?}")
            }
            Self::Protocol(why) => write!(f, "the server sent no message of the protocol: {why}"),
        }
    }
}

impl From<ResponseError> for Cause {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Status(status) => Self::Status(status),
            ResponseError::Malformed(why) => Self::Handshake(why),
            _ => Self::Handshake("no WebSocket"),
        }
    }
}

fn is_out_of_files(error: &io::Error) -> bool {
    // EMFILE and ENFILE, the same numbers on every Unix.
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
