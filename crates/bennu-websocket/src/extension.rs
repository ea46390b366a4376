//! Negotiation of permessage-deflate (RFC 6455 section 9.1, RFC 7692 section 7.1).

use http::{HeaderMap, HeaderValue, header};

/// permessage-deflate as agreed on with one client.
///
/// Our answer always says `server_no_context_takeover` and `client_no_context_takeover`: each message is compressed by
/// itself, so that no connection keeps a window, and one compressed broadcast serves all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deflate {
    server_max_window_bits: Option<u8>,
}

impl Deflate {
    /// The first offer of permessage-deflate in a request's `sec-websocket-extensions` that can be accepted, if any.
    ///
    /// An offer with a parameter that is unknown, repeated or out of range is passed over, and so is one of a window of 8
    /// bits, which zlib can't do without a header; a client that offers nothing else is served uncompressed.
    /// `client_max_window_bits` needs no answer, as the largest window is inflated anyway.
    ///
    /// ```
    /// use bennu_websocket::Deflate;
    /// use http::{HeaderMap, HeaderValue, header};
    ///
    /// let mut headers = HeaderMap::new();
    /// let offer = "permessage-deflate; server_max_window_bits=10; client_max_window_bits";
    /// headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
    /// let deflate = Deflate::negotiate(&headers).unwrap();
    /// assert_eq!(deflate.window_bits(), 10);
    /// assert_eq!(
    ///     deflate.answer(),
    ///     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10"
    /// );
    /// ```
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .find_map(|line| {
                // A line that isn't well-formed offers nothing from there on.
                let mut tokens = Tokens(line.as_bytes());
                while let Some((accepted, more)) = offer(&mut tokens) {
                    if accepted.is_some() || !more {
                        return accepted;
                    }
                }
                None
            })
    }

    /// The window to compress with for this client: 9 to 15 bits. 15 unless the client asked for less.
    #[must_use]
    pub const fn window_bits(self) -> u8 {
        match self.server_max_window_bits {
            Some(bits) => bits,
            None => 15,
        }
    }

    /// The value of `sec-websocket-extensions` in the response.
    #[must_use]
    pub fn answer(self) -> HeaderValue {
        const ANSWER: &str =
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        match self.server_max_window_bits {
            None => HeaderValue::from_static(ANSWER),
            Some(bits) => HeaderValue::try_from(format!("{ANSWER}; server_max_window_bits={bits}"))
                .unwrap_or_else(|_| HeaderValue::from_static(ANSWER)),
        }
    }
}

/// One offer: what of it can be accepted, and whether another follows. `None` if it isn't well-formed.
fn offer(tokens: &mut Tokens<'_>) -> Option<(Option<Deflate>, bool)> {
    let mut parameters = Parameters {
        acceptable: tokens.token()?.eq_ignore_ascii_case(b"permessage-deflate"),
        ..Parameters::default()
    };
    while tokens.take(b';') {
        let name = tokens.token()?;
        let value = if tokens.take(b'=') {
            Some(tokens.value()?)
        } else {
            None
        };
        parameters.add(name, value.as_deref());
    }
    let more = tokens.take(b',');
    if !more && !tokens.0.is_empty() {
        return None;
    }
    let accepted = Deflate {
        server_max_window_bits: parameters.server_max_window_bits,
    };
    Some((parameters.acceptable.then_some(accepted), more))
}

/// The parameters of one offer so far.
#[derive(Default)]
struct Parameters {
    acceptable: bool,
    server_max_window_bits: Option<u8>,
    /// A bit for each parameter that has been seen.
    seen: u8,
}

impl Parameters {
    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let bits = value.map(window_bits);
        let bit = match (name, bits) {
            (b"server_no_context_takeover", None) => 1,
            (b"client_no_context_takeover", None) => 2,
            (b"client_max_window_bits", None | Some(Some(8..=15))) => 4,
            (b"server_max_window_bits", Some(Some(bits @ 9..=15))) => {
                self.server_max_window_bits = Some(bits);
                8
            }
            _ => 0,
        };
        self.acceptable &= bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
    }
}

/// A decimal number without leading zeros, of two digits at most.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [ones @ b'1'..=b'9'] => Some(ones - b'0'),
        [tens @ b'1'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

/// What is left of a header line.
struct Tokens<'h>(&'h [u8]);

impl<'h> Tokens<'h> {
    /// A token (RFC 9110 section 5.6.2).
    fn token(&mut self) -> Option<&'h [u8]> {
        self.0 = self.0.trim_ascii_start();
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let len = self.0.iter().take_while(|&byte| is_token(byte)).count();
        let (token, rest) = self.0.split_at_checked(len).filter(|_| len > 0)?;
        self.0 = rest;
        Some(token)
    }

    /// A token, or a quoted string, without its quotes.
    fn value(&mut self) -> Option<Vec<u8>> {
        if !self.take(b'"') {
            return self.token().map(<[u8]>::to_vec);
        }
        let mut value = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'"' => return Some(value),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    value.push(escaped);
                }
                byte => value.push(byte),
            }
        }
    }

    /// Whether the next byte, spaces aside, is `byte`, which is then taken.
    fn take(&mut self, byte: u8) -> bool {
        self.0 = self.0.trim_ascii_start();
        match self.0.split_first() {
            Some((&first, rest)) if first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is agreed on with a client that sends these lines: the window's bits.
    fn check(lines: &[&str], expected: Option<u8>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                header::SEC_WEBSOCKET_EXTENSIONS,
                HeaderValue::from_str(line).unwrap(),
            );
        }
        assert_eq!(
            Deflate::negotiate(&headers).map(Deflate::window_bits),
            expected,
            "{lines:?}"
        );
    }

    #[test]
    fn the_first_offer_that_can_be_accepted_is() {
        check(&[], None);
        check(&[""], None);
        check(&["permessage-deflate"], Some(15));
        check(&["permessage-deflate; client_max_window_bits"], Some(15));
        check(&["permessage-deflate;client_max_window_bits=8"], Some(15));
        check(
            &["Permessage-Deflate ; server_no_context_takeover ; client_no_context_takeover"],
            Some(15),
        );
        check(&["permessage-deflate; server_max_window_bits=9"], Some(9));
        check(
            &["permessage-deflate; server_max_window_bits=\"12\""],
            Some(12),
        );
        check(
            &["permessage-deflate; server_max_window_bits=\"1\\2\""],
            Some(12),
        );
        check(
            &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
            Some(15),
        );
        check(
            &[
                "permessage-deflate; mystery=\"a,b;c\", permessage-deflate; server_max_window_bits=11",
            ],
            Some(11),
        );
        check(
            &["x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=10"],
            Some(10),
        );
        check(
            &[
                "permessage-bzip2",
                "permessage-deflate; server_max_window_bits=10",
            ],
            Some(10),
        );
        check(&["\"broken", "permessage-deflate"], Some(15));
    }

    #[test]
    fn an_offer_with_a_wrong_parameter_is_declined() {
        for parameter in [
            "mystery",
            "server_max_window_bits",
            "server_max_window_bits=8",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=010",
            "server_max_window_bits=1x",
            "server_max_window_bits=\"\"",
            "server_max_window_bits=",
            "server_max_window_bits=\"10",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits; client_max_window_bits=10",
            "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover=\"\"",
            "client_no_context_takeover; client_no_context_takeover",
            "",
            " ; ",
        ] {
            check(&[&format!("permessage-deflate; {parameter}")], None);
        }
        check(&["permessage-deflate permessage-deflate"], None);
        check(&["permessage-deflate2"], None);
        check(&[",permessage-deflate"], None);
    }

    #[test]
    fn the_answer_names_a_window_only_where_the_client_did() {
        let answer = |server_max_window_bits| {
            Deflate {
                server_max_window_bits,
            }
            .answer()
        };
        let base = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(answer(None), base);
        assert_eq!(
            answer(Some(15)),
            format!("{base}; server_max_window_bits=15")
        );
    }
}
