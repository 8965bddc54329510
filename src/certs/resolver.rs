//! What the TLS server presents: one pair, replaced while connections are open.
//! Must not know where pairs come from nor when.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::CertifiedPair;

/// The pair that is served. A swap counts for handshakes that begin after it; open connections stay as they are.
#[derive(Debug)]
pub struct ServedPair {
    current: ArcSwap<CertifiedPair>,
}

impl ServedPair {
    /// Serves this pair from now on.
    pub fn new(pair: Arc<CertifiedPair>) -> Self {
        Self { current: ArcSwap::new(pair) }
    }

    /// Serves another pair from now on; gives back the one before.
    pub fn swap(&self, pair: Arc<CertifiedPair>) -> Arc<CertifiedPair> {
        self.current.swap(pair)
    }

    /// The pair that is served.
    pub fn current(&self) -> Arc<CertifiedPair> {
        self.current.load_full()
    }

    /// When the served leaf ends, for a gauge.
    pub fn expires_at(&self) -> Timestamp {
        self.current.load().expires_at()
    }
}

impl ResolvesServerCert for ServedPair {
    // There is one name to serve: what the client asks for changes nothing.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.current.load().certified()))
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

    use super::*;
    use crate::certs::authority::{Authority, CA_LIFE, LEAF_LIFE};
    use crate::certs::names::ServerNames;

    type Both = (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>);

    fn pair(ca: &Authority) -> Arc<CertifiedPair> {
        // Connections take the machine's clock.
        let now = Timestamp::now();
        let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap();
        let issued = ca.issue(&names, now, LEAF_LIFE).unwrap();
        let loaded = CertifiedPair::load(issued.certificate.as_bytes(), issued.key.expose().as_bytes(), now);
        Arc::new(loaded.unwrap())
    }

    fn trusting(bundle: &[&Authority]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        for ca in bundle {
            roots.add(ca.der()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::clone(crate::certs::provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }

    async fn connect(served: &Arc<ServedPair>, client: &TlsConnector) -> std::io::Result<Both> {
        let config = ServerConfig::builder_with_provider(Arc::clone(crate::certs::provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_cert_resolver(Arc::clone(served) as _)));
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from("podfit-webhook.podfit.svc").unwrap();
        let (client, server) = tokio::join!(client.connect(name, near), acceptor.accept(far));
        Ok((client?, server?))
    }

    async fn speaks((client, server): &mut Both) {
        client.write_all(b"ping").await.unwrap();
        client.flush().await.unwrap();
        let mut heard = [0; 4];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
    }

    fn presented(both: &Both) -> Vec<u8> {
        both.0.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    #[tokio::test]
    async fn a_swap_counts_for_new_connections_and_leaves_open_ones_alone() {
        let now = Timestamp::now();
        let [old, new] = [(); 2].map(|()| Authority::create(now, CA_LIFE).unwrap());
        let (first, second) = (pair(&old), pair(&new));
        let served = Arc::new(ServedPair::new(Arc::clone(&first)));
        let [both, only_old, only_new] = [trusting(&[&old, &new]), trusting(&[&old]), trusting(&[&new])];

        let mut open = connect(&served, &both).await.unwrap();
        speaks(&mut open).await;
        assert_eq!(presented(&open), first.leaf().der.to_vec());
        assert!(connect(&served, &only_new).await.is_err());

        served.swap(Arc::clone(&second));
        assert_eq!(served.expires_at(), second.expires_at());
        speaks(&mut open).await;
        let mut fresh = connect(&served, &both).await.unwrap();
        assert_eq!(presented(&fresh), second.leaf().der.to_vec());
        speaks(&mut fresh).await;
        // Whoever knows the old CA alone is lost now: this is what the bundle of both is for.
        assert!(connect(&served, &only_old).await.is_err());
        assert!(connect(&served, &only_new).await.is_ok());

        let third = pair(&new);
        served.swap(Arc::clone(&third));
        speaks(&mut open).await;
        speaks(&mut fresh).await;
        assert_eq!(presented(&connect(&served, &only_new).await.unwrap()), third.leaf().der.to_vec());
    }
}
