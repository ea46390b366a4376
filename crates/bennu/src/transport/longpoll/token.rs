//! What a client shows to be the one that a session was begun by.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs and checks the tokens of one mount of one endpoint. A token of another mount, of another node, or of an
/// earlier run of this one is none.
#[derive(Clone)]
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
    node: [u8; NODE_BYTES],
}

/// How a run of a node is told from others.
pub(crate) const NODE_BYTES: usize = 16;
const ID_BYTES: usize = 8;
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 32;
const CLAIM_BYTES: usize = NODE_BYTES + ID_BYTES + TIME_BYTES;
/// Without padding.
const TOKEN_BYTES: usize = ((CLAIM_BYTES + MAC_BYTES) * 4).div_ceil(3);

impl Signer {
    pub(crate) fn new(secret: &[u8], node: [u8; NODE_BYTES], mount: &str) -> Self {
        // Of any length: HMAC takes every key.
        #[expect(clippy::expect_used, reason = "no key is refused")]
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
        mac.update(b"bennu long-poll session 1\0");
        mac.update(mount.as_bytes());
        mac.update(b"\0");
        Self { mac, node }
    }

    pub(crate) fn sign(&self, id: u64, now: SystemTime) -> Box<str> {
        let mut token = Vec::with_capacity(CLAIM_BYTES + MAC_BYTES);
        token.extend_from_slice(&self.node);
        token.extend_from_slice(&id.to_be_bytes());
        token.extend_from_slice(&seconds(now).to_be_bytes());
        let mac = self.mac.clone().chain_update(&token).finalize();
        token.extend_from_slice(&mac.into_bytes());
        URL_SAFE_NO_PAD.encode(token).into()
    }

    /// The session's id. Signatures are compared in constant time.
    pub(crate) fn verify(&self, token: &str, age_max: Duration, now: SystemTime) -> Option<u64> {
        if token.len() != TOKEN_BYTES {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (claim, mac) = token.split_at_checked(CLAIM_BYTES)?;
        self.mac
            .clone()
            .chain_update(claim)
            .verify_slice(mac)
            .ok()?;
        let (node, rest) = claim.split_first_chunk::<NODE_BYTES>()?;
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
        let signed_at = u64::from_be_bytes(rest.try_into().ok()?);
        let age = seconds(now).checked_sub(signed_at)?;
        (*node == self.node && age < age_max.as_secs()).then(|| u64::from_be_bytes(*id))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |it| it.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn signer(secret: &str, node: u8, mount: &str) -> Signer {
        Signer::new(secret.as_bytes(), [node; NODE_BYTES], mount)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_tells_its_session_until_it_expires() {
        let signer = signer("a secret", 1, "/socket");
        let token = signer.sign(7, at(1_000));
        assert_eq!(token.len(), TOKEN_BYTES);
        assert_eq!(signer.verify(&token, DAY, at(1_000)), Some(7));
        assert_eq!(signer.verify(&token, DAY, at(1_000 + 86_399)), Some(7));
        assert_eq!(signer.verify(&token, DAY, at(1_000 + 86_400)), None);
        assert_eq!(signer.verify(&token, DAY, at(999)), None, "from the future");
    }

    #[test]
    fn a_token_is_bound_to_secret_node_and_mount() {
        let token = signer("a secret", 1, "/socket").sign(7, at(1_000));
        for other in [
            signer("another secret", 1, "/socket"),
            signer("a secret", 2, "/socket"),
            signer("a secret", 1, "/other"),
        ] {
            assert_eq!(other.verify(&token, DAY, at(1_000)), None);
        }
    }

    #[test]
    fn no_byte_of_a_token_may_be_another() {
        let signer = signer("a secret", 1, "/socket");
        let token = signer.sign(7, at(1_000));
        for index in 0..token.len() {
            for byte in *b"A0_!=\n" {
                let mut forged = token.as_bytes().to_vec();
                if std::mem::replace(&mut forged[index], byte) != byte {
                    let forged = String::from_utf8(forged).unwrap();
                    assert_eq!(signer.verify(&forged, DAY, at(1_000)), None, "{forged}");
                }
            }
        }
        for length in 0..token.len() {
            assert_eq!(signer.verify(&token[..length], DAY, at(1_000)), None);
        }
        assert_eq!(signer.verify(&format!("{token}A"), DAY, at(1_000)), None);
    }
}
