//! The built-in CA: makes a CA, makes serving certificates, and comes back from its PEM text.
//! Must not know when to do so ([`super::rotation`]) nor where the outcome is kept.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::inspect::{CertificateFacts, Unreadable};
use super::names::ServerNames;
use super::pem::{self, PemError, SecretPem};

/// A day without daylight saving.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Life of a CA: ten years. It is trusted for one webhook alone and lives in one Secret, so a long life costs little,
/// and every change of CA is a time in which webhook configuration and server have to agree.
pub const CA_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Life of a serving certificate: one year. Nothing revokes it, so its end is what bounds the use of a lost key; it is
/// far above the four months that a broken renewal has until somebody notices.
pub const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long before it was made a certificate is valid: an hour, for API servers whose clock is behind.
pub const BACKDATE: SignedDuration = SignedDuration::from_hours(1);
/// Shortest life that is handed out. Below it a renewal would be due before everyone has read the certificate.
pub const SHORTEST_LIFE: SignedDuration = DAY;

/// A CA or certificate that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The CA's certificate is no PEM or no X.509.
    #[error("the CA's certificate {0}")]
    Certificate(#[from] Unreadable),
    /// The CA's key is no PEM.
    #[error("the CA's key {0}")]
    Key(PemError),
    /// A key of a kind that cannot sign here.
    #[error(
        "the CA's key is of a kind that podfit cannot sign with; give an ECDSA P-256 or P-384 key in PKCS#8, or make a new CA"
    )]
    KeyKind,
    /// Certificate and key are of two CAs.
    #[error("the CA's key does not belong to its certificate; restore the pair, or make a new CA")]
    Mismatch,
    /// A certificate that must not sign.
    #[error("`{0}` is no CA's certificate; give the CA that signs, not what it has signed")]
    NotAuthority(String),
    /// No life left.
    #[error("the CA ends on {0}, too soon to sign for a day; make a new CA")]
    Ends(Timestamp),
    /// The library that signs refused.
    #[error("the certificate could not be signed: {0}")]
    Signing(rcgen::Error),
}

/// A certificate and its key, as PEM text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedPair {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS#8.
    pub key: SecretPem,
}

/// A CA that can sign.
pub struct Authority {
    certificate: String,
    key: SecretPem,
    facts: CertificateFacts,
    signer: KeyPair,
}

impl Authority {
    /// A new CA with a life of `life` from `now` on: ECDSA P-256, signs serving certificates only, never another CA.
    ///
    /// # Errors
    /// [`AuthorityError::Signing`], when the system gives no random numbers.
    pub fn create(now: Timestamp, life: SignedDuration) -> Result<Self, AuthorityError> {
        let signer = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Signing)?;
        let mut params = params(now, now.saturating_add(life).unwrap_or(Timestamp::MAX), &signer);
        // The bundle holds several CAs during a change: their names differ, so that it can be read.
        let id = super::hex(&super::sha256(signer.public_key_raw())[..4]);
        params.distinguished_name = common_name(&format!("podfit webhook CA {id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&signer).map_err(AuthorityError::Signing)?;
        Self::from_pem(&pem::certificate_text(certificate.der()), &SecretPem::new(signer.serialize_pem()))
    }

    /// A CA from its first certificate and its key.
    ///
    /// # Errors
    /// Text that is no certificate or key, a pair of two CAs, a certificate that is no CA's.
    pub fn from_pem(certificate: &str, key: &SecretPem) -> Result<Self, AuthorityError> {
        let chain = pem::certificates(certificate.as_bytes()).map_err(Unreadable::from)?;
        let first = chain.first().ok_or(Unreadable::from(PemError::NoCertificate))?;
        let facts = CertificateFacts::read(first)?;
        if !facts.is_ca {
            return Err(AuthorityError::NotAuthority(facts.subject));
        }
        let der = pem::key(key.expose().as_bytes()).map_err(AuthorityError::Key)?;
        let matches = rustls::sign::CertifiedKey::from_der(vec![first.clone()], der.clone_key(), super::provider());
        matches.map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => AuthorityError::Mismatch,
            _ => AuthorityError::KeyKind,
        })?;
        let signer = key_pair(&der)?;
        Ok(Self { certificate: pem::certificate_text(first), key: key.clone(), facts, signer })
    }

    /// What is in its certificate.
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    /// Its certificate as PEM text.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key as PEM text.
    pub fn key(&self) -> &SecretPem {
        &self.key
    }

    /// A new serving certificate with a key of its own, valid for `life` from `now` on but never longer than the CA.
    ///
    /// # Errors
    /// A CA that ends within [`SHORTEST_LIFE`]; what signing says.
    pub fn issue(
        &self,
        names: &ServerNames,
        now: Timestamp,
        life: SignedDuration,
    ) -> Result<IssuedPair, AuthorityError> {
        let until = now.saturating_add(life).unwrap_or(Timestamp::MAX).min(self.facts.not_after);
        if until.duration_since(now) < life.min(SHORTEST_LIFE) {
            return Err(AuthorityError::Ends(self.facts.not_after));
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Signing)?;
        let mut params = params(now, until, &key);
        params.distinguished_name = common_name(common_name_of(names));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        for name in names.dns() {
            let name = name.try_into().map_err(AuthorityError::Signing)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.subject_alt_names.extend(names.ips().map(SanType::IpAddress));
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, &self.signer).map_err(AuthorityError::Signing)?;
        let certificate = params.signed_by(&key, &issuer).map_err(AuthorityError::Signing)?;
        Ok(IssuedPair {
            certificate: pem::certificate_text(certificate.der()),
            key: SecretPem::new(key.serialize_pem()),
        })
    }

    /// Its certificate, decoded.
    pub fn der(&self) -> CertificateDer<'static> {
        self.facts.der.clone()
    }
}

fn key_pair(der: &PrivateKeyDer<'static>) -> Result<KeyPair, AuthorityError> {
    KeyPair::try_from(der).map_err(|_| AuthorityError::KeyKind)
}

fn params(now: Timestamp, until: Timestamp, key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let from = now.saturating_sub(BACKDATE).unwrap_or(Timestamp::MIN);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // Nobody issues certificates for the time before 1970.
    let at = |time: Timestamp| epoch + std::time::Duration::from_secs(time.as_second().try_into().unwrap_or(0));
    params.not_before = at(from);
    params.not_after = at(until);
    // Every certificate has a key of its own, and so a serial of its own. A leading zero bit keeps it positive, and 16
    // bytes are within the 20 that RFC 5280 §4.1.2.2 allows.
    let mut serial = super::sha256(key.public_key_raw());
    serial.truncate(16);
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

/// Longest common name (RFC 5280, ub-common-name). Clients read the names of the extension alone.
const COMMON_NAME_CHARS: usize = 64;

fn common_name_of(names: &ServerNames) -> &str {
    if names.primary().len() <= COMMON_NAME_CHARS { names.primary() } else { "podfit webhook" }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::inspect::read_certificates;

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn names() -> ServerNames {
        ServerNames::of_service("podfit-webhook", "podfit").unwrap().with_ip([127, 0, 0, 1].into())
    }

    #[test]
    fn a_ca_signs_serving_certificates_and_nothing_else() {
        let ca = Authority::create(now(), CA_LIFE).unwrap();
        let facts = ca.facts();
        assert!(facts.is_ca && facts.subject.starts_with("CN=podfit webhook CA "), "{facts:?}");
        assert_eq!(facts.path_length, Some(0));
        assert_eq!(facts.key_type, "ECDSA P-256");
        assert_eq!(facts.not_before.to_string(), "2026-11-22T11:00:00Z");
        assert_eq!(facts.not_after.to_string(), "2036-11-19T12:00:00Z");

        let leaf = ca.issue(&names(), now(), LEAF_LIFE).unwrap();
        let leaf = &read_certificates(leaf.certificate.as_bytes()).unwrap()[0];
        assert_eq!(leaf.subject, "CN=podfit-webhook.podfit.svc");
        assert_eq!(leaf.issuer, facts.subject);
        assert_eq!(leaf.names, names().all());
        assert_eq!(leaf.not_after.to_string(), "2027-11-22T12:00:00Z");
        assert!(leaf.server_auth && !leaf.is_ca && !leaf.weak_signature && !leaf.weak_key);
    }

    #[test]
    fn a_ca_comes_back_from_its_text_and_goes_on_signing() {
        let ca = Authority::create(now(), CA_LIFE).unwrap();
        let back = Authority::from_pem(ca.certificate(), ca.key()).unwrap();
        let one = back.issue(&names(), now(), LEAF_LIFE).unwrap();
        let two = back.issue(&names(), now(), LEAF_LIFE).unwrap();
        let [one, two] = [&one, &two].map(|p| read_certificates(p.certificate.as_bytes()).unwrap().swap_remove(0));
        assert_ne!(one.serial, two.serial);
        let bundle = [back.der()];
        for leaf in [one, two] {
            crate::certs::check::trusted(&leaf.der, &[], &bundle, now()).unwrap();
        }
    }

    #[test]
    fn no_certificate_outlives_its_ca() {
        let ca = Authority::create(now(), DAY * 30).unwrap();
        let leaf = ca.issue(&names(), now(), LEAF_LIFE).unwrap();
        let leaf = &read_certificates(leaf.certificate.as_bytes()).unwrap()[0];
        assert_eq!(leaf.not_after, ca.facts().not_after);
        let late = now() + DAY * 30 - SignedDuration::from_hours(1);
        let said = ca.issue(&names(), late, LEAF_LIFE).unwrap_err().to_string();
        assert_eq!(said, "the CA ends on 2026-12-22T12:00:00Z, too soon to sign for a day; make a new CA");
    }

    #[test]
    fn what_is_no_ca_is_refused() {
        let ca = Authority::create(now(), CA_LIFE).unwrap();
        let other = Authority::create(now(), CA_LIFE).unwrap();
        let leaf = ca.issue(&names(), now(), LEAF_LIFE).unwrap();
        let refused = |cert: &str, key: &SecretPem| Authority::from_pem(cert, key).err().unwrap();
        assert!(matches!(refused(ca.certificate(), other.key()), AuthorityError::Mismatch));
        assert!(matches!(refused(&leaf.certificate, &leaf.key), AuthorityError::NotAuthority(_)));
        assert!(matches!(refused(ca.key().expose(), ca.key()), AuthorityError::Certificate(_)));
        assert!(matches!(
            refused(ca.certificate(), &SecretPem::new(ca.certificate())),
            AuthorityError::Key(PemError::NoKey)
        ));
    }
}
