//! Chains that are wrong in one way each. Knows how to make them; some were made by openssl (`tests/certs`).

use jiff::SignedDuration;
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rstest::rstest;

use super::*;
use crate::certs::authority::{Authority, CA_LIFE, LEAF_LIFE};
use crate::certs::inspect::read_certificates;
use crate::certs::names::ServerNames;

const NAME: &str = "podfit-webhook.podfit.svc";

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn days(n: i32) -> SignedDuration {
    SignedDuration::from_hours(24) * n
}

fn found(chain: &[CertificateFacts], bundle: &[CertificateFacts], at: Timestamp) -> Vec<&'static str> {
    let names = [NAME.to_owned()];
    let wanted = Wanted { names: &names, bundle: Some(bundle), min_days: MIN_DAYS };
    let findings = check(chain, Some(true), &wanted, at);
    assert!(findings.is_sorted_by_key(|f| std::cmp::Reverse(f.severity)), "{findings:?}");
    findings.into_iter().map(|f| f.check).collect()
}

fn ca_and_leaf() -> (CertificateFacts, CertificateFacts) {
    let ca = Authority::create(now(), CA_LIFE).unwrap();
    let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap();
    let leaf = ca.issue(&names, now(), LEAF_LIFE).unwrap();
    (ca.facts().clone(), read_certificates(leaf.certificate.as_bytes()).unwrap().remove(0))
}

/// A leaf of a CA of its own, in the way of cert-manager, changed by the test.
fn made(change: impl FnOnce(&mut CertificateParams)) -> (CertificateFacts, CertificateFacts) {
    let mut params = CertificateParams::new(vec!["a CA".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_after = rcgen::date_time_ymd(2027, 2, 1);
    change(&mut params);
    let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    (CertificateFacts::read(issuer.der()).unwrap(), CertificateFacts::read(leaf.der()).unwrap())
}

fn file(name: &str) -> CertificateFacts {
    let path = format!("{}/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"));
    read_certificates(&std::fs::read(path).unwrap()).unwrap().remove(0)
}

#[rstest]
#[case::fine(0, &[])]
#[case::last_good_day(365 - 14, &[])]
#[case::soon(365 - 13, &["expires-soon"])]
#[case::over(366, &["expired"])]
#[case::early(-1, &["not-yet-valid"])]
fn dates_are_checked(#[case] day: i32, #[case] expected: &[&str]) {
    let (ca, leaf) = ca_and_leaf();
    // A day before its time the CA is as early as the leaf.
    let mut checks = found(&[leaf], &[ca], now() + days(day));
    checks.dedup();
    assert_eq!(checks, expected);
}

#[test]
fn the_cas_own_end_is_seen_though_rustls_does_not_look() {
    let (mut ended, leaf) = made(|p| p.not_after = rcgen::date_time_ymd(2060, 1, 1));
    ended.not_after = now() - days(1);
    assert_eq!(found(&[leaf], &[ended], now()), ["expired"]);
}

#[test]
fn who_signed_is_decided_by_signatures() {
    let (ca, leaf) = ca_and_leaf();
    let (other, _) = ca_and_leaf();
    assert!(found(std::slice::from_ref(&leaf), &[other.clone(), ca.clone()], now()).is_empty());
    assert_eq!(found(std::slice::from_ref(&leaf), &[other], now()), ["unknown-issuer"]);
    assert_eq!(found(std::slice::from_ref(&leaf), &[], now()), ["unknown-issuer"]);
    // A CA of the same name with another key.
    let ((one, leaf), (two, _)) = (made(|_| {}), made(|_| {}));
    assert_eq!(one.subject, two.subject);
    assert_eq!(found(std::slice::from_ref(&leaf), &[two], now()), ["bad-signature"]);
    assert_eq!(found(&[leaf], &[one], now()), [] as [&str; 0]);
}

#[test]
fn a_chain_with_an_intermediate_is_fine_in_order_and_noted_out_of_it() {
    let ca = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
    };
    let root = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate().unwrap()).unwrap();
    let middle = CertifiedIssuer::signed_by(ca("middle"), KeyPair::generate().unwrap(), &root).unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &middle).unwrap();
    let [root, middle, leaf] = [root.der(), middle.der(), leaf.der()].map(|d| CertificateFacts::read(d).unwrap());
    let bundle = [root.clone()];
    let check =
        |chain: &[&CertificateFacts]| found(&chain.iter().map(|c| (*c).clone()).collect::<Vec<_>>(), &bundle, now());
    assert!(check(&[&leaf, &middle]).is_empty());
    assert!(check(&[&leaf, &middle, &root]).is_empty());
    assert_eq!(check(&[&leaf]), ["unknown-issuer"]);
    assert_eq!(check(&[&leaf, &root, &middle]), ["chain-order"]);
}

#[test]
fn usages_and_names_are_checked() {
    let (ca, leaf) = made(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    assert_eq!(found(&[leaf], &[ca], now()), ["not-for-servers"]);
    let (ca, leaf) = made(|p| p.extended_key_usages.clear());
    assert!(found(&[leaf], &[ca], now()).is_empty());
    let (ca, leaf) =
        made(|p| p.subject_alt_names = vec![rcgen::SanType::DnsName("else.where.svc".try_into().unwrap())]);
    assert_eq!(found(&[leaf], &[ca], now()), ["name-missing"]);
    let (ca, leaf) = made(|p| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert_eq!(found(&[leaf], &[ca], now()), ["not-trusted"]);
    assert_eq!(found(&[], &[], now()), ["no-certificate"]);
}

#[rstest]
#[case::sha1("sha1.crt", &["weak-signature"])]
#[case::small_key("rsa1024.crt", &["weak-key"])]
fn what_openssl_made_too_weak_is_found(#[case] name: &str, #[case] expected: &[&str]) {
    assert_eq!(found(&[file(name)], &[file("rsa-ca.crt")], now()), expected);
}

#[test]
fn a_common_name_is_no_name() {
    let leaf = file("common-name-only.crt");
    let names = [NAME.to_owned()];
    let found = check(&[leaf], None, &Wanted { names: &names, bundle: None, min_days: 0 }, now());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].check, "no-names");
    assert!(found[0].message.contains("API servers read no common name"), "{}", found[0].message);
}

#[test]
fn a_foreign_key_is_the_first_finding() {
    let (_, leaf) = ca_and_leaf();
    let wanted = Wanted { names: &[], bundle: None, min_days: 1_000 };
    let findings = check(&[leaf], Some(false), &wanted, now());
    assert_eq!(findings.iter().map(|f| f.check).collect::<Vec<_>>(), ["key-mismatch", "expires-soon"]);
    assert_eq!(findings[1].message, "CN=podfit-webhook.podfit.svc ends on 2027-11-22T12:00:00Z, in 365 days");
}
