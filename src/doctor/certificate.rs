//! Whether API servers trust what is served, and for how long.
//! Must not know where the chain and the bundles came from.

use jiff::Timestamp;

use super::Check;
use crate::certs::check::{Finding, MIN_DAYS, Severity, Wanted, check};
use crate::certs::inspect::{CertificateFacts, read_certificates};

const CHECK: &str = "certificate";
const BUNDLE: &str = "caBundle";

/// Judges the chain that is served (`place` says where it was seen) by the bundles of the configurations: each is what
/// an API server trusts for one entry.
pub fn served(
    chain: &Result<(Vec<CertificateFacts>, String), String>,
    bundles: &[Vec<u8>],
    name: &str,
    now: Timestamp,
) -> Vec<Check> {
    let names = [name.to_owned()];
    let mut checks = Vec::new();
    let empty = bundles.iter().filter(|b| b.is_empty()).count();
    if empty > 0 {
        let seen = format!("{empty} of {} entries have none: API servers refuse every call", bundles.len());
        let advice = "with the built-in CA see podfit's log, with cert-manager its CA injector's; else write it there";
        checks.push(Check::fail(BUNDLE, seen, advice));
    }
    let (chain, place) = match chain {
        Ok(found) => found,
        Err(why) => {
            let advice = "kubectl port-forward a pod's port 8443, and give --webhook-url https://127.0.0.1:PORT";
            checks.push(Check::unknown(CHECK, why, advice));
            return checks;
        }
    };
    let findings = check(chain, None, &Wanted { names: &names, bundle: None, min_days: MIN_DAYS }, now);
    checks.extend(findings.iter().map(|f| row(CHECK, f)));
    if let (true, Some(leaf)) = (findings.is_empty(), chain.first()) {
        let days = leaf.days_left(now);
        checks.push(Check::ok(CHECK, format!("{days} days left, {place}")));
    }
    let mut trusting = 0;
    for bundle in bundles.iter().filter(|b| !b.is_empty()) {
        let Ok(authorities) = read_certificates(bundle) else {
            checks.push(Check::fail(BUNDLE, "it holds no certificate", "write the CA's certificate, PEM, base64"));
            continue;
        };
        let wanted = Wanted { names: &[], bundle: Some(&authorities), min_days: 0 };
        // What is wrong with the certificate itself was told above.
        let about_trust: Vec<Finding> = check(chain, None, &wanted, now)
            .into_iter()
            .filter(|f| !findings.iter().any(|g| g.check == f.check))
            .collect();
        trusting += usize::from(about_trust.is_empty());
        checks.extend(about_trust.iter().map(|f| row(BUNDLE, f)));
    }
    if trusting > 0 && trusting == bundles.len() {
        checks.push(Check::ok(BUNDLE, format!("all {trusting} entries trust the certificate")));
    }
    // The same is wrong with each of the entries more often than not.
    let mut told = std::collections::HashSet::new();
    checks.retain(|c| told.insert(c.seen.clone()));
    checks
}

fn row(name: &str, finding: &Finding) -> Check {
    match finding.severity {
        Severity::Error => Check::fail(name, finding.message.as_str(), finding.fix),
        Severity::Warning => Check::warn(name, finding.message.as_str(), finding.fix),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::certs::authority::{Authority, CA_LIFE, LEAF_LIFE};
    use crate::certs::names::ServerNames;
    use crate::doctor::State;

    const NAME: &str = "podfit-webhook.podfit.svc";

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn served_by(ca: &Authority) -> (Vec<CertificateFacts>, String) {
        let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap();
        let pair = ca.issue(&names, now(), LEAF_LIFE).unwrap();
        (read_certificates(pair.certificate.as_bytes()).unwrap(), "in Secret podfit-webhook-tls".to_owned())
    }

    fn states(checks: &[Check]) -> Vec<(&str, State)> {
        checks.iter().map(|c| (c.check.as_str(), c.state)).collect()
    }

    #[test]
    fn a_bundle_that_fits_is_trusted_and_another_is_not() {
        let (ca, other) = (Authority::create(now(), CA_LIFE).unwrap(), Authority::create(now(), CA_LIFE).unwrap());
        let (own, foreign) = (ca.certificate().as_bytes().to_vec(), other.certificate().as_bytes().to_vec());
        let chain = Ok(served_by(&ca));
        let good = served(&chain, &[own.clone(), own.clone()], NAME, now());
        assert_eq!(states(&good), [(CHECK, State::Ok), (BUNDLE, State::Ok)]);
        let mixed = served(&chain, &[own, foreign], NAME, now());
        assert_eq!(states(&mixed), [(CHECK, State::Ok), (BUNDLE, State::Fail)], "{mixed:?}");
    }

    #[test]
    fn what_is_empty_late_or_for_another_name_is_told() {
        let ca = Authority::create(now(), CA_LIFE).unwrap();
        let bundle = ca.certificate().as_bytes().to_vec();
        let chain = Ok(served_by(&ca));
        let late = now() + LEAF_LIFE - SignedDuration::from_hours(24 * 3);
        for (bundles, name, at, expected) in [
            (vec![Vec::new()], NAME, now(), State::Fail),
            (vec![bundle.clone()], "other.podfit.svc", now(), State::Fail),
            (vec![bundle.clone()], NAME, late, State::Warn),
            (vec![b"no PEM".to_vec()], NAME, now(), State::Fail),
        ] {
            let checks = served(&chain, &bundles, name, at);
            let worst = checks.iter().map(|c| c.state).min().unwrap();
            assert_eq!(worst, expected, "{checks:?}");
        }
        let unread = served(&Err("no".to_owned()), &[bundle], NAME, now());
        assert_eq!(states(&unread), [(CHECK, State::Unknown)]);
    }
}
