//! What a server presents when a TLS connection is opened, whatever it is worth.
//! Must not judge it, and sends nothing after the handshake.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certs::inspect::CertificateFacts;
use crate::certs::provider;
use crate::text::{clean, clip};

/// Longest wait for a connection with its handshake: what an API server waits for a webhook at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a TLS server listens.
#[derive(Clone, Debug)]
pub struct Address {
    /// Name or address, without brackets.
    pub host: String,
    /// 443 when the URL has none.
    pub port: u16,
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "an address such as https://127.0.0.1:9443";
        let uri: http::Uri = text.parse().map_err(|_| FORM)?;
        let host = uri.host().filter(|h| !h.is_empty()).ok_or(FORM)?;
        if uri.scheme_str() != Some("https") || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(FORM);
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(443) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = clean(&self.host);
        if host.contains(':') { write!(f, "[{host}]:{}", self.port) } else { write!(f, "{host}:{}", self.port) }
    }
}

/// The chain that the server presents to a client that asks for `name`.
///
/// # Errors
/// No connection, no TLS, or a certificate that cannot be read.
pub async fn presented(address: &Address, name: &str) -> anyhow::Result<Vec<CertificateFacts>> {
    let asked = ServerName::try_from(name.to_owned()).map_err(|_| {
        anyhow!("`{}` is no name that a TLS client can ask for; give --dns NAME", clip(&clean(name), 80))
    })?;
    let recorder = Recorder { algorithms: provider().signature_verification_algorithms };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(recorder))
        .with_no_client_auth();
    // As API servers do.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let handshake = async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        TlsConnector::from(Arc::new(config)).connect(asked, stream).await
    };
    let advice = "check the address, and that the server speaks TLS there";
    let stream = match tokio::time::timeout(PATIENCE, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => bail!("cannot connect to {address}: {}; {advice}", clip(&clean(&error.to_string()), 200)),
        Err(_) => bail!("{address} did not answer within {} s; {advice}", PATIENCE.as_secs()),
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let read = |der: &CertificateDer<'_>| {
        CertificateFacts::read(der)
            .map_err(|_| anyhow!("{address} presents what is no X.509 certificate; see its set-up"))
    };
    chain.iter().map(read).collect()
}

/// Takes every certificate: it is checked afterwards, with more to say than a handshake can. That the server has the
/// key is verified here.
#[derive(Debug)]
struct Recorder {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
