//! Signed tokens: `<algorithm>.<term>.<MAC>`, as `Plug.Crypto.MessageVerifier` writes them.

use base64::Engine;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::term::BASE64;

/// HS256 in Base64, the algorithm that is always signed with.
const HS256: &str = "SFMyNTY";
const HS384: &str = "SFMzODQ";
const HS512: &str = "SFM1MTI";

pub(super) fn sign(term: &[u8], key: &[u8]) -> String {
    let mut token = format!("{HS256}.");
    BASE64.encode_string(term, &mut token);
    let mac = keyed::<Sha256>(key, &token).finalize().into_bytes();
    token.push('.');
    BASE64.encode_string(mac, &mut token);
    token
}

/// A token that has the form of a signed one.
pub(super) struct Signed<'a> {
    algorithm: &'a str,
    /// What the MAC is of: the token up to its last dot.
    input: &'a str,
    mac: Vec<u8>,
    /// Not to be trusted before the MAC is.
    pub(super) term: Vec<u8>,
}

impl<'a> Signed<'a> {
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let (input, mac) = token.rsplit_once('.')?;
        let (algorithm, term) = input.split_once('.')?;
        Some(Self {
            algorithm,
            input,
            mac: BASE64.decode(mac).ok()?,
            term: BASE64.decode(term).ok()?,
        })
    }

    /// Compares in constant time.
    pub(super) fn is_signed_with(&self, key: &[u8]) -> bool {
        match self.algorithm {
            HS256 => self.has_mac::<Sha256>(key),
            HS384 => self.has_mac::<Sha384>(key),
            HS512 => self.has_mac::<Sha512>(key),
            _ => false,
        }
    }

    fn has_mac<D: EagerHash>(&self, key: &[u8]) -> bool
    where
        Hmac<D>: KeyInit + Mac,
    {
        keyed::<D>(key, self.input).verify_slice(&self.mac).is_ok()
    }
}

fn keyed<D: EagerHash>(key: &[u8], input: &str) -> Hmac<D>
where
    Hmac<D>: KeyInit + Mac,
{
    <Hmac<D> as KeyInit>::new_from_slice(key)
        .expect("HMAC takes keys of any length")
        .chain_update(input)
}
