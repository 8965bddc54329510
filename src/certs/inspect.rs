//! What is in a certificate, in words that can be shown.
//! Must not know whether that is good ([`super::check`]); text from a certificate is untrusted and made printable.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;

pub use super::pem::read_pem;
use super::pem::{self, PemError};
use crate::text::{clean, clip};

/// Longest text of a certificate that is shown, in characters.
const TEXT_CHARS: usize = 253;
/// Most names that are read from one certificate; public CAs allow 100.
const MAX_NAMES: usize = 1_000;
/// Smallest RSA key that TLS here accepts, in bits.
const RSA_BITS: usize = 2_048;

/// What cannot be read as certificates.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unreadable {
    /// No PEM, or none of a certificate.
    #[error("{0}")]
    Pem(#[from] PemError),
    /// A PEM section that is no X.509.
    #[error("has a CERTIFICATE section that is no X.509 certificate; write the file again")]
    X509,
}

/// What is in a certificate. All text is printable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and none excludes another")]
pub struct CertificateFacts {
    /// Whom it is about.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// DNS names and addresses for which it may serve.
    pub names: Vec<String>,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Valid from then on.
    pub not_before: Timestamp,
    /// Valid until then.
    pub not_after: Timestamp,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// How many CAs may stand between it and a leaf, when that is limited.
    pub path_length: Option<u32>,
    /// Whether a server may use it: no list of usages, or one that names servers.
    pub server_auth: bool,
    /// Kind and size of its key.
    pub key_type: String,
    /// Whether the key is too small for TLS.
    pub weak_key: bool,
    /// How it was signed.
    pub signature: String,
    /// Whether it was signed with a hash that no client accepts any more.
    pub weak_signature: bool,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// The certificate.
    #[serde(skip)]
    pub der: CertificateDer<'static>,
    #[serde(skip)]
    raw_subject: Vec<u8>,
    #[serde(skip)]
    raw_issuer: Vec<u8>,
}

impl CertificateFacts {
    /// Reads one certificate.
    ///
    /// # Errors
    /// [`Unreadable::X509`].
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let (rest, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| Unreadable::X509)?;
        if !rest.is_empty() {
            return Err(Unreadable::X509);
        }
        let basic = certificate.basic_constraints().ok().flatten();
        let usage = certificate.extended_key_usage().map_err(|_| Unreadable::X509)?;
        let (key_type, weak_key) = key_type(&certificate);
        let (signature, weak_signature) = signature(&certificate);
        Ok(Self {
            subject: shown(&certificate.subject().to_string()),
            issuer: shown(&certificate.issuer().to_string()),
            names: names(&certificate),
            serial: super::hex(certificate.raw_serial()),
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
            is_ca: certificate.is_ca(),
            path_length: basic.and_then(|b| b.value.path_len_constraint),
            server_auth: usage.is_none_or(|u| u.value.server_auth || u.value.any),
            key_type,
            weak_key,
            signature,
            weak_signature,
            fingerprint: super::hex(&super::sha256(der)),
            der: der.clone().into_owned(),
            raw_subject: certificate.subject().as_raw().to_vec(),
            raw_issuer: certificate.issuer().as_raw().to_vec(),
        })
    }

    /// Days until it ends; negative when it has ended.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        self.not_after.duration_since(now).as_secs().div_euclid(24 * 60 * 60)
    }

    /// Whether it names `issuer` as the one who signed it. Says nothing about the signature.
    pub fn names_as_issuer(&self, issuer: &Self) -> bool {
        self.raw_issuer == issuer.raw_subject
    }

    /// Whether it names itself as the one who signed it.
    pub fn is_self_issued(&self) -> bool {
        self.raw_issuer == self.raw_subject
    }
}

/// Reads the certificates of a PEM text, in its order.
///
/// # Errors
/// No PEM, no certificate, or one that is no X.509.
pub fn read_certificates(text: &[u8]) -> Result<Vec<CertificateFacts>, Unreadable> {
    pem::certificates(text)?.iter().map(CertificateFacts::read).collect()
}

fn shown(text: &str) -> String {
    clip(&clean(text), TEXT_CHARS)
}

/// Certificates without a known end say 9999-12-31, which is past what can be counted with.
fn time(seconds: i64) -> Timestamp {
    let edge = if seconds > 0 { Timestamp::MAX } else { Timestamp::MIN };
    Timestamp::from_second(seconds).unwrap_or(edge)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(list)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(dns) => Some(shown(dns)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            ip.ok().map(|ip| ip.to_string())
        }
        _ => None,
    };
    list.value.general_names.iter().filter_map(name).take(MAX_NAMES).collect()
}

fn key_type(certificate: &X509Certificate<'_>) -> (String, bool) {
    let key = certificate.public_key();
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == oid::OID_SIG_ED25519 {
        return ("Ed25519".to_owned(), false);
    }
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let bits = rsa.key_size();
            (format!("RSA {bits}"), bits < RSA_BITS)
        }
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
            let known = [
                (oid::OID_EC_P256, "ECDSA P-256"),
                (oid::OID_NIST_EC_P384, "ECDSA P-384"),
                (oid::OID_NIST_EC_P521, "ECDSA P-521"),
            ];
            let name = known.iter().find(|(o, _)| curve.as_ref() == Some(o)).map_or("ECDSA, other curve", |(_, n)| n);
            (name.to_owned(), false)
        }
        _ => (shown(&algorithm.to_id_string()), false),
    }
}

fn signature(certificate: &X509Certificate<'_>) -> (String, bool) {
    let id = certificate.signature_algorithm.algorithm.to_id_string();
    // RFC 3279, RFC 4055, RFC 5758, RFC 8410.
    let (name, weak) = match id.as_str() {
        "1.2.840.113549.1.1.2" => ("MD2 with RSA", true),
        "1.2.840.113549.1.1.4" => ("MD5 with RSA", true),
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => ("SHA-1 with RSA", true),
        "1.2.840.10045.4.1" => ("SHA-1 with ECDSA", true),
        "1.2.840.10040.4.3" => ("SHA-1 with DSA", true),
        "1.2.840.113549.1.1.11" => ("SHA-256 with RSA", false),
        "1.2.840.113549.1.1.12" => ("SHA-384 with RSA", false),
        "1.2.840.113549.1.1.13" => ("SHA-512 with RSA", false),
        "1.2.840.113549.1.1.10" => ("RSA-PSS", false),
        "1.2.840.10045.4.3.2" => ("SHA-256 with ECDSA", false),
        "1.2.840.10045.4.3.3" => ("SHA-384 with ECDSA", false),
        "1.2.840.10045.4.3.4" => ("SHA-512 with ECDSA", false),
        "1.3.101.112" => ("Ed25519", false),
        other => return (shown(other), false),
    };
    (name.to_owned(), weak)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::certs::authority::{Authority, CA_LIFE};

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn days_left_are_whole_and_go_below_zero() {
        let ca = Authority::create(now(), SignedDuration::from_hours(48)).unwrap();
        let days = |hours| ca.facts().days_left(now() + SignedDuration::from_hours(hours));
        assert_eq!([0, 1, 25, 49].map(days), [2, 1, 0, -1]);
    }

    #[test]
    fn a_certificate_without_a_known_end_has_the_last_one() {
        assert_eq!(time(253_402_300_799), Timestamp::MAX);
        assert_eq!(time(-99_999_999_999_999), Timestamp::MIN);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_pem(&bytes);
            let _ = read_certificates(&bytes);
            let _ = CertificateFacts::read(&CertificateDer::from(bytes));
        }

        #[test]
        fn no_damage_to_a_certificate_makes_it_panic(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
            let ca = Authority::create(now(), CA_LIFE).unwrap();
            let mut der = ca.der().to_vec();
            if let Some(hit) = der.get_mut(at) {
                *hit = byte;
            }
            let _ = CertificateFacts::read(&CertificateDer::from(der.clone()));
            der.truncate(cut);
            prop_assert!(CertificateFacts::read(&CertificateDer::from(der)).is_err() || cut >= 300);
            let mut text = ca.certificate().as_bytes().to_vec();
            if let Some(hit) = text.get_mut(at) {
                *hit = byte;
            }
            let _ = read_certificates(&text);
        }
    }
}
