//! A certificate for a broker's TLS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};

/// Writes a certificate of `localhost`, which is its own authority, and its key into a folder, and says where.
pub(crate) fn certificate(folder: &str) -> (PathBuf, PathBuf) {
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let file = |name: &str, text: String| {
        let path = Path::new(folder).join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let certificate = file("certificate.pem", cert.pem());
    (certificate, file("key.pem", signing_key.serialize_pem()))
}
