//! Servers with certificates of every kind, on the loopback interface.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use podfit::prometheus::{Client, Config, Mode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rstest::rstest;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::faults::{EMPTY, message, run};

/// A server that answers every request over TLS with an empty matrix.
async fn serve(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> SocketAddr {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut seen = Vec::new();
                // The questions are short and come in one piece, behind their head.
                while !seen.windows(6).any(|bytes| bytes == b"query=") {
                    let mut bytes = [0; 4096];
                    match stream.read(&mut bytes).await {
                        Ok(n) if n > 0 => seen.extend_from_slice(&bytes[..n]),
                        _ => return,
                    }
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{EMPTY}",
                    EMPTY.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

fn params(names: &[&str], is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
    params
}

fn file(dir: &tempfile::TempDir, name: &str, pem: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, pem).unwrap();
    path
}

fn config(address: SocketAddr, ca_file: Option<PathBuf>) -> Config {
    let mut config = Config::new(format!("https://127.0.0.1:{}", address.port()));
    (config.mode, config.retries, config.ca_file) = (Mode::Query, 0, ca_file);
    config
}

#[rstest]
#[case::end_entity(false, &["127.0.0.1"])]
#[case::that_is_a_ca(true, &["127.0.0.1"])]
#[case::without_any_name(true, &[])]
#[tokio::test]
async fn a_self_signed_certificate_is_its_own_ca_file(#[case] is_ca: bool, #[case] names: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = params(names, is_ca).self_signed(&key).unwrap();
    let address = serve(vec![cert.der().clone()], &key).await;
    let ca = file(&dir, "ca.pem", &cert.pem());
    let (_, error) = run(&Client::new(&config(address, Some(ca))).unwrap()).await;
    assert!(error.is_none(), "{error:?}");

    // Another self-signed certificate, of the same names, is not trusted.
    let other = params(names, is_ca).self_signed(&KeyPair::generate().unwrap()).unwrap();
    let other = file(&dir, "other.pem", &other.pem());
    let text = message(&Client::new(&config(address, Some(other))).unwrap()).await;
    assert!(text.contains("cannot trust https://127.0.0.1:") && text.contains("--prometheus-ca-file"), "{text}");

    let skip = Config { insecure: true, ..config(address, None) };
    assert!(run(&Client::new(&skip).unwrap()).await.1.is_none());
}

#[rstest]
#[case::of_another_name(&["prometheus.example"], 2100)]
#[case::that_is_over(&["127.0.0.1"], 2020)]
#[tokio::test]
async fn a_named_certificate_is_still_of_its_name_and_time(#[case] names: &[&str], #[case] until: i32) {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = params(names, true);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params.not_before = rcgen::date_time_ymd(2010, 1, 1);
    let cert = params.self_signed(&key).unwrap();
    let address = serve(vec![cert.der().clone()], &key).await;
    let ca = file(&dir, "ca.pem", &cert.pem());
    let text = message(&Client::new(&config(address, Some(ca))).unwrap()).await;
    assert!(text.contains("cannot trust https://127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn a_ca_in_the_file_signs_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let ca = CertifiedIssuer::self_signed(params(&[], true), KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = params(&["127.0.0.1"], false).signed_by(&key, &ca).unwrap();
    let address = serve(vec![cert.der().clone()], &key).await;
    let path = file(&dir, "ca.pem", &ca.pem());
    assert!(run(&Client::new(&config(address, Some(path))).unwrap()).await.1.is_none());
    // The certificate alone, without its CA, in the file.
    let path = file(&dir, "server.pem", &cert.pem());
    assert!(run(&Client::new(&config(address, Some(path))).unwrap()).await.1.is_none());
    let text = message(&Client::new(&config(address, None)).unwrap()).await;
    assert!(text.contains("cannot trust"), "{text}");
}
