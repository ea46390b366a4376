//! The fixed tokens hold `1`, signed at 1,700,000,000 s with a day of max_age, unless it's said otherwise. The
//! first two were made by Phoenix; the others by a program in Python, of its own PBKDF2, HMAC, HChaCha20 and AES.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

const SECRET: [u8; 64] = [b'a'; 64];
const SALT: &str = "user socket";
const SIGNED_AT_MS: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 86_400_000;

const ONE: &str = "SFMyNTY.g2gDYQFuBgAAaOXPiwFiAAFRgA.JHeS4vfRDc4d2QV3hiFw31kHc1JGbW_NJhFtvSGILzU";
const U1: &str = "SFMyNTY.g2gDbQAAAAJ1MW4GAABo5c-LAWE8.F4UuT_8_O8X8SQMT1GIwrHAAkddZLRrPfbU3xmbXi14";
const ONE_SHA384: &str = "SFMzODQ.g2gDYQFuBgAAaOXPiwFiAAFRgA.xEjhwMyq5Mi7h6Xx2BOWZCETbiRFFiyQxPxLqHbMkcpwm183yZY0pUscQFXvSZLl";
const ONE_SHA512: &str = "SFM1MTI.g2gDYQFuBgAAaOXPiwFiAAFRgA.nZ5auII1R4KFEt8iZucSFFrBssDKqmPhjpLhPNE8MbS5yo1XJIc6Y9BNvobGPISg7pjv0vIY4dzaJ2fz824mjQ";
/// As older releases wrote it: `{1, signed_at_ms}`, and `%{data: 1, signed: signed_at_ms}`.
const ONE_IN_A_PAIR: &str =
    "SFMyNTY.g2gCYQFuBgAAaOXPiwE.TQOl689EVQ8NHwWuo1RJJ4A8Vx4MksgDNrV8eBnyDpQ";
const ONE_IN_A_MAP: &str = "SFMyNTY.g3QAAAACZAAEZGF0YWEBZAAGc2lnbmVkbgYAAGjlz4sB.8AFhdicSHJY-Qk9G4uSeUWr4YCdW7OO6oyu187oI7m8";
const ONE_FOR_EVER: &str =
    "SFMyNTY.g2gDYQFuBgAAaOXPiwF3CGluZmluaXR5.zx3VWtlAnry8_MUrsU8wqDhFeEhlfnXDwa3hLLOeKvM";
const ONE_FOR_100_MS: &str =
    "SFMyNTY.g2gDYQFuBgAAaOXPiwFGP7mZmZmZmZo.bCrN-sqAdbIv8FsqhL67M59roBDZh071H_-phGncc54";
/// 200 times `x`.
const COMPRESSED: &str = "SFMyNTY.g1AAAADdeJzLYM5lYGA4UTFMQB4bA0PG0_PdjEkMjIENAHMeY7E.mSXksq8DEO4laT1rZfxY27IdF2Oxu36AYnD3zF8c2E8";
const ONE_XCHACHA: &str =
    "XCP.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXynPvYIIy2F5bAEBkyw0OyersmhwJoL-VXhYViRRcQwELvU4";
const ONE_AES: &str = "QTEyOEdDTQ.taNP8pCfVAKPpuKtPeNBZ4eLQhWCKtEPEZKL4oL9jcsyMzQ1Njc4OTo7PD0.AAECAwQFBgcICQoL.CPSy9x3goLfBFk_4N-BwHGwYoQ.9XlQd8We4s8y6iYB3nxPeQ";

fn token() -> Token {
    Token::new(SECRET).unwrap().signed_at(at(0))
}

/// So many milliseconds after the tokens were made.
fn at(age_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(SIGNED_AT_MS + age_ms)
}

/// Takes a token of either kind, at an age.
#[track_caller]
fn check(token: &Token, text: &str, age_ms: u64, expected: Result<u64, TokenError>) {
    let taken = if text.starts_with("SFM") {
        token.verify_at(SALT, Some(text), at(age_ms))
    } else {
        token.decrypt_at(SALT, Some(text), at(age_ms))
    };
    assert_eq!(taken, expected, "{text} at {age_ms} ms");
}

#[test]
fn a_token_is_the_one_phoenix_makes() {
    assert_eq!(token().sign(SALT, &1).unwrap(), ONE);
    let minute = token().max_age(Duration::from_secs(60));
    assert_eq!(minute.sign(SALT, "u1").unwrap(), U1);
    assert_eq!(token().any_age().sign(SALT, &1).unwrap(), ONE_FOR_EVER);
    let blink = token().max_age(Duration::from_millis(100));
    assert_eq!(blink.sign(SALT, &1).unwrap(), ONE_FOR_100_MS);
}

#[test]
fn tokens_of_all_forms_are_taken() {
    for text in [
        ONE,
        ONE_SHA384,
        ONE_SHA512,
        ONE_IN_A_PAIR,
        ONE_IN_A_MAP,
        ONE_FOR_EVER,
        ONE_FOR_100_MS,
        ONE_XCHACHA,
        ONE_AES,
    ] {
        check(&token(), text, 0, Ok(1));
        check(&token(), text, 100, Ok(1));
    }
    let text = token().verify_at::<String>(SALT, Some(U1), at(0));
    assert_eq!(text.as_deref(), Ok("u1"));
    let text = token().verify_at::<String>(SALT, Some(COMPRESSED), at(0));
    assert_eq!(text, Ok("x".repeat(200)));
}

#[test]
fn a_token_expires_after_its_max_age() {
    for text in [ONE, ONE_IN_A_PAIR, ONE_IN_A_MAP, ONE_XCHACHA, ONE_AES] {
        check(&token(), text, DAY_MS, Ok(1));
        check(&token(), text, DAY_MS + 1, Err(TokenError::Expired));
    }
    check(&token(), ONE_FOR_100_MS, 101, Err(TokenError::Expired));
    check(&token(), ONE_FOR_EVER, 1000 * DAY_MS, Ok(1));
}

#[test]
fn a_max_age_of_ones_own_counts_instead() {
    let expired = Err(TokenError::Expired);
    for text in [ONE, ONE_FOR_EVER, ONE_FOR_100_MS, ONE_XCHACHA] {
        check(&token().max_age(Duration::ZERO), text, 0, expired);
        let second = token().max_age(Duration::from_secs(1));
        check(&second, text, 1000, Ok(1));
        check(&second, text, 1001, expired);
        let blink = token().max_age(Duration::from_micros(1500));
        check(&blink, text, 1, Ok(1));
        check(&blink, text, 2, expired);
        check(&token().any_age(), text, 1000 * DAY_MS, Ok(1));
        check(&token().max_age(Duration::MAX), text, 1000 * DAY_MS, Ok(1));
    }
}

#[test]
fn a_max_age_below_zero_has_expired() {
    for max_age in [
        MaxAge::Seconds(-1),
        MaxAge::Fraction(-0.5),
        MaxAge::Fraction(0.0),
        MaxAge::Seconds(i128::MIN),
    ] {
        assert!(max_age.is_over(0, 0), "{max_age:?}");
    }
    assert!(!MaxAge::Seconds(i128::MAX).is_over(i128::MAX, i128::MAX));
}

#[test]
fn a_token_signed_in_the_future_is_invalid() {
    let future = token().signed_at(at(1)).sign(SALT, &1).unwrap();
    check(&token(), &future, 0, Err(TokenError::Invalid));
    check(&token().any_age(), &future, 0, Err(TokenError::Invalid));
    check(&token(), &future, 1, Ok(1));
}

#[test]
fn a_token_may_be_signed_before_1970() {
    let early = UNIX_EPOCH - Duration::from_millis(5);
    let text = token().signed_at(early).sign(SALT, &1).unwrap();
    check(&token(), &text, 0, Err(TokenError::Expired));
    check(&token().any_age(), &text, 0, Ok(1));
}

#[test]
fn no_token_is_missing() {
    let missing = Err(TokenError::Missing);
    assert_eq!(token().verify::<u64>(SALT, None), missing);
    assert_eq!(token().decrypt::<u64>(SALT, None), missing);
}

#[test]
fn the_clock_is_read_for_the_public_calls() {
    let token = Token::new(SECRET).unwrap();
    let (signed, encrypted) = (
        token.sign(SALT, &1).unwrap(),
        token.encrypt(SALT, &1).unwrap(),
    );
    assert_eq!(token.verify(SALT, signed.as_str()), Ok(1));
    assert_eq!(token.decrypt(SALT, encrypted.as_str()), Ok(1));
    let expired = Err(TokenError::Expired);
    assert_eq!(token.verify::<u64>(SALT, ONE), expired);
    assert_eq!(token.decrypt::<u64>(SALT, ONE_XCHACHA), expired);
}

#[test]
fn every_byte_of_a_token_counts() {
    let token = token();
    for text in [ONE, ONE_XCHACHA, ONE_AES] {
        for at in 0..text.len() {
            let (before, after) = text.split_at(at);
            let other = if after.starts_with('A') { 'B' } else { 'A' };
            let changed = format!("{before}{other}{}", &after[1..]);
            check(&token, &changed, 0, Err(TokenError::Invalid));
            check(&token, before, 0, Err(TokenError::Invalid));
            check(&token, &format!("{before}é"), 0, Err(TokenError::Invalid));
        }
    }
}

#[test]
fn garbage_is_invalid() {
    let long = format!("SFMyNTY.{}.AA", "A".repeat(TOKEN_BYTES_MAX));
    for text in [
        "",
        ".",
        "..",
        "garbage",
        "SFMyNTY..",
        "SFMyNTY.gw.",
        "SFMyNTY.g2EB",
        "XCP.",
        "XCP.AAAA",
        "xcp.AAAA",
        "QTEyOEdDTQ....",
        "QTEyOEdDTQ.AA.AA.AA.AA.AA",
        &long,
        &long.replace("SFMyNTY.", "XCP."),
    ] {
        let invalid = Err(TokenError::Invalid);
        assert_eq!(token().verify::<u64>(SALT, text), invalid, "{text}");
        assert_eq!(token().decrypt::<u64>(SALT, text), invalid, "{text}");
    }
}

#[test]
fn a_token_that_is_signed_right_may_hold_the_wrong_things() {
    let key = token().keys.first(SALT, &Derivation::default());
    let date = Term::Integer(i128::from(SIGNED_AT_MS));
    let one = Term::Integer(1);
    for term in [
        one.clone(),
        Term::Tuple(vec![one.clone()]),
        Term::Tuple(vec![one.clone(), one.clone(), one.clone(), one.clone()]),
        Term::Tuple(vec![one.clone(), Term::Float(1.0), one.clone()]),
        Term::Tuple(vec![one.clone(), date.clone(), Term::Atom("nil".into())]),
        Term::Tuple(vec![Term::List(vec![]), date.clone()]),
        Term::Map(vec![(Term::Atom("data".into()), one.clone())]),
        Term::Map(vec![
            (Term::text("data"), one),
            (Term::text("signed"), date),
        ]),
    ] {
        let text = signed::sign(&term.encode().unwrap(), &key);
        check(&token(), &text, 0, Err(TokenError::Invalid));
    }
    for bytes in [&b""[..], b"\x83", b"{}"] {
        check(
            &token(),
            &signed::sign(bytes, &key),
            0,
            Err(TokenError::Invalid),
        );
    }
}

#[test]
fn another_secret_or_salt_makes_another_token() {
    let invalid = Err(TokenError::Invalid);
    let other = Token::new([b'b'; 64]).unwrap();
    for text in [ONE, ONE_XCHACHA, ONE_AES] {
        check(&other, text, 0, invalid);
    }
    assert_eq!(token().verify_at::<u64>("salt", Some(ONE), at(0)), invalid);
    assert_eq!(
        token().decrypt_at::<u64>("salt", Some(ONE_XCHACHA), at(0)),
        invalid
    );
}

#[test]
fn older_secrets_are_taken_but_not_signed_with() {
    let new = || Token::new([b'b'; 64]).unwrap().signed_at(at(0));
    let both = new()
        .or_secret([b'c'; 64])
        .unwrap()
        .or_secret(SECRET)
        .unwrap();
    for text in [ONE, ONE_XCHACHA, ONE_AES] {
        check(&both, text, 0, Ok(1));
    }
    assert_eq!(both.sign(SALT, &1).unwrap(), new().sign(SALT, &1).unwrap());
    check(
        &token(),
        &both.encrypt(SALT, &1).unwrap(),
        0,
        Err(TokenError::Invalid),
    );
    check(&new(), &both.encrypt(SALT, &1).unwrap(), 0, Ok(1));
}

#[test]
fn a_short_secret_is_refused() {
    let error = Token::new([b'a'; 19]).unwrap_err();
    assert_eq!(error.to_string(), "the secret has 19 bytes, of 20 at least");
    assert!(Token::new([b'a'; 20]).unwrap().or_secret("").is_err());
}

#[test]
fn the_key_is_derived_as_told() {
    let sha512 = token().key_digest(KeyDigest::Sha512);
    assert!(
        sha512
            .sign(SALT, &1)
            .unwrap()
            .ends_with(".A1oO4YURGLbfRidzlM3J8DK6eyJSpdbcwDAZ4YHRKR8")
    );
    let other = token()
        .key_digest(KeyDigest::Sha384)
        .key_iterations(2)
        .key_length(16);
    let text = other.sign(SALT, &1).unwrap();
    assert!(text.ends_with(".ZxOdiGZtEUelCnyLzWzTObiI4cjW3RVUVvpd10cv6xs"));
    check(&other, &text, 0, Ok(1));
    check(&token(), &text, 0, Err(TokenError::Invalid));
    check(&other, ONE, 0, Err(TokenError::Invalid));
    check(&other, ONE_XCHACHA, 0, Err(TokenError::Invalid));
    assert_eq!(
        other.encrypt(SALT, &1).unwrap_err().to_string(),
        "a key of 16 bytes can't encrypt, one of 32 can"
    );
    let least = token().key_iterations(0).key_length(0);
    check(&least, &least.sign(SALT, &1).unwrap(), 0, Ok(1));
}

#[test]
fn an_encrypted_token_is_never_the_same() {
    let (one, other) = (
        token().encrypt(SALT, &1).unwrap(),
        token().encrypt(SALT, &1).unwrap(),
    );
    assert_ne!(one, other);
    assert_eq!(one.len(), ONE_XCHACHA.len());
    check(&token(), &one, 0, Ok(1));
}

#[test]
fn a_signed_token_is_no_encrypted_one() {
    let invalid = Err(TokenError::Invalid);
    assert_eq!(token().decrypt_at::<u64>(SALT, Some(ONE), at(0)), invalid);
    assert_eq!(
        token().verify_at::<u64>(SALT, Some(ONE_XCHACHA), at(0)),
        invalid
    );
}

#[test]
fn what_is_made_can_be_taken() {
    let most = "x".repeat(49_000);
    let text = token().sign(SALT, &most).unwrap();
    assert_eq!(
        token().verify_at(SALT, Some(&text), at(0)),
        Ok(most.clone())
    );
    let text = token().encrypt(SALT, &most).unwrap();
    assert_eq!(token().decrypt_at(SALT, Some(&text), at(0)), Ok(most));
    let more = "x".repeat(49_500);
    assert!(token().sign(SALT, &more).is_err());
    assert!(token().encrypt(SALT, &more).is_err());
    assert!(token().sign(SALT, &f64::NAN).is_err());
}

#[test]
fn data_is_a_type_of_ones_own() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Login {
        user_id: u64,
        roles: Vec<String>,
        device: Option<String>,
        settings: BTreeMap<String, (bool, f64)>,
    }
    let login = Login {
        user_id: 7,
        roles: vec!["admin".into()],
        device: None,
        settings: BTreeMap::from([("volume".into(), (true, 0.5))]),
    };
    let text = token().sign(SALT, &login).unwrap();
    assert_eq!(token().verify_at(SALT, Some(&text), at(0)), Ok(login));
    check(&token(), &text, 0, Err(TokenError::Invalid));
}

#[test]
fn secrets_and_keys_stay_out_of_logs() {
    let debug = format!("{:?}", token());
    assert!(!debug.contains("97") && !debug.contains("aaa"), "{debug}");
}
