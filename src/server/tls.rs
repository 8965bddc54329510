//! The TLS side of the webhook: versions, protocols, and whose client certificates are asked for.
//! Must not know where certificates come from: a resolver hands out the newest with each handshake.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// HTTP/2 in TLS.
pub const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No PEM, or no certificates in it.
    #[error("holds no certificate; give the CA that signs the API servers' client certificates, as PEM")]
    NoAuthority,
    /// Certificates that nothing can be checked by.
    #[error("holds a certificate that clients cannot be checked by: {0}")]
    BadAuthority(String),
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// TLS 1.2 and 1.3 with the certificates of `resolver`. With `client_ca`, PEM of one CA or more, only clients with a
/// certificate of theirs are served.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    client_ca: Option<&[u8]>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider)
                .build()
                .map_err(|error| TlsError::BadAuthority(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(resolver);
    // API servers ask for HTTP/1.1 alone.
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    Ok(Arc::new(config))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TlsError::NoAuthority)?;
        roots.add(certificate).map_err(|error| TlsError::BadAuthority(error.to_string()))?;
    }
    if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) }
}
