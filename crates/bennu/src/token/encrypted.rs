//! Encrypted tokens, as `Plug.Crypto.MessageEncryptor` writes them, and wrote them before its release 2.0.

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use base64::Engine;
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, AeadCore, Generate, KeyInit, Nonce, Payload},
};

use super::{error::Unsignable, term::BASE64};

/// What XChaCha20-Poly1305 tokens begin with.
const XCP: &str = "XCP.";
/// What they authenticate beside their content: the same as the older ones.
const AAD: &[u8] = b"A128GCM";
/// The same in Base64, which the older ones begin with.
const A128GCM: &str = "QTEyOEdDTQ";

const XCP_NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const CONTENT_KEY_BYTES: usize = 16;

/// `XCP.` and nonce, tag and ciphertext. The key has 32 bytes.
pub(super) fn encrypt(term: &[u8], key: &[u8]) -> Result<String, Unsignable> {
    let nonce = XNonce::try_generate().map_err(|_| Unsignable::Random)?;
    encrypt_with(term, key, &nonce)
}

fn encrypt_with(term: &[u8], key: &[u8], nonce: &XNonce) -> Result<String, Unsignable> {
    let bytes = key.len();
    let cipher =
        XChaCha20Poly1305::new_from_slice(key).map_err(|_| Unsignable::KeyLength { bytes })?;
    let payload = Payload {
        msg: term,
        aad: AAD,
    };
    let too_long = |_| Unsignable::TooLong { bytes: term.len() };
    let sealed = cipher.encrypt(nonce, payload).map_err(too_long)?;
    let (ciphertext, tag) = sealed
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(Unsignable::TooLong { bytes: term.len() })?;
    let mut token = XCP.to_owned();
    BASE64.encode_string([nonce, &tag[..], ciphertext].concat(), &mut token);
    Ok(token)
}

/// A token that has the form of an encrypted one.
pub(super) enum Encrypted {
    XChaCha20Poly1305(Sealed),
    /// The content is encrypted with a key of its own, which is encrypted with ours.
    AesGcm {
        key: Sealed,
        content: Sealed,
    },
}

/// A nonce, and a ciphertext with its tag behind it.
pub(super) struct Sealed {
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Encrypted {
    pub(super) fn parse(token: &str) -> Option<Self> {
        match token.strip_prefix(XCP) {
            Some(sealed) => Self::parse_xcp(sealed),
            None => Self::parse_aes_gcm(token),
        }
    }

    fn parse_xcp(sealed: &str) -> Option<Self> {
        let sealed = BASE64.decode(sealed).ok()?;
        let (nonce, rest) = sealed.split_first_chunk::<XCP_NONCE_BYTES>()?;
        let (tag, ciphertext) = rest.split_first_chunk::<TAG_BYTES>()?;
        Some(Self::XChaCha20Poly1305(Sealed::new(nonce, ciphertext, tag)))
    }

    /// `A128GCM.<encrypted key, tag, nonce>.<nonce>.<ciphertext>.<tag>`
    fn parse_aes_gcm(token: &str) -> Option<Self> {
        let parts = token.split('.').collect::<Vec<_>>();
        let [A128GCM, key, nonce, ciphertext, tag] = parts[..] else {
            return None;
        };
        let decoded = |part| BASE64.decode(part).ok();
        let (key, nonce, ciphertext, tag) = (
            decoded(key)?,
            decoded(nonce)?,
            decoded(ciphertext)?,
            decoded(tag)?,
        );
        let (sealed_key, key_nonce) = key.split_at_checked(CONTENT_KEY_BYTES + TAG_BYTES)?;
        Some(Self::AesGcm {
            key: Sealed::new(key_nonce, sealed_key, &[]),
            content: Sealed::new(&nonce, &ciphertext, &tag),
        })
    }

    /// `None` when it wasn't encrypted with this key, or was changed since.
    pub(super) fn decrypt(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::XChaCha20Poly1305(sealed) => sealed.open::<XChaCha20Poly1305>(key, AAD),
            Self::AesGcm {
                key: sealed,
                content,
            } => {
                // Of a longer key the rest isn't used.
                let key = key.get(..32).unwrap_or(key);
                let content_key = sealed.open::<Aes256Gcm>(key, b"")?;
                content.open::<Aes128Gcm>(&content_key, AAD)
            }
        }
    }
}

impl Sealed {
    fn new(nonce: &[u8], ciphertext: &[u8], tag: &[u8]) -> Self {
        Self {
            nonce: nonce.to_vec(),
            ciphertext: [ciphertext, tag].concat(),
        }
    }

    fn open<C: Aead + AeadCore + KeyInit>(&self, key: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let nonce = <&Nonce<C>>::try_from(&*self.nonce).ok()?;
        let payload = Payload {
            msg: &self.ciphertext,
            aad,
        };
        C::new_from_slice(key).ok()?.decrypt(nonce, payload).ok()
    }
}
