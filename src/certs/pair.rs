//! A certificate with its key, fit to be served.
//! Must not know where the two came from; its errors never repeat them.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;

use super::inspect::{CertificateFacts, Unreadable};
use super::pem::{self, PemError};

/// Why a pair is not served.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PairError {
    /// The certificate's text is no use.
    #[error("the certificate {0}")]
    Certificate(#[from] Unreadable),
    /// The key's text is no use.
    #[error("the key {0}")]
    Key(#[from] PemError),
    /// A key that TLS here does not take.
    #[error(
        "the key is of a kind that TLS does not take; use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
    )]
    KeyKind,
    /// The two do not belong together.
    #[error("the key does not belong to the first certificate; both must come from one renewal, the leaf first")]
    Mismatch,
    /// No longer valid.
    #[error("the certificate expired on {0}; renew it")]
    Expired(Timestamp),
    /// Not valid yet.
    #[error("the certificate is valid from {0} on; wait, or set the clock of this machine")]
    NotYetValid(Timestamp),
}

/// A certificate chain with the key of its leaf, valid when it was loaded.
#[derive(Debug)]
pub struct CertifiedPair {
    certified: Arc<CertifiedKey>,
    leaf: CertificateFacts,
}

impl CertifiedPair {
    /// Loads a chain, the leaf first, and the leaf's key. One text may hold both.
    ///
    /// # Errors
    /// Text that cannot be read, a key of another certificate, a leaf that is not valid at `now`.
    pub fn load(certificate: &[u8], key: &[u8], now: Timestamp) -> Result<Self, PairError> {
        let chain = pem::certificates(certificate).map_err(Unreadable::from)?;
        let leaf = CertificateFacts::read(chain.first().ok_or(Unreadable::Pem(PemError::NoCertificate))?)?;
        let key = pem::key(key)?;
        let certified = CertifiedKey::from_der(chain, key, super::provider()).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => PairError::Mismatch,
            rustls::Error::InvalidCertificate(_) => PairError::Certificate(Unreadable::X509),
            _ => PairError::KeyKind,
        })?;
        let pair = Self { certified: Arc::new(certified), leaf };
        pair.is_valid(now)?;
        Ok(pair)
    }

    /// Whether clients accept its dates.
    ///
    /// # Errors
    /// Expired or not yet valid.
    pub fn is_valid(&self, now: Timestamp) -> Result<(), PairError> {
        if now > self.leaf.not_after {
            return Err(PairError::Expired(self.leaf.not_after));
        }
        if now < self.leaf.not_before {
            return Err(PairError::NotYetValid(self.leaf.not_before));
        }
        Ok(())
    }

    /// What rustls serves.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What is in the leaf.
    pub fn leaf(&self) -> &CertificateFacts {
        &self.leaf
    }

    /// When the leaf ends, for a gauge.
    pub fn expires_at(&self) -> Timestamp {
        self.leaf.not_after
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::certs::authority::{Authority, CA_LIFE, LEAF_LIFE};
    use crate::certs::names::ServerNames;

    #[test]
    fn only_a_valid_pair_that_belongs_together_is_loaded() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap();
        let ca = Authority::create(now, CA_LIFE).unwrap();
        let [one, two] = [(); 2].map(|()| ca.issue(&names, now, LEAF_LIFE).unwrap());
        let load = |cert: &str, key: &str, hours: i64| {
            CertifiedPair::load(cert.as_bytes(), key.as_bytes(), now + SignedDuration::from_hours(hours))
                .map(|pair| pair.expires_at().to_string())
        };
        let (cert, key) = (one.certificate.as_str(), one.key.expose());
        assert_eq!(load(cert, key, 0).unwrap(), "2027-11-22T12:00:00Z");
        assert_eq!(load(cert, key, 365 * 24).unwrap(), "2027-11-22T12:00:00Z");
        assert_eq!(load(cert, two.key.expose(), 0), Err(PairError::Mismatch));
        assert!(matches!(load(cert, key, 365 * 24 + 1), Err(PairError::Expired(_))));
        assert!(matches!(load(cert, key, -2), Err(PairError::NotYetValid(_))));
        // A chain with the CA behind the leaf is fine, before it not.
        assert!(load(&format!("{cert}{}", ca.certificate()), key, 0).is_ok());
        assert_eq!(load(&format!("{}{cert}", ca.certificate()), key, 0), Err(PairError::Mismatch));
        assert!(matches!(load("", key, 0), Err(PairError::Certificate(_))));
        assert_eq!(load(cert, cert, 0), Err(PairError::Key(PemError::NoKey)));
        // Half of a key's text.
        let half = &key[..key.len() / 2];
        let said = load(cert, half, 0).unwrap_err().to_string();
        assert_eq!(said, "the key has a PEM section that is cut off or garbled; write the file again");
    }
}
