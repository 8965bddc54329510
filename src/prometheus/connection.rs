//! The connection pool to one server: certificates, proxies, what is asked for compressed.
//! Knows nothing of requests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::address::Base;
use super::config::Config;
use super::error::{Error, clean, unreadable};
use super::refusal::root_cause;

/// Opens nothing yet.
pub(crate) fn build_client(config: &Config, base: &Base) -> Result<reqwest::Client, Error> {
    // Fails when a provider is already installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("podfit/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.timeout.min(Duration::from_secs(10)))
        .read_timeout(config.timeout)
        .tcp_nodelay(true);
    let mut identity = true;
    if base.url.scheme() == "http" {
        // A plain connection is a near one: compressing costs the server more than the network saves. Where it
        // compresses all the same, the answer is unpacked. Nor does a plain connection need the system's CAs, which a
        // bare image may lack.
        let plain = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        builder = builder.default_headers(plain).tls_certs_only([]);
    } else if config.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    } else if let Some(path) = &config.ca_file {
        builder = builder.tls_backend_preconfigured(trusting(path, config)?);
        identity = false;
    }
    if let Some((cert, key)) = client_files(config)?
        && identity
    {
        let mut pem = read(cert)?;
        pem.push(b'\n');
        pem.extend(read(key)?);
        builder = builder.identity(reqwest::Identity::from_pem(&pem).map_err(|_| unusable(cert))?);
    }
    builder.build().map_err(|e| Error::Tls { url: base.shown.clone(), cause: root_cause(&e.without_url()) })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::File { path: path.to_owned(), problem: unreadable(&e) })
}

fn unusable(cert: &Path) -> Error {
    Error::File { path: cert.to_owned(), problem: "with its key it makes no usable PEM client certificate".to_owned() }
}

/// The files of the client certificate and its key.
fn client_files(config: &Config) -> Result<Option<(&Path, &Path)>, Error> {
    match (&config.client_cert, &config.client_key) {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        _ => Err(Error::Config {
            setting: "client certificate",
            problem: "certificate and key go together; give both files or none".to_owned(),
        }),
    }
}

/// TLS that trusts the certificates of a file and no others.
fn trusting(path: &Path, config: &Config) -> Result<ClientConfig, Error> {
    let file = |problem: String| Error::File { path: path.to_owned(), problem };
    let certs: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?).filter_map(Result::ok).collect();
    if certs.is_empty() {
        return Err(file("it holds no PEM certificate".to_owned()));
    }
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certs.iter().cloned());
    if usable == 0 {
        return Err(file("it holds no certificate that can be read".to_owned()));
    }
    let failed = |e: &dyn std::error::Error| file(format!("it cannot be used: {}", clean(&e.to_string())));
    let webpki = WebPkiServerVerifier::builder(Arc::new(roots)).build().map_err(|e| failed(&e))?;
    let verifier = Arc::new(NamedOrSigned { named: certs, webpki });
    let builder = ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier);
    let mut tls = match client_files(config)? {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(cert)?).filter_map(Result::ok).collect();
            let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| unusable(cert))?;
            builder.with_client_auth_cert(chain, key).map_err(|_| unusable(cert))?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Trusts a server whose certificate was signed by one of a file, and one whose certificate is itself in the file: a
/// chain may not end where it begins, so that a self-signed certificate of a server could not be trusted otherwise.
#[derive(Debug)]
struct NamedOrSigned {
    named: Vec<CertificateDer<'static>>,
    webpki: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for NamedOrSigned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let signed = self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if signed.is_ok() || !self.named.iter().any(|named| named == end_entity) {
            return signed;
        }
        check_named(end_entity, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// A certificate that the file names still has to be of its time and of the server; one that says no server at all (a
/// common name only, as they were long ago) is taken at the file's word.
fn check_named(cert: &CertificateDer<'_>, server_name: &ServerName<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(cert).map_err(|_| rustls::Error::from(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if matches!(parsed.subject_alternative_name(), Ok(None)) {
        return Ok(());
    }
    rustls::client::verify_server_name(&ParsedCertificate::try_from(cert)?, server_name)
}

/// A proxy that the environment puts before the server.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Host and port, without a user.
    host: String,
    /// The variable that names it.
    variable: String,
}

impl Proxy {
    /// The one that requests to the server go through, as the client finds it too.
    pub(crate) fn of(base: &Base) -> Option<Self> {
        let server = base.url.as_str().parse().ok()?;
        let proxy = Matcher::from_system().intercept(&server)?;
        let host = proxy.uri().authority()?.as_str();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host).to_owned();
        let scheme = base.url.scheme();
        let names = [format!("{scheme}_proxy"), "all_proxy".to_owned()];
        let variable = names
            .into_iter()
            .flat_map(|name| [name.to_ascii_uppercase(), name])
            .find(|name| std::env::var(name).is_ok_and(|value| value.contains(&host)))
            .unwrap_or_else(|| "the system's settings".to_owned());
        Some(Self { host: clean(&host), variable })
    }
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the way there is the proxy {} ({}): check that it runs and lets podfit through, or name the server's host \
             in NO_PROXY",
            self.host, self.variable
        )
    }
}
