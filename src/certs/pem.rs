//! Certificates and keys out of PEM text, whoever wrote it.
//! Must not know what the certificates are for; its errors never repeat the text, which may be a key.

use std::fmt;

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Largest text that is read, in bytes: what a Secret can hold.
pub const MAX_BYTES: usize = 1 << 20;

/// What PEM text does not give.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PemError {
    /// Larger than [`MAX_BYTES`].
    #[error("is larger than a Secret can be (1 MiB); give the certificates that are needed alone")]
    TooLarge,
    /// No section at all.
    #[error("holds no PEM text; DER files have to be converted to PEM (-----BEGIN CERTIFICATE-----)")]
    NotPem,
    /// A section that ends early or is no base64.
    #[error("has a PEM section that is cut off or garbled; write the file again")]
    Garbled,
    /// A key that only a password opens.
    #[error("holds a key that is encrypted; give it without a password, in a file that only its owner may read")]
    Encrypted,
    /// More keys than one.
    #[error("holds more than one private key; leave the one that belongs to the first certificate")]
    SeveralKeys,
    /// No certificate among the sections.
    #[error("holds no certificate; give the file with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// No key among the sections.
    #[error("holds no private key (PKCS#8, SEC1 or PKCS#1); give the file with -----BEGIN PRIVATE KEY-----")]
    NoKey,
}

/// What PEM text gives.
#[derive(Debug, Default)]
pub struct Pem {
    /// Certificates in the order of the text.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The private key, when there is one. Its `Debug` does not show it.
    pub key: Option<PrivateKeyDer<'static>>,
}

/// Reads PEM text: any number of certificates, at most one private key. Other sections are passed over.
///
/// # Errors
/// Text that is no PEM, is cut off, or holds an encrypted key or several.
pub fn read_pem(text: &[u8]) -> Result<Pem, PemError> {
    if text.len() > MAX_BYTES {
        return Err(PemError::TooLarge);
    }
    let mut found = Pem::default();
    let mut sections = 0;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = section.map_err(|_| PemError::Garbled)?;
        sections += 1;
        let key = match kind {
            SectionKind::Certificate => {
                found.certificates.push(der.into());
                continue;
            }
            SectionKind::PrivateKey => PrivateKeyDer::Pkcs8(der.into()),
            SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(der.into()),
            SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(der.into()),
            _ => continue,
        };
        if found.key.replace(key).is_some() {
            return Err(PemError::SeveralKeys);
        }
    }
    let encrypted = [&b"-----BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| text.windows(mark.len()).any(|w| w == *mark)) {
        return Err(PemError::Encrypted);
    }
    if sections == 0 {
        return Err(PemError::NotPem);
    }
    Ok(found)
}

/// The certificates of a text, at least one.
///
/// # Errors
/// As [`read_pem`], or none.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found = read_pem(text)?.certificates;
    if found.is_empty() { Err(PemError::NoCertificate) } else { Ok(found) }
}

/// The private key of a text.
///
/// # Errors
/// As [`read_pem`], or none.
pub fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    read_pem(text)?.key.ok_or(PemError::NoKey)
}

/// A certificate as PEM text.
pub fn certificate_text(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    // RFC 7468 §2: 64 characters a line. Base64 is ASCII, so a chunk is text.
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// A private key as PEM text. Shown by no `Debug` and no `Display`; [`expose`](Self::expose) is the one way out.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretPem(String);

impl SecretPem {
    /// Takes a key's text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be written where only its owner reads.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPem(…)")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", PemError::NotPem)]
    #[case("just text", PemError::NotPem)]
    #[case("-----BEGIN CERTIFICATE-----\nAAAA\n", PemError::Garbled)]
    #[case("-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n", PemError::Garbled)]
    #[case("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", PemError::Encrypted)]
    fn what_is_no_use_has_a_reason(#[case] text: &str, #[case] expected: PemError) {
        assert_eq!(read_pem(text.as_bytes()).unwrap_err(), expected);
    }

    #[test]
    fn two_keys_are_ambiguous() {
        let one = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(read_pem(format!("{one}{one}").as_bytes()).unwrap_err(), PemError::SeveralKeys);
    }

    #[test]
    fn a_key_in_custody_is_not_shown() {
        assert_eq!(format!("{:?}", SecretPem::new("hunter2")), "SecretPem(…)");
    }

    #[test]
    fn a_certificate_reads_back() {
        let der = CertificateDer::from(vec![7; 200]);
        assert_eq!(certificates(certificate_text(&der).as_bytes()).unwrap(), [der]);
    }
}
