//! The certificates in the form of a Secret's data: what is there, and what it is after a step of the rotation.
//! Must not know when a step is due ([`super::rotation`]) nor how a Secret is read and written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::authority::{Authority, AuthorityError, IssuedPair};
use super::check;
use super::inspect::{CertificateFacts, read_certificates};
use super::names::ServerNames;
use super::pair::CertifiedPair;
use super::pem::{SecretPem, certificate_text};
use super::rotation::{Leaf, Lifetimes, Next, Signer, State, Step, Validity};

/// The bundle for `caBundle`: first the CA that signs, then the one that will, then those that did. The key that
/// cert-manager uses too.
pub const CA_CERTIFICATES: &str = "ca.crt";
/// Key of the CA that signs.
pub const CA_KEY: &str = "ca.key";
/// The CA that will sign.
pub const NEXT_CERTIFICATE: &str = "next-ca.crt";
/// Its key.
pub const NEXT_KEY: &str = "next-ca.key";
/// When a bundle that holds it was out (RFC 3339).
pub const NEXT_PUBLISHED: &str = "next-ca.published";
/// When the CAs that signed before may leave the bundle (RFC 3339).
pub const PREVIOUS_UNTIL: &str = "previous-ca.until";
/// What is served; the key of a Secret of type `kubernetes.io/tls`.
pub const TLS_CERTIFICATE: &str = "tls.crt";
/// Its key.
pub const TLS_KEY: &str = "tls.key";

/// The data of a Secret, decoded.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// The CAs and the leaf. What is missing or damaged in a Secret is absent here, and made anew by the rotation.
#[derive(Default)]
pub struct Bundle {
    signer: Option<SigningCa>,
    next: Option<NextCa>,
    previous: Vec<CertificateFacts>,
    previous_until: Option<Timestamp>,
    leaf: Option<IssuedPair>,
}

/// The CA that signs; without its key it is only trusted.
struct SigningCa {
    facts: CertificateFacts,
    authority: Option<Authority>,
}

struct NextCa {
    authority: Authority,
    published: Option<Timestamp>,
}

impl Bundle {
    /// Reads a Secret's data. Never fails: what cannot be used is not there.
    pub fn read(data: &SecretData) -> Self {
        let text = |key: &str| data.get(key).and_then(|v| std::str::from_utf8(v).ok());
        let secret = |key: &str| text(key).map(SecretPem::new);
        let time = |key: &str| text(key).and_then(|t| t.trim().parse::<Timestamp>().ok());
        let mut bundle = data.get(CA_CERTIFICATES).and_then(|t| read_certificates(t).ok()).unwrap_or_default();
        let next = text(NEXT_CERTIFICATE).zip(secret(NEXT_KEY));
        let next = next.and_then(|(certificate, key)| Authority::from_pem(certificate, &key).ok());
        // A next CA that the bundle does not hold cannot have been published with it.
        let is_next = |c: &CertificateFacts| next.as_ref().is_some_and(|n| n.facts().fingerprint == c.fingerprint);
        let published = time(NEXT_PUBLISHED).filter(|_| bundle.iter().any(is_next));
        bundle.retain(|c| !is_next(c));
        let signer = (!bundle.is_empty()).then(|| bundle.remove(0)).map(|facts| {
            let key = secret(CA_KEY);
            let authority = key.and_then(|key| Authority::from_pem(&certificate_text(&facts.der), &key).ok());
            SigningCa { facts, authority }
        });
        let leaf = text(TLS_CERTIFICATE).zip(secret(TLS_KEY));
        Self {
            signer,
            next: next.map(|authority| NextCa { authority, published }),
            previous: bundle,
            previous_until: time(PREVIOUS_UNTIL),
            leaf: leaf.map(|(certificate, key)| IssuedPair { certificate: certificate.to_owned(), key }),
        }
    }

    /// The data to keep. It holds keys: of the whole, only `ca.crt`, `tls.crt` and `tls.key` belong into a pod.
    pub fn write(&self) -> SecretData {
        let mut data = SecretData::from([(CA_CERTIFICATES.to_owned(), self.ca_bundle().into_bytes())]);
        let mut put = |key: &str, value: &str| data.insert(key.to_owned(), value.as_bytes().to_vec());
        if let Some(authority) = self.signer.as_ref().and_then(|s| s.authority.as_ref()) {
            put(CA_KEY, authority.key().expose());
        }
        if let Some(next) = &self.next {
            put(NEXT_CERTIFICATE, next.authority.certificate());
            put(NEXT_KEY, next.authority.key().expose());
            if let Some(published) = next.published {
                put(NEXT_PUBLISHED, &published.to_string());
            }
        }
        if let Some(until) = self.previous_until.filter(|_| !self.previous.is_empty()) {
            put(PREVIOUS_UNTIL, &until.to_string());
        }
        if let Some(leaf) = &self.leaf {
            put(TLS_CERTIFICATE, &leaf.certificate);
            put(TLS_KEY, leaf.key.expose());
        }
        data
    }

    /// The bundle for `caBundle`, PEM text.
    pub fn ca_bundle(&self) -> String {
        self.trusted().iter().map(certificate_text).collect()
    }

    /// The CAs that clients are told to trust, decoded.
    pub fn trusted(&self) -> Vec<CertificateDer<'static>> {
        let signer = self.signer.iter().map(|s| s.facts.der.clone());
        let next = self.next.iter().map(|n| n.authority.der());
        signer.chain(next).chain(self.previous.iter().map(|c| c.der.clone())).collect()
    }

    /// What is served.
    pub fn leaf(&self) -> Option<&IssuedPair> {
        self.leaf.as_ref()
    }

    /// What the rotation decides by.
    pub fn state(&self) -> State {
        let validity = |c: &CertificateFacts| Validity { from: c.not_before, until: c.not_after };
        let last = self.previous.iter().map(|c| c.not_after).max();
        State {
            signer: self
                .signer
                .as_ref()
                .map(|s| Signer { validity: validity(&s.facts), can_sign: s.authority.is_some() }),
            next: self.next.as_ref().map(|n| Next { validity: validity(n.authority.facts()), published: n.published }),
            // Without a note, somebody else's CA in the bundle stays as long as it is valid.
            previous_until: last.map(|end| self.previous_until.map_or(end, |until| until.min(end))),
            leaf: self.leaf_state(),
        }
    }

    fn leaf_state(&self) -> Option<Leaf> {
        let leaf = self.leaf.as_ref()?;
        let chain = read_certificates(leaf.certificate.as_bytes()).ok()?;
        let (first, above) = chain.split_first()?;
        // Within its life, whatever the time is: its dates are judged by the rotation.
        let inside = first.not_before;
        let pair = CertifiedPair::load(leaf.certificate.as_bytes(), leaf.key.expose().as_bytes(), inside);
        let above: Vec<_> = above.iter().map(|c| c.der.clone()).collect();
        let is_trusted = check::trusted(&first.der, &above, &self.trusted(), inside).is_ok();
        Some(Leaf {
            validity: Validity { from: first.not_before, until: first.not_after },
            names: first.names.iter().cloned().collect(),
            is_sound: pair.is_ok() && is_trusted,
        })
    }

    /// Notes that the webhook configurations hold this bundle since `now`.
    pub fn published(&mut self, now: Timestamp) {
        if let Some(next) = &mut self.next {
            next.published.get_or_insert(now);
        }
    }

    /// Takes a step of the rotation. [`Step::Publish`] and [`Step::Keep`] change nothing here.
    ///
    /// # Errors
    /// What making a CA or a leaf says; nothing has changed then.
    pub fn take(
        &mut self,
        step: Step,
        names: &ServerNames,
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        match step {
            Step::Keep { .. } | Step::Publish => {}
            Step::StartOver => {
                let authority = Authority::create(now, lifetimes.ca)?;
                let leaf = authority.issue(names, now, lifetimes.leaf)?;
                *self = Self { signer: Some(authority.into()), leaf: Some(leaf), ..Self::default() };
            }
            Step::RenewLeaf(_) => {
                if let Some(authority) = self.signer.as_ref().and_then(|s| s.authority.as_ref()) {
                    self.leaf = Some(authority.issue(names, now, lifetimes.leaf)?);
                }
            }
            Step::AddNext(_) => {
                self.next = Some(NextCa { authority: Authority::create(now, lifetimes.ca)?, published: None });
            }
            Step::Switch => {
                let Some(next) = self.next.take() else { return Ok(()) };
                match next.authority.issue(names, now, lifetimes.leaf) {
                    Ok(leaf) => self.leaf = Some(leaf),
                    Err(error) => {
                        self.next = Some(next);
                        return Err(error);
                    }
                }
                let before = self.signer.replace(next.authority.into());
                self.previous.splice(0..0, before.map(|b| b.facts));
                self.previous_until = Some(now.saturating_add(lifetimes.retirement).unwrap_or(Timestamp::MAX));
            }
            Step::DropPrevious => {
                self.previous.clear();
                self.previous_until = None;
            }
        }
        Ok(())
    }
}

impl From<Authority> for SigningCa {
    fn from(authority: Authority) -> Self {
        Self { facts: authority.facts().clone(), authority: Some(authority) }
    }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
