//! Looks at a Secret, each change sent to a stand-in that does with bodies what the API server does.

use jiff::SignedDuration;

use super::*;
use crate::certs::rotation::PROPAGATION;

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn names() -> ServerNames {
    ServerNames::of_service("podfit-webhook", "podfit").unwrap()
}

fn secret() -> SecretName {
    "podfit/podfit-webhook-tls".parse().unwrap()
}

/// What an API server makes of a body; `None`: somebody was quicker.
fn send(object: &mut Option<Value>, stored: &Stored, body: Value) -> Option<()> {
    match object {
        None if !stored.exists() => {
            let mut created = body;
            created["metadata"]["resourceVersion"] = json!("1");
            *object = Some(created);
        }
        Some(object) if stored.exists() => {
            let version = &mut object["metadata"]["resourceVersion"];
            if body["metadata"]["resourceVersion"] != *version {
                return None;
            }
            *version = json!(format!("{}1", version.as_str().unwrap()));
            for (key, value) in body["data"].as_object().unwrap() {
                let data = object["data"].as_object_mut().unwrap();
                if value.is_null() { drop(data.remove(key)) } else { drop(data.insert(key.clone(), value.clone())) }
            }
        }
        _ => return None,
    }
    Some(())
}

fn look(object: Option<&Value>) -> Stored {
    object.map(Stored::read).unwrap_or_default()
}

/// Looks until there is nothing to do; which things were published on the way.
fn settle(object: &mut Option<Value>, now: Timestamp) -> Vec<String> {
    let mut published = Vec::new();
    for _ in 0..6 {
        let stored = look(object.as_ref());
        let bundle = match stored.todo(&names(), &Lifetimes::default(), now).unwrap() {
            Todo::Serve(_) => return published,
            Todo::Store(bundle) => bundle,
            Todo::Publish(bundle) => {
                published.push(bundle.ca_bundle());
                bundle
            }
        };
        send(object, &stored, stored.body(&bundle, &secret())).unwrap();
    }
    panic!("no end");
}

#[test]
fn a_missing_secret_is_created_whole_and_then_kept() {
    let mut object = None;
    assert!(settle(&mut object, start()).is_empty());
    let made = object.clone().unwrap();
    assert_eq!(made["type"], "kubernetes.io/tls");
    assert_eq!(
        (&made["metadata"]["name"], &made["metadata"]["namespace"]),
        (&json!("podfit-webhook-tls"), &json!("podfit"))
    );
    let keys: Vec<_> = made["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    settle(&mut object, start());
    assert_eq!(object.unwrap(), made);
}

#[test]
fn of_two_that_begin_at_once_one_is_told_to_read_again() {
    let mut object = None;
    let (one, two) = (look(None), look(None));
    let made = |stored: &Stored| match stored.todo(&names(), &Lifetimes::default(), start()).unwrap() {
        Todo::Store(bundle) => stored.body(&bundle, &secret()),
        _ => panic!("nothing is to be stored"),
    };
    let (first, second) = (made(&one), made(&two));
    assert!(send(&mut object, &one, first.clone()).is_some());
    assert!(send(&mut object, &two, second).is_none());
    assert!(matches!(look(object.as_ref()).todo(&names(), &Lifetimes::default(), start()), Ok(Todo::Serve(_))));
    assert_eq!(object.unwrap()["data"], first["data"]);
}

#[test]
fn a_change_of_an_old_version_is_refused() {
    let mut object = None;
    settle(&mut object, start());
    object.as_mut().unwrap()["data"]["tls.crt"] = json!(STANDARD.encode("garbled"));
    let (one, two) = (look(object.as_ref()), look(object.as_ref()));
    for (stored, is_first) in [(one, true), (two, false)] {
        let Ok(Todo::Store(bundle)) = stored.todo(&names(), &Lifetimes::default(), start()) else {
            panic!("a garbled certificate is to be replaced")
        };
        assert_eq!(send(&mut object, &stored, stored.body(&bundle, &secret())).is_some(), is_first);
    }
}

#[test]
fn what_is_garbled_is_mended_with_the_same_ca_and_what_is_not_ours_stays() {
    let mut object = None;
    settle(&mut object, start());
    let before = object.clone().unwrap();
    let object = object.as_mut().unwrap();
    object["data"]["tls.crt"] = json!("?? no base64");
    object["data"]["note"] = json!("aGk=");
    let mut object = Some(object.clone());
    settle(&mut object, start());
    let after = object.unwrap();
    assert_eq!(after["data"]["ca.crt"], before["data"]["ca.crt"]);
    assert_ne!(after["data"]["tls.crt"], before["data"]["tls.crt"]);
    assert_eq!(after["data"]["note"], "aGk=");
}

#[test]
fn a_lost_key_is_replaced_by_way_of_a_bundle_that_was_out_for_a_day() {
    let mut object = None;
    settle(&mut object, start());
    object.as_mut().unwrap()["data"].as_object_mut().unwrap().remove("ca.key");
    let before = object.clone().unwrap();
    let published = settle(&mut object, start());
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].matches("BEGIN CERTIFICATE").count(), 2);
    let waiting = object.clone().unwrap();
    assert_eq!(waiting["data"]["tls.crt"], before["data"]["tls.crt"]);
    assert!(waiting["data"]["next-ca.published"].is_string());

    settle(&mut object, start() + PROPAGATION);
    let switched = object.clone().unwrap();
    assert_ne!(switched["data"]["tls.crt"], before["data"]["tls.crt"]);
    let has = |object: &Value, key: &str| object["data"].get(key).is_some();
    assert!(
        !has(&switched, "next-ca.key") && !has(&switched, "next-ca.published") && has(&switched, "previous-ca.until")
    );
    settle(&mut object, start() + PROPAGATION + SignedDuration::from_hours(8 * 24));
    assert!(!has(&object.unwrap(), "previous-ca.until"));
}

#[test]
fn a_bundle_that_did_not_get_out_is_not_noted() {
    let mut object = None;
    settle(&mut object, start());
    object.as_mut().unwrap()["data"].as_object_mut().unwrap().remove("ca.key");
    // The next CA joins; then writing the configurations fails for a week.
    let stored = look(object.as_ref());
    let Ok(Todo::Store(bundle)) = stored.todo(&names(), &Lifetimes::default(), start()) else { panic!() };
    send(&mut object, &stored, stored.body(&bundle, &secret())).unwrap();
    for day in 0..7 {
        let todo = look(object.as_ref()).todo(&names(), &Lifetimes::default(), start() + PROPAGATION * day);
        assert!(matches!(todo, Ok(Todo::Publish(_))), "day {day}");
    }
}
