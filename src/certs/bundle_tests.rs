//! A Secret over thirty years with real keys and signatures. Knows no cluster: the data goes in and out as bytes.

use jiff::SignedDuration;

use super::*;
use crate::certs::rotation::{PROPAGATION, Why, plan};

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn names() -> ServerNames {
    ServerNames::of_service("podfit-webhook", "podfit").unwrap().with_ip([127, 0, 0, 1].into())
}

/// All steps that are due, each through a Secret and back.
fn settle(mut data: SecretData, names: &ServerNames, now: Timestamp) -> (SecretData, Vec<Step>) {
    let lifetimes = Lifetimes::default();
    let mut steps = Vec::new();
    loop {
        let mut bundle = Bundle::read(&data);
        let step = plan(&bundle.state(), names, &lifetimes, now);
        if matches!(step, Step::Keep { .. }) {
            return (data, steps);
        }
        steps.push(step);
        assert!(steps.len() < 6, "no end: {steps:?}");
        bundle.take(step, names, &lifetimes, now).unwrap();
        if step == Step::Publish {
            bundle.published(now);
        }
        data = bundle.write();
        assert_eq!(Bundle::read(&data).write(), data, "what is written reads back");
    }
}

fn verified(served: &SecretData, bundle: &SecretData, now: Timestamp) {
    let pair = CertifiedPair::load(&served[TLS_CERTIFICATE], &served[TLS_KEY], now).unwrap();
    let trusted = crate::certs::pem::certificates(&bundle[CA_CERTIFICATES]).unwrap();
    check::trusted(&pair.leaf().der, &[], &trusted, now).unwrap();
}

#[test]
fn thirty_years_of_one_secret_are_verified_by_the_bundle_before() {
    let (mut data, steps) = settle(SecretData::new(), &names(), start());
    assert_eq!(steps, [Step::StartOver]);
    let (mut switches, mut most) = (0, 0);
    let mut now = start();
    while now < start() + SignedDuration::from_hours(30 * 365 * 24) {
        // Weekly looks, a look a propagation later while something is under way.
        let (after, steps) = settle(data.clone(), &names(), now);
        switches += steps.iter().filter(|s| **s == Step::Switch).count();
        // The bundle that was out until now, at least for a propagation while a change is under way.
        verified(&after, &data, now);
        verified(&data, &after, now);
        most = most.max(Bundle::read(&after).trusted().len());
        data = after;
        let is_under_way = data.contains_key(NEXT_CERTIFICATE);
        now += if is_under_way { PROPAGATION } else { SignedDuration::from_hours(7 * 24) };
    }
    assert_eq!((switches, most), (3, 2));
}

#[test]
fn other_names_make_another_leaf_of_the_same_ca() {
    let (data, _) = settle(SecretData::new(), &names(), start());
    let more = names().with_dns("hooks.example.com").unwrap();
    let (renamed, steps) = settle(data.clone(), &more, start());
    assert_eq!(steps, [Step::RenewLeaf(Why::Names)]);
    assert_eq!(renamed[CA_CERTIFICATES], data[CA_CERTIFICATES]);
    verified(&renamed, &data, start());
}

#[test]
fn damage_is_mended_with_the_least_change() {
    let (data, _) = settle(SecretData::new(), &names(), start());
    let steps = |change: &dyn Fn(&mut SecretData)| {
        let mut damaged = data.clone();
        change(&mut damaged);
        settle(damaged, &names(), start()).1
    };
    let other = settle(SecretData::new(), &names(), start()).0;
    let garbled =
        |key: &'static str| move |d: &mut SecretData| drop(d.insert(key.to_owned(), b"\xff garbled".to_vec()));
    let of_another = |key: &'static str| {
        let value = other[key].clone();
        move |d: &mut SecretData| drop(d.insert(key.to_owned(), value.clone()))
    };
    let renewal = [Step::RenewLeaf(Why::Unusable)];
    assert_eq!(steps(&garbled(TLS_CERTIFICATE)), renewal);
    assert_eq!(steps(&garbled(TLS_KEY)), renewal);
    assert_eq!(steps(&of_another(TLS_KEY)), renewal);
    assert_eq!(steps(&|d| drop(d.remove(TLS_KEY))), renewal);
    assert_eq!(steps(&garbled(CA_CERTIFICATES)), [Step::StartOver]);
    // The key of the CA is lost: what is served stays, and another CA is made known first.
    let lost = [Step::AddNext(Why::Unusable), Step::Publish];
    assert_eq!(steps(&|d| drop(d.remove(CA_KEY))), lost);
    assert_eq!(steps(&of_another(CA_KEY)), lost);
    assert_eq!(steps(&garbled(NEXT_CERTIFICATE)), []);
}

#[test]
fn a_lost_key_costs_no_call() {
    let (mut data, _) = settle(SecretData::new(), &names(), start());
    data.remove(CA_KEY);
    let (waiting, _) = settle(data.clone(), &names(), start());
    assert_eq!(waiting[TLS_CERTIFICATE], data[TLS_CERTIFICATE]);
    verified(&waiting, &data, start());
    let later = start() + PROPAGATION;
    let (switched, steps) = settle(waiting.clone(), &names(), later);
    assert_eq!(steps, [Step::Switch]);
    verified(&switched, &waiting, later);
    verified(&waiting, &switched, later);
    let (dropped, steps) = settle(switched, &names(), later + SignedDuration::from_hours(7 * 24));
    assert_eq!(steps, [Step::DropPrevious]);
    assert_eq!(Bundle::read(&dropped).trusted().len(), 1);
}
