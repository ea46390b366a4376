//! The heads of requests.

use bennu_websocket::{Deflate, handshake};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::Input;

const NAMES: &[&str] = &[
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "host",
    "x",
];

/// A head of lines is upgraded or refused with a reason, and so is what it says of extensions.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let method = match input.below(4) {
        0 => Method::POST,
        _ => Method::GET,
    };
    let mut headers = HeaderMap::new();
    for line in input.rest().split(|it| *it == b'\n') {
        let Some((name, value)) = line.split_first() else {
            continue;
        };
        let name = NAMES.get(usize::from(*name) % NAMES.len());
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let deflate = Deflate::negotiate(&headers);
    if let Some(deflate) = deflate {
        assert!((8..=15).contains(&deflate.window_bits()));
    }
    match handshake::upgrade(&method, Version::HTTP_11, &headers) {
        Ok(upgrade) => {
            assert_eq!(method, Method::GET);
            assert_eq!(upgrade.accept().len(), 28);
            assert_eq!(upgrade.response(deflate).status(), 101);
        }
        Err(error) => {
            let status = error.status().as_u16();
            let told = method != Method::GET || !error.body().is_empty();
            assert!(status == 426 || status == 400 && told);
        }
    }
}
