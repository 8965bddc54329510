//! The manifests in `webhook-certs` agree with each other and with the code. Knows no cluster.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly in its helpers")]

use std::collections::BTreeSet;

use base64::Engine;
use jiff::SignedDuration;
use podfit::certs::authority::{BACKDATE, CA_LIFE, LEAF_LIFE};
use podfit::certs::check::MIN_DAYS;
use podfit::certs::names::{NAMESPACE, SECRET, SERVICE, ServerNames};
use podfit::certs::rotation::{PROPAGATION, RENEW_AFTER, RETIREMENT, ROLL_MARGIN};
use serde_json::{Value, json};

fn text(file: &str) -> String {
    std::fs::read_to_string(format!("{}/webhook-certs/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn documents(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(file)).unwrap()
}

fn one(file: &str) -> Value {
    let mut all = documents(file);
    assert_eq!(all.len(), 1, "{file}");
    all.remove(0)
}

fn days(span: SignedDuration) -> i64 {
    assert_eq!(span.as_hours() % 24, 0);
    span.as_hours() / 24
}

fn names() -> Vec<String> {
    ServerNames::of_service(SERVICE, NAMESPACE).unwrap().all()
}

#[test]
fn the_settings_of_the_built_in_ca_are_those_of_the_code() {
    let (part, whole) = RENEW_AFTER;
    assert_eq!(
        one("built-in.yaml"),
        json!({
            "authority": {"lifeDays": days(CA_LIFE), "key": "ECDSA P-256"},
            "certificate": {
                "lifeDays": days(LEAF_LIFE),
                "key": "ECDSA P-256",
                "backdateHours": BACKDATE.as_hours(),
                "renewAfter": format!("{part}/{whole}"),
            },
            "rotation": {
                "propagationHours": PROPAGATION.as_hours(),
                "retirementDays": days(RETIREMENT),
                "rollMarginDays": days(ROLL_MARGIN),
            },
            "check": {"minDays": MIN_DAYS},
            "names": {"namespace": NAMESPACE, "service": SERVICE, "secret": SECRET, "dns": names()},
        })
    );
    let begins = format!("{} days before its end the CA is replaced", days(LEAF_LIFE + ROLL_MARGIN));
    assert!(text("README.md").contains(&begins), "README.md does not say: {begins}");
}

#[test]
fn cert_managers_objects_lead_from_the_issuer_to_the_webhooks_secret() {
    let all = documents("cert-manager/certificates.yaml");
    let at = |kind: &str, name: &str| {
        let is = |o: &&Value| o["kind"] == kind && o["metadata"]["name"] == name;
        let object = all.iter().find(is).unwrap_or_else(|| panic!("there is no {kind} {name}"));
        assert_eq!(object["metadata"]["namespace"], NAMESPACE);
        assert_eq!(object["apiVersion"], "cert-manager.io/v1");
        object["spec"].clone()
    };
    assert_eq!(all.len(), 4);
    let leaf = at("Certificate", SERVICE);
    assert_eq!(leaf["secretName"], SECRET);
    assert_eq!(leaf["privateKey"]["rotationPolicy"], "Always");
    assert!(leaf["usages"].as_array().unwrap().contains(&json!("server auth")));
    let sorted: BTreeSet<&str> = leaf["dnsNames"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(sorted.into_iter().collect::<Vec<_>>(), names());

    let issuer = at("Issuer", leaf["issuerRef"]["name"].as_str().unwrap());
    let authority = all.iter().find(|o| o["spec"]["secretName"] == issuer["ca"]["secretName"]).unwrap();
    assert_eq!(authority["spec"]["isCA"], true);
    assert!(issuer["ca"]["secretName"].is_string() && issuer["ca"]["secretName"] != SECRET);
    let first = at("Issuer", authority["spec"]["issuerRef"]["name"].as_str().unwrap());
    assert_eq!(first["selfSigned"], json!({}));
    // A leaf fits into what is left of the CA whenever the CA is renewed.
    let hours = |v: &Value| v.as_str().unwrap().trim_end_matches('h').parse::<i64>().unwrap();
    assert!(hours(&authority["spec"]["renewBefore"]) > hours(&leaf["duration"]));
    // `check` does not complain about a certificate that cert-manager is still going to renew.
    assert!(hours(&leaf["renewBefore"]) > i64::from(MIN_DAYS) * 24);
}

#[test]
fn the_bundle_is_injected_into_both_configurations() {
    let kustomization = one("cert-manager/kustomization.yaml");
    assert_eq!(kustomization["resources"], json!(["certificates.yaml"]));
    let patches = kustomization["patches"].as_array().unwrap();
    assert_eq!(patches.len(), 2);
    for patch in patches {
        let applied = one(&format!("cert-manager/{}", patch["path"].as_str().unwrap()));
        assert_eq!(applied["kind"], patch["target"]["kind"]);
        assert_eq!(applied["metadata"]["name"], SERVICE, "as the chart and the base name it");
        let from = &applied["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(*from, format!("{NAMESPACE}/{SERVICE}"));
    }
}

#[test]
fn the_example_secret_has_the_form_and_no_key() {
    let secret = one("bring-your-own/secret.yaml");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(secret["metadata"], json!({"name": SECRET, "namespace": NAMESPACE}));
    let data = secret["data"].as_object().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);
    for (key, value) in data {
        let decoded = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
        let decoded = String::from_utf8(decoded).unwrap();
        assert!(decoded.starts_with("PEM of the ") && !decoded.contains("BEGIN"), "{key}: {decoded}");
    }
}

#[test]
fn every_command_in_the_texts_is_one() {
    let all = ["README.md", "bring-your-own/README.md"].map(text).concat();
    let commands: Vec<&str> = all.split("podfit certs ").skip(1).collect();
    assert!(commands.len() >= 10, "{}", commands.len());
    for command in commands {
        let end = command.find(['`', '|', '\n', '…']).unwrap_or(command.len());
        let mut args: Vec<&str> = command[..end].split_whitespace().collect();
        let cut = args.first().is_some_and(|a| *a == "check") && args.last() == Some(&"--url");
        if cut {
            continue;
        }
        args.push("--help");
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_podfit")).arg("certs").args(&args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
}
