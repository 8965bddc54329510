//! Certificate files: PEM text as it comes, or bytes as the DER of a certificate; what is shown is printable, what is
//! written is read again, and only a pair that is valid is served. Knows nothing of where the bytes come from.

use jiff::Timestamp;
use podfit::certs::bundle::{Bundle, CA_CERTIFICATES, CA_KEY, NEXT_CERTIFICATE, NEXT_KEY, SecretData};
use podfit::certs::bundle::{TLS_CERTIFICATE, TLS_KEY};
use podfit::certs::check::{Wanted, check};
use podfit::certs::inspect::{CertificateFacts, read_certificates};
use podfit::certs::pair::CertifiedPair;
use podfit::certs::pem::{certificate_text, read_pem};

/// The first byte: `d` and the rest is DER, else all of it is PEM text.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((b'd', der)) => text(certificate_text(&der.to_vec().into()).as_bytes()),
        _ => text(data),
    }
}

fn text(text: &[u8]) {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let pem = read_pem(text);
    let facts = read_certificates(text);
    if let Ok(facts) = &facts {
        assert_eq!(pem.as_ref().map(|pem| pem.certificates.len()), Ok(facts.len()));
        let wanted = Wanted { names: &["podfit.podfit.svc".to_owned()], bundle: Some(facts), min_days: 30 };
        for finding in check(facts, None, &wanted, now) {
            assert!(!finding.message.contains(char::is_control), "{:?}", finding.message);
        }
        facts.iter().for_each(one);
    }
    match CertifiedPair::load(text, text, now) {
        Ok(pair) => {
            let leaf = pair.leaf();
            assert!(leaf.not_before <= now && now <= leaf.not_after && pair.expires_at() == leaf.not_after);
            assert_eq!(facts.as_ref().ok().and_then(|facts| facts.first()), Some(leaf));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    let keys = [CA_CERTIFICATES, CA_KEY, NEXT_CERTIFICATE, NEXT_KEY, TLS_CERTIFICATE, TLS_KEY];
    let secret: SecretData = keys.iter().map(|key| ((*key).to_owned(), text.to_vec())).collect();
    let written = Bundle::read(&secret).write();
    assert_eq!(Bundle::read(&written).write(), written, "a bundle that was written is read as it is");
}

fn one(facts: &CertificateFacts) {
    let shown = [&facts.subject, &facts.issuer, &facts.serial, &facts.key_type, &facts.signature];
    for shown in shown.into_iter().chain(&facts.names) {
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    for shown in [&facts.subject, &facts.issuer].into_iter().chain(&facts.names) {
        assert!(shown.chars().count() <= 253, "{shown:?}");
    }
    assert_eq!(read_certificates(certificate_text(&facts.der).as_bytes()), Ok(vec![facts.clone()]));
    assert!(serde_json::to_string(facts).is_ok());
}
