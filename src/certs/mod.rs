//! Certificates of the webhook: a CA of our own, its rotation, and pairs from files that others renew.
//! Must not know Kubernetes' client nor the clock: times, file contents and Secret data come in as values.
//!
//! [`authority`] makes certificates, [`rotation`] decides when, [`bundle`] keeps the outcome in the form of a Secret.
//! [`inspect`] and [`check`] read what anyone made and say what is wrong with it. [`pair`], [`files`] and [`resolver`]
//! bring a pair into a TLS server and replace it while connections are open.

pub mod authority;
pub mod bundle;
pub mod check;
pub mod files;
pub mod inspect;
pub mod names;
pub mod pair;
pub mod pem;
pub mod resolver;
pub mod rotation;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

/// The cryptography of every certificate and connection here: ring, whatever the process has installed as default.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    &PROVIDER
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    suite.tls13().map(|s| s.common.hash_provider.hash(bytes).as_ref().to_vec()).unwrap_or_default()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
