//! What is wrong with a certificate for the webhook, and what to do about it.
//! Must not know where it came from: files, a Secret and a connection give the same chain.

use std::time::Duration;

use jiff::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use serde::Serialize;

use super::inspect::CertificateFacts;
use crate::text;

/// Days that have to be left, where nobody says otherwise: cert-manager and the built-in CA have renewed long before.
pub const MIN_DAYS: u32 = 14;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works today.
    Warning,
    /// API servers or the server itself refuse it.
    Error,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which check, for programs.
    pub check: &'static str,
    /// What is wrong, printable.
    pub message: String,
    /// What to do.
    pub fix: &'static str,
}

/// What is wanted of a chain.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Names that clients ask for.
    pub names: &'a [String],
    /// The CA bundle that clients have; not checked when absent.
    pub bundle: Option<&'a [CertificateFacts]>,
    /// Days that have to be left.
    pub min_days: u32,
}

/// Checks a chain, the leaf first, and its key when there is one; the worst findings come first.
pub fn check(
    chain: &[CertificateFacts],
    key_matches: Option<bool>,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Vec<Finding> {
    let mut found = Findings::default();
    let Some((leaf, above)) = chain.split_first() else {
        found.error(
            "no-certificate",
            "there is no certificate".to_owned(),
            "give the certificate chain, the leaf first",
        );
        return found.0;
    };
    if key_matches == Some(false) {
        let fix = "give the key of the same renewal; in a chain the leaf's certificate comes first";
        found.error("key-mismatch", format!("the key does not belong to {}", leaf.subject), fix);
    }
    for certificate in chain {
        validity(&mut found, certificate, wanted.min_days, now);
        strength(&mut found, certificate);
    }
    names(&mut found, leaf, wanted.names);
    if !leaf.server_auth {
        let message = format!("{} is not for servers: its usages do not have serverAuth", leaf.subject);
        found.error("not-for-servers", message, "issue it with the extended key usage serverAuth");
    }
    order(&mut found, chain);
    if let Some(bundle) = wanted.bundle {
        issuer(&mut found, leaf, above, bundle, wanted.min_days, now);
    }
    found.0.sort_by_key(|f| std::cmp::Reverse(f.severity));
    found.0
}

/// Whether a client that has this bundle trusts the leaf at `now`, as rustls decides it: signatures, dates, usages.
///
/// # Errors
/// What rustls says.
pub fn trusted(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    bundle: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    // What is no CA here is none for a client either.
    roots.add_parsable_certificates(bundle.iter().map(|c| c.clone().into_owned()));
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap_or(0)));
    let algorithms = super::provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(leaf)?,
        &roots,
        intermediates,
        time,
        algorithms,
    )
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, check: &'static str, message: String, fix: &'static str) {
        let finding = Finding { severity, check, message, fix };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    fn error(&mut self, check: &'static str, message: String, fix: &'static str) {
        self.add(Severity::Error, check, message, fix);
    }

    fn warning(&mut self, check: &'static str, message: String, fix: &'static str) {
        self.add(Severity::Warning, check, message, fix);
    }
}

fn validity(found: &mut Findings, certificate: &CertificateFacts, min_days: u32, now: Timestamp) {
    let CertificateFacts { subject, not_before, not_after, .. } = certificate;
    let days = certificate.days_left(now);
    if now > *not_after {
        found.error("expired", format!("{subject} expired on {not_after}"), "renew it; see why nothing did");
    } else if days < i64::from(min_days) {
        let message = format!("{subject} ends on {not_after}, in {days} days");
        found.warning("expires-soon", message, "renew it; see why nothing did");
    }
    if now < *not_before {
        let fix = "wait, or set the clock of who issues; an hour of back-dating is usual";
        found.error("not-yet-valid", format!("{subject} is valid from {not_before} on"), fix);
    }
}

fn strength(found: &mut Findings, certificate: &CertificateFacts) {
    let CertificateFacts { subject, signature, key_type, .. } = certificate;
    // Nobody verifies the signature of a CA by itself: it is in the bundle or it is not.
    if certificate.weak_signature && !(certificate.is_ca && certificate.is_self_issued()) {
        let message = format!("{subject} is signed with {signature}, which API servers refuse");
        found.error("weak-signature", message, "issue it with SHA-256 or better");
    }
    if certificate.weak_key {
        let message = format!("{subject} has a key of {key_type}, which TLS refuses");
        found.error("weak-key", message, "use ECDSA P-256 or RSA of 2048 bits or more");
    }
}

fn names(found: &mut Findings, leaf: &CertificateFacts, wanted: &[String]) {
    if leaf.names.is_empty() {
        let message = format!("{} has no subject alternative names; API servers read no common name", leaf.subject);
        found.error("no-names", message, "issue it with the DNS name SERVICE.NAMESPACE.svc");
        return;
    }
    let Ok(parsed) = ParsedCertificate::try_from(&leaf.der) else { return };
    for name in wanted {
        let covered = ServerName::try_from(name.as_str()).is_ok_and(|n| verify_server_name(&parsed, &n).is_ok());
        if !covered {
            let has = text::clip(&leaf.names.join(", "), 200);
            let message = format!("{} is not among its names: {has}", text::name(name));
            found.error("name-missing", message, "issue it for the name that is asked for");
        }
    }
}

fn order(found: &mut Findings, chain: &[CertificateFacts]) {
    for two in chain.windows(2) {
        let [below, above] = two else { continue };
        if !below.names_as_issuer(above) {
            let message = format!("{} stands behind {}, which it has not signed", above.subject, below.subject);
            let fix = "order the chain: the leaf, who signed it, who signed that one; the root may be left out";
            found.warning("chain-order", message, fix);
            return;
        }
    }
}

fn issuer(
    found: &mut Findings,
    leaf: &CertificateFacts,
    above: &[CertificateFacts],
    bundle: &[CertificateFacts],
    min_days: u32,
    now: Timestamp,
) {
    let der = |facts: &[CertificateFacts]| facts.iter().map(|c| c.der.clone()).collect::<Vec<_>>();
    // Dates are findings of their own: here only who signed counts, so the leaf is asked about within its life.
    let moment = now.clamp(leaf.not_before, leaf.not_after.max(leaf.not_before));
    let said = match trusted(&leaf.der, &der(above), &der(bundle), moment) {
        Ok(()) => {
            // API servers (Go's crypto/x509) look at the dates of the CA too, rustls does not.
            let signs =
                |c: &&CertificateFacts| trusted(&leaf.der, &der(above), std::slice::from_ref(&c.der), moment).is_ok();
            let signers: Vec<_> = bundle.iter().filter(signs).collect();
            if let Some(longest) = signers.iter().max_by_key(|c| c.not_after) {
                validity(found, longest, min_days, now);
            }
            return;
        }
        Err(rustls::Error::InvalidCertificate(error)) => error,
        Err(_) => CertificateError::BadEncoding,
    };
    let fix = "put the CA that signed it into caBundle; during a change of CA, the old one and the new one";
    let subject = &leaf.subject;
    match said {
        CertificateError::UnknownIssuer => {
            let message = format!("{subject} is signed by {}, which the CA bundle does not hold", leaf.issuer);
            found.error("unknown-issuer", message, fix);
        }
        CertificateError::BadSignature => {
            let message = format!("{subject} is not signed by the CA of the bundle that has its issuer's name");
            found.error("bad-signature", message, fix);
        }
        // Found above, each with its certificate's name.
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose if !leaf.server_auth => {}
        CertificateError::ExpiredContext { .. }
        | CertificateError::Expired
        | CertificateError::NotValidYetContext { .. }
        | CertificateError::NotValidYet
            if above.iter().any(|c| now > c.not_after || now < c.not_before) => {}
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
            if leaf.weak_signature || above.iter().any(|c| c.weak_signature) => {}
        other => {
            let reason = text::clip(&text::clean(&reason(&other)), 120);
            let message = format!("{subject} is not trusted with this CA bundle: {reason}");
            found.error("not-trusted", message, fix);
        }
    }
}

fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::BadEncoding => "a certificate is malformed".to_owned(),
        CertificateError::UnhandledCriticalExtension => "it has a critical extension that TLS does not know".to_owned(),
        CertificateError::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => "it is a CA itself; serve a leaf that the CA has signed".to_owned(),
            "EndEntityUsedAsCa" => "one in the chain or bundle that signs is no CA".to_owned(),
            "PathLenConstraintViolated" => "there are more CAs in the chain than its CA allows".to_owned(),
            other => other.to_owned(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
