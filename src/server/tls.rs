//! The TLS side of the webhook: versions, the protocol, and whose client certificates are asked for.
//! Must not know where certificates come from: a resolver hands out the newest with each handshake.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// API servers ask webhooks for HTTP/1.1 alone. HTTP/2 would only be another way to open many requests at once.
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

/// What new connections are served with. Replaced as a whole: a new setup resumes no session that an old one began, so
/// that who lost the trust in between is asked again.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ArcSwap<ServerConfig>>);

impl Tls {
    /// Serves new connections with this from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.load_full().into()
    }
}

impl From<Arc<ServerConfig>> for Tls {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }
}

/// TLS 1.2 and 1.3 with the certificates of `resolver`. With `clients`, only who they know is served.
///
/// # Errors
/// [`TlsError::Setup`].
pub fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(Arc::new(config))
}

/// Knows clients by a certificate of one of these CAs, which are given as PEM.
///
/// # Errors
/// [`TlsError::NoAuthority`], [`TlsError::BadAuthority`].
pub fn clients_of(pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider)
        .build()
        .map_err(|error| TlsError::BadAuthority(error.to_string()))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TlsError::NoAuthority)?;
        roots.add(certificate).map_err(|error| TlsError::BadAuthority(error.to_string()))?;
    }
    if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) }
}
