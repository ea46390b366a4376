//! Subprotocols, and the token that Phoenix's clients hand over as one.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};

use crate::SocketOptions;

const TOKEN_PREFIX: &str = "base64url.bearer.phx.";
/// What a client with a token asks for beside it.
const PHOENIX: &str = "phoenix";

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// What a client and a mount agreed on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// To be echoed to the client.
    pub(crate) subprotocol: Option<String>,
    pub(crate) auth_token: Option<String>,
}

/// The first of the mount's subprotocols that the client offers. Only the first header line counts, as in
/// Phoenix. An error says why the client is refused.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    options: &SocketOptions,
) -> Result<Agreed, &'static str> {
    if !options.auth_token && options.subprotocols.is_empty() {
        return Ok(Agreed::default());
    }
    let Some(line) = headers.get(SEC_WEBSOCKET_PROTOCOL) else {
        return Ok(Agreed::default());
    };
    let line = line
        .to_str()
        .map_err(|_| "its sec-websocket-protocol isn't text")?;
    let mut offered: Vec<_> = line
        .split(',')
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    let auth_token = if options.auth_token {
        take_token(&mut offered)?
    } else {
        None
    };
    if offered.is_empty() {
        return Ok(Agreed {
            subprotocol: None,
            auth_token,
        });
    }
    let own = options.auth_token.then_some(PHOENIX).into_iter();
    let subprotocol = own
        .chain(options.subprotocols.iter().map(String::as_str))
        .find(|it| offered.contains(it))
        .ok_or("it offers none of the mount's subprotocols")?;
    Ok(Agreed {
        subprotocol: Some(subprotocol.to_owned()),
        auth_token,
    })
}

/// Takes the one token out of the offers. Several are as good as none.
fn take_token(offered: &mut Vec<&str>) -> Result<Option<String>, &'static str> {
    let mut tokens = offered
        .iter()
        .filter_map(|it| it.strip_prefix(TOKEN_PREFIX));
    let (Some(token), None) = (tokens.next(), tokens.next()) else {
        return Ok(None);
    };
    let token = STANDARD
        .decode(token)
        .or_else(|_| URL_SAFE.decode(token))
        .ok()
        .and_then(|it| String::from_utf8(it).ok())
        .ok_or("its auth token isn't text in Base64")?;
    offered.retain(|it| !it.starts_with(TOKEN_PREFIX));
    Ok(Some(token))
}

/// Takes tokens out of the headers that user code sees.
pub(crate) fn hide_tokens(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .cloned()
        .collect();
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    for line in lines {
        let Ok(text) = line.to_str() else { continue };
        if !text.contains(TOKEN_PREFIX) {
            headers.append(SEC_WEBSOCKET_PROTOCOL, line);
            continue;
        }
        let rest: Vec<_> = text
            .split(',')
            .map(str::trim)
            .filter(|it| !it.starts_with(TOKEN_PREFIX))
            .collect();
        if let Ok(rest) = HeaderValue::try_from(rest.join(", "))
            && !rest.is_empty()
        {
            headers.append(SEC_WEBSOCKET_PROTOCOL, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        offer: Option<&str>,
        options: &SocketOptions,
        expected: Result<(Option<&str>, Option<&str>), ()>,
    ) {
        let mut headers = HeaderMap::new();
        if let Some(offer) = offer {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offer.parse().unwrap());
        }
        let agreed = negotiate(&headers, options);
        let agreed = agreed
            .as_ref()
            .map(|it| (it.subprotocol.as_deref(), it.auth_token.as_deref()));
        assert_eq!(agreed.map_err(|_| ()), expected, "{offer:?}");
    }

    #[test]
    fn without_subprotocols_the_header_is_ignored() {
        check(Some("mqtt"), &SocketOptions::new(), Ok((None, None)));
    }

    #[test]
    fn the_mounts_first_subprotocol_that_is_offered_is_agreed_on() {
        let options = SocketOptions::new().subprotocols(["sip", "mqtt"]);
        check(None, &options, Ok((None, None)));
        check(Some("mqtt, sip"), &options, Ok((Some("sip"), None)));
        check(Some("mqtt"), &options, Ok((Some("mqtt"), None)));
        check(Some("SIP"), &options, Err(()));
        check(Some("amqp"), &options, Err(()));
    }

    #[test]
    fn a_token_is_taken_from_the_offers() {
        let options = SocketOptions::new().auth_token(true).subprotocols(["sip"]);
        check(None, &options, Ok((None, None)));
        check(
            Some("phoenix, base64url.bearer.phx.YS9i"),
            &options,
            Ok((Some("phoenix"), Some("a/b"))),
        );
        check(
            Some("base64url.bearer.phx.YQ, sip"),
            &options,
            Ok((Some("sip"), Some("a"))),
        );
        check(
            Some("phoenix, base64url.bearer.phx.YQ=="),
            &options,
            Ok((Some("phoenix"), Some("a"))),
        );
        check(
            Some("phoenix, base64url.bearer.phx.w7_Dvw"),
            &options,
            Ok((Some("phoenix"), Some("ÿÿ"))),
        );
        check(
            Some("phoenix, base64url.bearer.phx.w7/Dvw"),
            &options,
            Ok((Some("phoenix"), Some("ÿÿ"))),
        );
        check(
            Some("base64url.bearer.phx.YQ"),
            &options,
            Ok((None, Some("a"))),
        );
        check(
            Some("phoenix, base64url.bearer.phx.YQ, base64url.bearer.phx.Yg"),
            &options,
            Ok((Some("phoenix"), None)),
        );
        check(Some("phoenix, base64url.bearer.phx.!"), &options, Err(()));
        check(Some("phoenix, base64url.bearer.phx._w"), &options, Err(()));
        check(Some("mqtt, base64url.bearer.phx.YQ"), &options, Err(()));
    }

    #[test]
    fn tokens_are_hidden_wherever_they_stand() {
        let mut headers = HeaderMap::new();
        for line in [
            "phoenix, base64url.bearer.phx.YQ,sip",
            "base64url.bearer.phx.Yg",
            "mqtt , amqp",
        ] {
            headers.append(SEC_WEBSOCKET_PROTOCOL, line.parse().unwrap());
        }
        hide_tokens(&mut headers);
        let left: Vec<_> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
        assert_eq!(left, ["phoenix, sip", "mqtt , amqp"]);
    }
}
