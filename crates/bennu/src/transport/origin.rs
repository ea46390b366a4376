//! Which web pages may connect: browsers say where the page came from that opens a connection, and send the
//! user's cookies along wherever it came from.

use std::{
    error::Error as StdError,
    fmt,
    sync::{Arc, Once},
};

use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
    request::Parts,
    uri::Scheme,
};

use crate::SocketOptions;

/// Which web pages may connect, by the `Origin` that a browser sends. Phoenix's `check_origin`.
///
/// Clients that send no `Origin` are let in whatever is chosen here: they are no browsers. A refused one gets
/// status 403, and the log says why.
///
/// ```
/// use bennu::{CheckOrigin, SocketOptions};
///
/// let pages = CheckOrigin::list(["https://example.com", "//*.example.org", "//localhost:5173"])?;
/// let options = SocketOptions::new().check_origin(pages);
///
/// let error = CheckOrigin::list(["example.com"]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"failed to read the origin "example.com": it has no "//" with a host behind it"#
/// );
/// # Ok::<(), bennu::OriginError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct CheckOrigin(Rule);

#[derive(Clone)]
enum Rule {
    Off,
    Host,
    List(Arc<[Allowed]>),
    Connection,
    Callback(Arc<dyn Fn(&Origin<'_>) -> bool + Send + Sync>),
}

/// Where a web page came from, as its browser says: `https://example.com:8443`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    text: &'a str,
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<u16>,
}

/// An entry of a list: what it doesn't name may be anything.
#[derive(Debug)]
struct Allowed {
    scheme: Option<String>,
    host: AllowedHost,
    port: Option<u16>,
}

#[derive(Debug)]
enum AllowedHost {
    Exactly(String),
    /// With its leading dot. The host without it is allowed as well.
    EndsWith(String),
}

/// Why a list of origins isn't taken, with the entry.
#[derive(Debug)]
pub struct OriginError {
    entry: String,
    why: &'static str,
}

impl CheckOrigin {
    /// Every page may connect. For sockets where cookies don't count, or whose clients are apps that send an
    /// `Origin` of `null` or `file://`. Phoenix's `false`.
    pub fn off() -> Self {
        Self(Rule::Off)
    }

    /// Pages from [the endpoint's host](crate::Endpoint::host), over any scheme and port: the default. Phoenix's
    /// `true`.
    ///
    /// An endpoint whose host isn't told lets every page connect that has a host, as Phoenix does. The log has a
    /// warning the first time that such a page comes from another host than it connects to.
    pub fn host() -> Self {
        Self(Rule::Host)
    }

    /// Pages from any of these origins.
    ///
    /// Each has a host behind `//`, a leading `*.` in which stands for any number of further labels and for none.
    /// With a scheme the page's must be the same, and its port too: the given one, or 80 for `http:` and 443 for
    /// `https:`. Hosts are compared to the letter.
    ///
    /// # Errors
    ///
    /// For an entry that isn't of that form, which it names.
    pub fn list<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, OriginError> {
        let allowed = origins.into_iter().map(|it| Allowed::parse(it.as_ref()));
        Ok(Self(Rule::List(allowed.collect::<Result<_, _>>()?)))
    }

    /// Pages from the host, scheme and port that they connect to. Phoenix's `:conn`.
    ///
    /// Host and port are those of the request's `Host`. The scheme is `http`, unless the request's address names
    /// another: behind a proxy that speaks TLS, a middleware has to put `https://...` there.
    pub fn connection() -> Self {
        Self(Rule::Connection)
    }

    /// Pages that the function says yes to. It is also asked for origins that can't be read, which are without a
    /// host. Where it panics, the client gets status 500.
    ///
    /// ```
    /// # use bennu::CheckOrigin;
    /// let tenants = ["acme", "initech"];
    /// let check = CheckOrigin::callback(move |origin| {
    ///     let tenant = origin.host().and_then(|host| host.strip_suffix(".example.com"));
    ///     tenant.is_some_and(|tenant| tenants.contains(&tenant))
    /// });
    /// ```
    pub fn callback(check: impl Fn(&Origin<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::Callback(Arc::new(check)))
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(self.0, Rule::Off)
    }

    /// Whether a page may connect. `host` is the endpoint's own.
    fn allows(&self, origin: &Origin<'_>, host: Option<&str>, request: &Parts) -> bool {
        match &self.0 {
            Rule::Off => true,
            Rule::Callback(check) => check(origin),
            // The others compare hosts, and there is none.
            _ if origin.host.is_none() => false,
            Rule::Host => host.is_none() || origin.host == host,
            Rule::List(allowed) => allowed.iter().any(|it| it.allows(origin)),
            Rule::Connection => target(request).is_some_and(|target| target.is_same_as(origin)),
        }
    }

    /// What to tell whoever wonders why a page was refused.
    fn advice(&self) -> &'static str {
        match self.0 {
            Rule::Off => "",
            Rule::Host => {
                "isn't from the endpoint's host: change Endpoint::host, or name it in CheckOrigin::list"
            }
            Rule::List(_) => "isn't in the mount's CheckOrigin::list",
            Rule::Connection => {
                "isn't from the host, scheme and port that it connects to, as CheckOrigin::connection wants"
            }
            Rule::Callback(_) => "is refused by the mount's CheckOrigin::callback",
        }
    }
}

/// The default.
const HOST_RULE: CheckOrigin = CheckOrigin(Rule::Host);

/// Asks the mount's rule. An error says why the client is refused.
pub(crate) fn check(request: &Parts, options: &SocketOptions) -> Result<(), String> {
    let Some(origin) = request.headers.get(ORIGIN) else {
        return Ok(());
    };
    let rule = options.check_origin.as_ref().unwrap_or(&HOST_RULE);
    let host = options.host.as_deref();
    // What isn't text has no host, and is no more than shown.
    let text = String::from_utf8_lossy(origin.as_bytes());
    let origin = match origin.to_str() {
        Ok(text) => Origin::parse(text),
        Err(_) => Origin::unreadable(&text),
    };
    if !rule.allows(&origin, host, request) {
        let shown = text.chars().take(SHOWN_CHARS_MAX).collect::<String>();
        return Err(format!("its origin {shown:?} {}", rule.advice()));
    }
    if matches!(rule.0, Rule::Host) && host.is_none() {
        warn_of_strangers(&origin, request);
    }
    Ok(())
}

/// What of a refused origin the log shows.
const SHOWN_CHARS_MAX: usize = 200;

/// Says once that pages from everywhere may connect, when one from elsewhere does.
fn warn_of_strangers(origin: &Origin<'_>, request: &Parts) {
    static WARNED: Once = Once::new();
    if target(request).is_none_or(|target| target.host != origin.host) {
        WARNED.call_once(|| {
            tracing::warn!(
                origin = origin.text,
                "a page of another host connects, and every page may: the endpoint doesn't know its host. \
                 Tell it with Endpoint::host, or choose a CheckOrigin"
            );
        });
    }
}

/// Where a request goes to.
fn target(request: &Parts) -> Option<Origin<'_>> {
    let scheme = request.uri.scheme().unwrap_or(&Scheme::HTTP).as_str();
    let authority = authority(&request.uri, &request.headers)?;
    let (host, port) = host_and_port(authority)?;
    Some(Origin {
        text: authority,
        scheme: Some(scheme),
        host: Some(host),
        port: port.or_else(|| default_port(scheme)),
    })
}

fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST)?.to_str().ok(),
    }
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Self {
        let Some((scheme, host, port)) = parts(text) else {
            return Self::unreadable(text);
        };
        Self {
            text,
            scheme,
            host: Some(host),
            port,
        }
    }

    fn unreadable(text: &'a str) -> Self {
        Self {
            text,
            scheme: None,
            host: None,
            port: None,
        }
    }

    fn is_same_as(&self, other: &Self) -> bool {
        is_same_scheme(self.scheme, other.scheme)
            && (self.host, self.port) == (other.host, other.port)
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme: `https`.
    #[must_use]
    pub fn scheme(&self) -> Option<&'a str> {
        self.scheme
    }

    /// The host, without the brackets of an IPv6 address. An origin such as `null` or `file://` has none.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.host
    }

    /// The port, which may follow from the scheme.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl Allowed {
    fn parse(entry: &str) -> Result<Self, OriginError> {
        let error = |why| OriginError {
            entry: entry.to_owned(),
            why,
        };
        if !entry.contains("//") {
            return Err(error("it has no \"//\" with a host behind it"));
        }
        let (scheme, host, port) =
            parts(entry).ok_or_else(|| error("it isn't of the form \"scheme://host:port\""))?;
        let host = match host.strip_prefix('*') {
            Some(suffix) if suffix.len() > 1 && suffix.starts_with('.') => {
                AllowedHost::EndsWith(suffix.to_owned())
            }
            _ => AllowedHost::Exactly(host.to_owned()),
        };
        let (AllowedHost::Exactly(fixed) | AllowedHost::EndsWith(fixed)) = &host;
        if fixed.contains('*') {
            return Err(error(
                "a \"*\" stands at the host's beginning only, as in \"//*.example.com\"",
            ));
        }
        Ok(Self {
            scheme: scheme.map(str::to_owned),
            host,
            port,
        })
    }

    fn allows(&self, origin: &Origin<'_>) -> bool {
        (self.scheme.is_none() || is_same_scheme(self.scheme.as_deref(), origin.scheme))
            && (self.port.is_none() || self.port == origin.port)
            && origin.host.is_some_and(|host| self.host.allows(host))
    }
}

impl AllowedHost {
    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Exactly(allowed) => host == allowed,
            Self::EndsWith(suffix) => {
                host.ends_with(suffix) || suffix.strip_prefix('.') == Some(host)
            }
        }
    }
}

/// Scheme, host and port of an address, as far as it has them: what Elixir's `URI` finds there. `None` without a
/// host. What no browser sends, such as a user's name, isn't read at all.
fn parts(text: &str) -> Option<(Option<&str>, &str, Option<u16>)> {
    let (scheme, rest) = text.split_once("//")?;
    let scheme = match scheme {
        "" => None,
        scheme => Some(scheme.strip_suffix(':').filter(|it| is_scheme(it))?),
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = host_and_port(authority)?;
    Some((scheme, host, port.or_else(|| default_port(scheme?))))
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(ipv6) => ipv6.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() || authority.contains('@') {
        return None;
    }
    let port = match port {
        "" | ":" => None,
        port => {
            let digits = port.strip_prefix(':')?;
            // A plus sign would be read, too.
            let is_number = digits.bytes().all(|it| it.is_ascii_digit());
            Some(digits.parse().ok().filter(|_| is_number)?)
        }
    };
    Some((host, port))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it))
}

fn is_same_scheme(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (one, other) => one == other,
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    let is = |name| scheme.eq_ignore_ascii_case(name);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

impl fmt::Debug for CheckOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Off => f.write_str("CheckOrigin::off"),
            Rule::Host => f.write_str("CheckOrigin::host"),
            Rule::List(allowed) => f.debug_tuple("CheckOrigin::list").field(allowed).finish(),
            Rule::Connection => f.write_str("CheckOrigin::connection"),
            Rule::Callback(_) => f.write_str("CheckOrigin::callback"),
        }
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failed to read the origin {:?}: {}",
            self.entry, self.why
        )
    }
}

impl StdError for OriginError {}

#[cfg(test)]
mod tests;
