//! Tokens, and the terms in them.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bennu::Token;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

const SECRET: &str = "a secret of the fuzzer";
const SALT: &str = "salt";

/// No made-up token is valid, no term that somebody signed breaks anything, and what is signed comes back.
pub(crate) fn run(bytes: &[u8]) {
    static TOKENS: LazyLock<Option<Token>> =
        LazyLock::new(|| Token::new(SECRET).map(Token::any_age).ok());
    let Some(tokens) = &*TOKENS else {
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    assert!(
        tokens.verify::<Value>(SALT, &*text).is_err(),
        "signed by nobody"
    );
    assert!(
        tokens.decrypt::<Value>(SALT, &*text).is_err(),
        "encrypted by nobody"
    );

    let signed = signed(bytes);
    let term = tokens.verify::<Value>(SALT, &*signed);
    let _ = tokens.verify::<(u64, String, Option<Vec<i8>>)>(SALT, &*signed);
    let Ok(value) = term.or_else(|_| serde_json::from_slice::<Value>(bytes)) else {
        return;
    };
    let Ok(signed) = tokens.sign(SALT, &value) else {
        return;
    };
    let verified = tokens.verify::<Value>(SALT, &*signed);
    assert!(
        verified.as_ref().is_ok_and(|it| *it == value),
        "{value} became {verified:?}"
    );
    assert!(tokens.verify::<Value>("pepper", &*signed).is_err());
}

/// As whoever knows the secret would do it: HMAC-SHA-256 with a key by PBKDF2 (`Plug.Crypto.MessageVerifier`).
fn signed(term: &[u8]) -> String {
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(SECRET.as_bytes(), SALT.as_bytes(), 1000, &mut key);
        key
    });
    let input = format!("SFMyNTY.{}", URL_SAFE_NO_PAD.encode(term));
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(&*KEY) else {
        return input;
    };
    let mac = mac.chain_update(input.as_bytes()).finalize().into_bytes();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac))
}
