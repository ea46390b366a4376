//! What a client shows to be the one that a session was begun by.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bennu_pubsub::{NodeId, NodeName};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs and checks the tokens of one mount of one endpoint. A token of another mount, or of an earlier run of this node,
/// is none; and so is one of another node, unless both are nodes of a cluster.
#[derive(Clone)]
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
    node: [u8; NODE_BYTES],
    /// This node among others, where there are some.
    address: Option<NodeId>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It's of this session here.
    Here(u64),
    /// It's of a session of another node.
    There(NodeId),
}

/// How a run of a node is told from others.
pub(crate) const NODE_BYTES: usize = 16;
const ID_BYTES: usize = 8;
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 32;
const CLAIM_BYTES: usize = NODE_BYTES + ID_BYTES + TIME_BYTES;
/// Without padding, where there are no others.
const TOKEN_BYTES_MIN: usize = ((CLAIM_BYTES + MAC_BYTES) * 4).div_ceil(3);
/// A node's start number and its name.
const ADDRESS_BYTES_MAX: usize = 8 + 64;
const TOKEN_BYTES_MAX: usize = ((CLAIM_BYTES + ADDRESS_BYTES_MAX + MAC_BYTES) * 4).div_ceil(3);

impl Signer {
    pub(crate) fn new(
        secret: &[u8],
        node: [u8; NODE_BYTES],
        address: Option<NodeId>,
        mount: &str,
    ) -> Self {
        // Of any length: HMAC takes every key.
        #[expect(clippy::expect_used, reason = "no key is refused")]
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
        mac.update(b"bennu long-poll session 1\0");
        mac.update(mount.as_bytes());
        mac.update(b"\0");
        Self { mac, node, address }
    }

    pub(crate) fn sign(&self, id: u64, now: SystemTime) -> Box<str> {
        let mut token = Vec::with_capacity(CLAIM_BYTES + ADDRESS_BYTES_MAX + MAC_BYTES);
        token.extend_from_slice(&self.node);
        token.extend_from_slice(&id.to_be_bytes());
        token.extend_from_slice(&seconds(now).to_be_bytes());
        if let Some(NodeId { name, start }) = &self.address {
            token.extend_from_slice(&start.to_be_bytes());
            token.extend_from_slice(name.as_str().as_bytes());
        }
        let mac = self.mac.clone().chain_update(&token).finalize();
        token.extend_from_slice(&mac.into_bytes());
        URL_SAFE_NO_PAD.encode(token).into()
    }

    /// Whose session it is. Signatures are compared in constant time.
    pub(crate) fn verify(&self, token: &str, age_max: Duration, now: SystemTime) -> Option<Claim> {
        if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len()) {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (claim, mac) = token.split_at_checked(token.len().checked_sub(MAC_BYTES)?)?;
        self.mac
            .clone()
            .chain_update(claim)
            .verify_slice(mac)
            .ok()?;
        let (node, rest) = claim.split_first_chunk::<NODE_BYTES>()?;
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
        let (signed_at, address) = rest.split_first_chunk::<TIME_BYTES>()?;
        let age = seconds(now).checked_sub(u64::from_be_bytes(*signed_at));
        if *node == self.node {
            let valid = age.is_some_and(|age| age < age_max.as_secs());
            return valid.then(|| Claim::Here(u64::from_be_bytes(*id)));
        }
        // Its own node will look again, by its own clock, of which this one may be behind.
        let address = address_of(address)?;
        let foreign = self.address.as_ref().is_some_and(|it| *it != address);
        (foreign && age.unwrap_or(0) < age_max.as_secs()).then_some(Claim::There(address))
    }
}

fn address_of(address: &[u8]) -> Option<NodeId> {
    let (start, name) = address.split_first_chunk()?;
    Some(NodeId {
        start: u64::from_be_bytes(*start),
        name: NodeName::parse(str::from_utf8(name).ok()?).ok()?,
    })
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
        Signer::new(secret.as_bytes(), [node; NODE_BYTES], None, mount)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_tells_its_session_until_it_expires() {
        let signer = signer("a secret", 1, "/socket");
        let token = signer.sign(7, at(1_000));
        assert_eq!(token.len(), TOKEN_BYTES_MIN);
        assert_eq!(signer.verify(&token, DAY, at(1_000)), Some(Claim::Here(7)));
        assert_eq!(
            signer.verify(&token, DAY, at(1_000 + 86_399)),
            Some(Claim::Here(7))
        );
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

    fn of(name: &str, start: u64, secret: &str) -> Signer {
        let name = NodeName::parse(name).unwrap();
        let address = Some(NodeId { name, start });
        Signer::new(
            secret.as_bytes(),
            [start as u8; NODE_BYTES],
            address,
            "/socket",
        )
    }

    #[test]
    fn nodes_of_a_cluster_know_whose_session_a_token_is_of() {
        let name = &"n".repeat(64);
        let (here, there) = (of("here", 1, "a secret"), of(name, 2, "a secret"));
        let token = there.sign(7, at(1_000));
        assert!(token.len() <= TOKEN_BYTES_MAX);
        let address = there.address.clone().unwrap();
        assert_eq!(there.verify(&token, DAY, at(1_000)), Some(Claim::Here(7)));
        let claim = Some(Claim::There(address));
        assert_eq!(here.verify(&token, DAY, at(1_000)), claim);
        assert_eq!(
            here.verify(&token, DAY, at(990)),
            claim,
            "its clock is behind"
        );
        assert_eq!(here.verify(&token, DAY, at(1_000 + 86_400)), None);
        let alone = signer("a secret", 1, "/socket");
        assert_eq!(
            alone.verify(&token, DAY, at(1_000)),
            None,
            "it has no others"
        );
        let stranger = of("here", 1, "another secret");
        assert_eq!(stranger.verify(&token, DAY, at(1_000)), None);
        let of_one_alone = signer("a secret", 9, "/socket").sign(7, at(1_000));
        assert_eq!(here.verify(&of_one_alone, DAY, at(1_000)), None);
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
