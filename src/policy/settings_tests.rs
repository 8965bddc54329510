//! Settings: what they say, whom they exempt, and what is refused with which words.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const SETTINGS: &str = "
modes: {run-as-root: warn, root-group: off}
namespaces:
- names: [dev-*, sandbox]
  modes: {latest-tag: audit}
- names: [dev-strict]
  modes: {latest-tag: enforce, run-as-root: enforce}
exemptions:
- reason: the vendor ships it so
  rules: [latest-tag, run-as-root]
  namespaces: [vendor, dev-*]
  images: [reg.example/vendor/agent, nginx]
- reason: the debugger of the platform team
  rules: [run-as-root]
  namespaces: ['*']
  users: ['alice@example.com']
- reason: reads device files
  rules: [host-path-data]
  namespaces: [gpu]
  serviceAccounts: [device-plugin]
acceptUserNamespaces: true
";

fn settings() -> Settings {
    Settings::from_yaml(SETTINGS).unwrap()
}

/// The modes of latest-tag, run-as-root, root-group, unproven-non-root.
#[rstest]
#[case("prod", [Mode::Enforce, Mode::Warn, Mode::Off, Mode::Warn])]
#[case("dev-a", [Mode::Audit, Mode::Warn, Mode::Off, Mode::Warn])]
#[case("sandbox", [Mode::Audit, Mode::Warn, Mode::Off, Mode::Warn])]
#[case("sandbox-2", [Mode::Enforce, Mode::Warn, Mode::Off, Mode::Warn])]
#[case("dev-strict", [Mode::Enforce, Mode::Enforce, Mode::Off, Mode::Warn])]
fn modes_by_namespace(#[case] namespace: &str, #[case] expected: [Mode; 4]) {
    let modes = settings().modes_for(namespace);
    let of = |id: &str| modes.of(*RULES.iter().find(|rule| rule.id() == id).unwrap());
    assert_eq!(["latest-tag", "run-as-root", "root-group", "unproven-non-root"].map(of), expected);
}

#[test]
fn nothing_said_is_the_default() {
    for text in ["", "{}", "# only a comment\n"] {
        assert_eq!(Settings::from_yaml(text).unwrap(), Settings::default(), "{text:?}");
    }
    assert_eq!(Settings::default().modes_for("any"), Modes::default());
    let written = serde_saphyr::to_string(&settings()).unwrap();
    assert_eq!(Settings::from_yaml(&written).unwrap(), settings());
    assert!(settings().options().accept_user_namespaces);
}

/// Namespace, user, pod spec; what is still more than a note.
#[rstest]
#[case::no_exemption("prod", "bob", json!({"containers": [{"name": "a", "image": "reg.example/vendor/agent"}]}), &["latest-tag"])]
#[case::image("vendor", "bob", json!({"containers": [{"name": "a", "image": "reg.example/vendor/agent"}]}), &[])]
#[case::image_with_tag("vendor", "bob", json!({"containers": [{"name": "a", "image": "reg.example/vendor/agent:latest"}]}), &[])]
#[case::longer_repository("vendor", "bob", json!({"containers": [{"name": "a", "image": "reg.example/vendor/agent-evil"}]}), &["latest-tag"])]
#[case::deeper_repository("vendor", "bob", json!({"containers": [{"name": "a", "image": "reg.example/vendor/agent/x"}]}), &["latest-tag"])]
#[case::other_registry("vendor", "bob", json!({"containers": [{"name": "a", "image": "reg.example.evil.io/vendor/agent"}]}), &["latest-tag"])]
#[case::registry_in_the_path("vendor", "bob", json!({"containers": [{"name": "a", "image": "evil.io/reg.example/vendor/agent"}]}), &["latest-tag"])]
#[case::hub_in_full("vendor", "bob", json!({"containers": [{"name": "a", "image": "docker.io/library/nginx"}]}), &[])]
#[case::hub_elsewhere("vendor", "bob", json!({"containers": [{"name": "a", "image": "evil/nginx"}]}), &["latest-tag"])]
#[case::only_its_container("vendor", "bob", json!({"containers": [{"name": "a", "image": "nginx"}, {"name": "b", "image": "x"}]}), &["latest-tag"])]
#[case::one_name_twice("vendor", "bob", json!({"containers": [{"name": "a", "image": "nginx"}], "initContainers": [{"name": "a", "image": "x"}]}), &["latest-tag", "latest-tag"])]
#[case::other_rule("vendor", "bob", json!({"containers": [{"name": "a", "image": "nginx", "env": [{"name": "PASSWORD", "value": "s3cr3t"}]}]}), &["hardcoded-credential"])]
#[case::user("prod", "alice@example.com", json!({"containers": [{"name": "a", "image": "x:1", "securityContext": {"runAsUser": 0}}]}), &[])]
#[case::other_user("prod", "alice@example.com.evil", json!({"containers": [{"name": "a", "image": "x:1", "securityContext": {"runAsUser": 0}}]}), &["run-as-root"])]
#[case::account("gpu", "bob", json!({"serviceAccountName": "device-plugin", "volumes": [{"name": "v", "hostPath": {"path": "/dev"}}],
    "containers": [{"name": "a", "image": "x:1", "volumeMounts": [{"name": "v"}]}]}), &[])]
#[case::other_account("gpu", "bob", json!({"serviceAccountName": "x", "volumes": [{"name": "v", "hostPath": {"path": "/dev"}}],
    "containers": [{"name": "a", "image": "x:1", "volumeMounts": [{"name": "v"}]}]}), &["host-path-data"])]
fn exemptions(#[case] namespace: &str, #[case] user: &str, #[case] spec: Value, #[case] left: &[&str]) {
    let settings = settings();
    let pod = PodSpec::new(&spec, "/spec").unwrap();
    let mut modes = settings.modes_for(namespace);
    for rule in ["unproven-non-root", "missing-resources", "default-service-account"] {
        modes.set(rule, Mode::Off).unwrap();
    }
    for rule in ["latest-tag", "run-as-root"] {
        modes.set(rule, Mode::Enforce).unwrap();
    }
    let mut findings = check(&pod, &modes, &Options::default());
    let before = findings.len();
    settings.exempt(&mut findings, &Subject { namespace, user: Some(user), pod });
    assert_eq!(findings.len(), before, "an exempt finding stays, as a note");
    let rules: Vec<_> = findings.iter().filter(|f| f.mode > Mode::Audit).map(|f| f.rule).collect();
    assert_eq!(rules, left);
    for finding in findings {
        assert_eq!(finding.message.contains(" (exempt: "), finding.mode == Mode::Audit, "{}", finding.message);
        assert!(finding.message.chars().count() <= text::MESSAGE_CHARS, "{}", finding.message);
    }
}

#[test]
fn a_file_has_no_user() {
    let spec = json!({"containers": [{"name": "a", "image": "x:1", "securityContext": {"runAsUser": 0}}]});
    let pod = PodSpec::new(&spec, "/spec").unwrap();
    let mut findings = check(&pod, &Modes::all(Mode::Enforce), &Options::default());
    settings().exempt(&mut findings, &Subject { namespace: "prod", user: None, pod });
    assert!(findings.iter().any(|f| f.rule == "run-as-root" && f.mode == Mode::Enforce));
}

#[rstest]
#[case("mode: {}", "unknown field")]
#[case("modes: {latest: warn}", "modes: there is no rule \"latest\"; the rules are latest-tag, ")]
#[case("modes: {latest-tag: deny}", "unknown variant `deny`")]
#[case("namespaces: [{names: [], modes: {latest-tag: warn}}]", "namespaces[0].names: it is empty: name namespaces")]
#[case(
    "namespaces: [{names: [a*b], modes: {latest-tag: warn}}]",
    "namespaces[0].names[0]: \"a*b\" is no namespace: write"
)]
#[case("namespaces: [{names: [a], modes: {}}]", "namespaces[0].modes: it is empty: give a rule")]
#[case("namespaces: [{names: [a], modes: {x: off}}]", "namespaces[0].modes: there is no rule \"x\"")]
#[case("exemptions: [{rules: [latest-tag], namespaces: [a], users: [u]}]", "missing field `reason`")]
#[case(
    "exemptions: [{reason: ' ', rules: [latest-tag], namespaces: [a], users: [u]}]",
    "exemptions[0].reason: it is empty: say why"
)]
#[case("exemptions: [{reason: r, rules: [], namespaces: [a], users: [u]}]", "exemptions[0].rules: it is empty")]
#[case(
    "exemptions: [{reason: r, rules: [latest-tag], namespaces: [], users: [u]}]",
    "exemptions[0].namespaces: it is empty"
)]
#[case("exemptions: [{reason: r, rules: [latest-tag], namespaces: [a]}]", "exemptions[0]: it names nobody: give users")]
#[case(
    "exemptions: [{reason: r, rules: [latest-tag], namespaces: [a], users: ['system:serviceaccounts:kube-system']}]",
    "exemptions[0].users[0]: \"system:serviceaccounts:kube-system\" is no user: write one user's exact name"
)]
#[case("exemptions: [{reason: r, rules: [latest-tag], namespaces: [a], users: ['ci-*']}]", "exemptions[0].users[0]")]
#[case("exemptions: [{reason: r, rules: [latest-tag], namespaces: [a], groups: [g]}]", "unknown field")]
#[case(
    "exemptions: [{reason: r, rules: [latest-tag], namespaces: [a], images: ['reg/a:1']}]",
    "exemptions[0].images[0]: \"reg/a:1\" is no repository"
)]
#[case("exemptions: [{reason: r, rules: [latest-tag], namespaces: [a], images: ['reg/*']}]", "exemptions[0].images[0]")]
#[case(
    "exemptions: [{reason: r, rules: [latest-tag], namespaces: [a], serviceAccounts: ['a:b']}]",
    "exemptions[0].serviceAccounts[0]"
)]
fn what_is_wrong_is_said_with_its_place(#[case] text: &str, #[case] said: &str) {
    let error = Settings::from_yaml(text).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
    assert!(!error.contains('\n'), "{error}");
}
