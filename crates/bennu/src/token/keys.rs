//! Keys, each derived from a secret and a salt.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use pbkdf2::pbkdf2_hmac;
use sha2::{Sha256, Sha384, Sha512};

/// Derived keys that are kept. Salts are constants of a program; one that makes them up as it goes starts over.
const KEYS_KEPT_MAX: usize = 256;

/// The hash that keys are derived with, by PBKDF2 (RFC 8018).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyDigest {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a key is derived.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Derivation {
    pub(super) iterations: u32,
    /// In bytes.
    pub(super) length: usize,
    pub(super) digest: KeyDigest,
}

/// The secrets, and the keys derived from them so far: a derivation costs a thousand hashes.
pub(super) struct Keys {
    /// The first, and the older ones.
    secrets: (Box<[u8]>, Vec<Box<[u8]>>),
    kept: Mutex<HashMap<Name, Arc<[u8]>>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Name {
    /// Which of the secrets.
    secret: usize,
    salt: Box<str>,
    derivation: Derivation,
}

impl Keys {
    pub(super) fn new(secret: Box<[u8]>) -> Self {
        Self {
            secrets: (secret, Vec::new()),
            kept: Mutex::default(),
        }
    }

    /// The same with an older secret more.
    pub(super) fn with_secret(&self, secret: Box<[u8]>) -> Self {
        let (first, mut older) = self.secrets.clone();
        older.push(secret);
        Self {
            secrets: (first, older),
            kept: Mutex::default(),
        }
    }

    /// The key of the first secret.
    pub(super) fn first(&self, salt: &str, derivation: &Derivation) -> Arc<[u8]> {
        self.key(0, &self.secrets.0, salt, derivation)
    }

    /// The keys of all secrets, each derived when its turn comes.
    pub(super) fn all(
        &self,
        salt: &str,
        derivation: &Derivation,
    ) -> impl Iterator<Item = Arc<[u8]>> {
        let (first, older) = &self.secrets;
        std::iter::once(first)
            .chain(older)
            .enumerate()
            .map(move |(index, secret)| self.key(index, secret, salt, derivation))
    }

    fn key(&self, index: usize, secret: &[u8], salt: &str, derivation: &Derivation) -> Arc<[u8]> {
        let name = Name {
            secret: index,
            salt: salt.into(),
            derivation: derivation.clone(),
        };
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lock().get(&name).cloned();
        if let Some(key) = kept {
            return key;
        }
        // Not while others wait for the lock.
        let key = derivation.derive(secret, salt);
        let mut kept = lock();
        if kept.len() >= KEYS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, key.clone());
        key
    }
}

impl Derivation {
    fn derive(&self, secret: &[u8], salt: &str) -> Arc<[u8]> {
        let mut key = vec![0; self.length];
        let (salt, rounds) = (salt.as_bytes(), self.iterations);
        match self.digest {
            KeyDigest::Sha256 => pbkdf2_hmac::<Sha256>(secret, salt, rounds, &mut key),
            KeyDigest::Sha384 => pbkdf2_hmac::<Sha384>(secret, salt, rounds, &mut key),
            KeyDigest::Sha512 => pbkdf2_hmac::<Sha512>(secret, salt, rounds, &mut key),
        }
        key.into()
    }
}

impl Default for Derivation {
    fn default() -> Self {
        Self {
            iterations: 1000,
            length: 32,
            digest: KeyDigest::Sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_one_phoenix_derives() {
        let keys = Keys::new([b'a'; 64].into());
        let key = keys.first("user socket", &Derivation::default());
        let hex: String = key.iter().map(|it| format!("{it:02x}")).collect();
        assert_eq!(
            hex,
            "a829241796f5908f5027dc39e02f1aee5889fb7f62df4198b00369defd2e9fad"
        );
    }

    #[test]
    fn a_key_is_derived_once_and_few_are_kept() {
        let derivation = Derivation {
            iterations: 1,
            ..Derivation::default()
        };
        let keys = Keys::new([b'a'; 64].into());
        let first = keys.first("salt", &derivation);
        assert!(Arc::ptr_eq(&first, &keys.first("salt", &derivation)));
        assert!(!Arc::ptr_eq(&first, &keys.first("tlas", &derivation)));
        for salt in 0..3 * KEYS_KEPT_MAX {
            let _ = keys.first(&salt.to_string(), &derivation);
        }
        assert!(keys.kept.lock().unwrap().len() <= KEYS_KEPT_MAX);
        assert_eq!(first, keys.first("salt", &derivation));
    }
}
