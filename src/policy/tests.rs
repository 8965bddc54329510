//! The rules on pods, as tables: a pod spec, a rule, what it says.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// `CONTAINER:REASON` of every finding of one rule.
pub(super) fn found(spec: &Value, rule: &str, options: Options) -> Vec<String> {
    let mut modes = Modes::all(Mode::Off);
    modes.set(rule, Mode::Enforce).unwrap();
    let pod = PodSpec::new(spec, "/spec").unwrap();
    check(&pod, &modes, &options).iter().map(|f| format!("{}:{}", f.container, f.reason)).collect()
}

#[rstest]
#[case::absent_tag("nginx", Some("no-tag"))]
#[case::latest("nginx:latest", Some("latest"))]
#[case::port_without_tag("reg:5000/app", Some("no-tag"))]
#[case::port_and_tag("reg:5000/app:1.2", None)]
#[case::digest("app@sha256:HEX", None)]
#[case::latest_pinned("app:latest@sha256:HEX", None)]
#[case::case_sensitive("A/b:LATEST", None)]
#[case::ipv6("[::1]:5000/a", Some("no-tag"))]
#[case::localhost("localhost/a", Some("no-tag"))]
#[case::unreadable("Not An Image", Some("unreadable"))]
#[case::bad_digest("app@sha256:abc", Some("unreadable"))]
#[case::left_to_others("", None)]
#[case::plain_latest_pinned_by_port("reg:5000/app:latest", Some("latest"))]
#[case::ipv6_and_tag("[::1]:5000/a:1", None)]
#[case::localhost_and_tag("localhost/a:1", None)]
#[case::latest_in_the_path("latest/app:1", None)]
#[case::empty_tag("nginx:", Some("unreadable"))]
fn latest_tag_everywhere(#[case] image: &str, #[case] reason: Option<&str>) {
    let image = image.replace("HEX", HEX);
    let container = json!([{"name": "a"}, {"name": "b", "image": null}, {"name": "c", "image": image}]);
    let expected: Vec<String> = reason.map(|r| format!("c:{r}")).into_iter().collect();
    for field in ["containers", "initContainers", "ephemeralContainers"] {
        assert_eq!(found(&json!({field: container}), "latest-tag", Options::default()), expected, "{field}");
    }
    let volumes = json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "c", "image": {"reference": image}}]});
    assert_eq!(found(&volumes, "latest-tag", Options::default()), expected);
}

#[test]
fn an_absent_image_hides_no_other() {
    let list = json!([{"name": "none"}, {"name": "bad", "image": "a:latest"}, {"name": "null", "image": null},
        {"name": "worse", "image": "b"}]);
    let spec = json!({"initContainers": list, "containers": [{"name": "main", "image": "c:1"}]});
    assert_eq!(found(&spec, "latest-tag", Options::default()), ["bad:latest", "worse:no-tag"]);
}

#[test]
fn an_image_volume_without_a_reference_hides_no_other() {
    let spec = json!({"volumes": [{"name": "a", "image": {}}, {"name": "b", "image": null},
        {"name": "c", "image": {"reference": "models/bert", "pullPolicy": "Always"}}]});
    assert_eq!(found(&spec, "latest-tag", Options::default()), ["c:no-tag"]);
}

#[test]
fn an_image_that_is_no_text_is_a_breach() {
    let spec = json!({"containers": [{"name": "a", "image": 7}]});
    assert_eq!(found(&spec, "latest-tag", Options::default()), ["a:unreadable"]);
}

/// Pod context, container context, `run-as-root`, `unproven-non-root`.
#[rstest]
#[case::nothing_said(json!({}), json!({}), &[], &["a:image-decides"])]
#[case::uid_0(json!({}), json!({"runAsUser": 0}), &["a:uid-0"], &[])]
#[case::uid_0_of_the_pod(json!({"runAsUser": 0}), json!({}), &["a:uid-0"], &[])]
#[case::container_over_pod(json!({"runAsUser": 0}), json!({"runAsUser": 185}), &[], &[])]
#[case::container_over_good_pod(json!({"runAsUser": 185}), json!({"runAsUser": 0}), &["a:uid-0"], &[])]
#[case::null_falls_through(json!({"runAsUser": 0}), json!({"runAsUser": null}), &["a:uid-0"], &[])]
#[case::proven_by_uid(json!({}), json!({"runAsUser": 50000}), &[], &[])]
#[case::proven_by_flag(json!({"runAsNonRoot": true}), json!({}), &[], &[])]
#[case::flag_false(json!({}), json!({"runAsNonRoot": false}), &["a:non-root-false"], &[])]
#[case::flag_false_over_pod(json!({"runAsNonRoot": true}), json!({"runAsNonRoot": false}), &["a:non-root-false"], &[])]
#[case::fields_apart(json!({"runAsNonRoot": true}), json!({"runAsUser": 1000}), &[], &[])]
#[case::contradiction(json!({"runAsNonRoot": true}), json!({"runAsUser": 0}), &["a:contradiction"], &[])]
#[case::both_bad(json!({"runAsNonRoot": false}), json!({"runAsUser": 0}), &["a:uid-0"], &[])]
#[case::false_beside_a_uid(json!({}), json!({"runAsUser": 9, "runAsNonRoot": false}), &["a:non-root-false"], &[])]
#[case::windows_admin(json!({"windowsOptions": {"runAsUserName": "ContainerAdministrator"}}), json!({}),
    &["a:windows-administrator"], &[])]
#[case::windows_admin_spelled(json!({}), json!({"windowsOptions": {"runAsUserName": "NT AUTHORITY\\system"}}),
    &["a:windows-administrator"], &[])]
#[case::windows_user_over_admin(json!({"windowsOptions": {"runAsUserName": "ContainerAdministrator"}}),
    json!({"windowsOptions": {"runAsUserName": "ContainerUser"}}), &[], &["a:image-decides"])]
#[case::windows_user_hides_no_root(json!({"runAsNonRoot": false}),
    json!({"windowsOptions": {"runAsUserName": "ContainerUser"}}), &["a:non-root-false"], &[])]
#[case::host_process(json!({"windowsOptions": {"hostProcess": true}}), json!({}), &["a:host-process"], &[])]
#[case::host_process_over_pod(json!({"windowsOptions": {"hostProcess": true}}),
    json!({"windowsOptions": {"hostProcess": false, "runAsUserName": "ContainerUser"}}), &[], &["a:image-decides"])]
#[case::contradiction_of_the_pod(json!({"runAsNonRoot": true, "runAsUser": 0}), json!({}), &["a:contradiction"], &[])]
#[case::contradiction_mended(json!({"runAsNonRoot": true, "runAsUser": 0}), json!({"runAsUser": 185}), &[], &[])]
#[case::group_is_not_user(json!({"runAsGroup": 0}), json!({}), &[], &["a:image-decides"])]
#[case::uid_as_text(json!({}), json!({"runAsUser": "0"}), &["a:uid-0"], &[])]
#[case::flag_true_over_false(json!({"runAsNonRoot": false}), json!({"runAsNonRoot": true}), &[], &[])]
fn root_by_precedence(#[case] pod: Value, #[case] container: Value, #[case] root: &[&str], #[case] unproven: &[&str]) {
    for field in ["containers", "initContainers", "ephemeralContainers"] {
        let spec = json!({"securityContext": pod, field: [{"name": "a", "securityContext": container}]});
        assert_eq!(found(&spec, "run-as-root", Options::default()), root, "{field}");
        assert_eq!(found(&spec, "unproven-non-root", Options::default()), unproven, "{field}");
    }
}

#[test]
fn a_bad_pod_default_that_every_container_overrides_is_fine() {
    let spec = json!({"securityContext": {"runAsUser": 0}, "containers": [
        {"name": "a", "securityContext": {"runAsUser": 1}}, {"name": "b", "securityContext": {"runAsUser": 2}}]});
    assert!(found(&spec, "run-as-root", Options::default()).is_empty());
}

/// What a Windows field says counts on Windows, and against a pod wherever it may run there.
#[rstest]
#[case::windows(json!({"name": "windows"}), &[], &[], &["a:windows-administrator"])]
#[case::linux(json!({"name": "linux"}), &["a:non-root-false"], &["a:image-decides"], &[])]
#[case::either(json!(null), &["a:non-root-false"], &["a:image-decides"], &["a:windows-administrator"])]
fn a_windows_field_excuses_nothing_on_linux(
    #[case] os: Value,
    #[case] user_with_root_allowed: &[&str],
    #[case] user: &[&str],
    #[case] administrator: &[&str],
) {
    let spec = |context: Value| json!({"os": os, "containers": [{"name": "a", "securityContext": context}]});
    let plain = json!({"runAsUserName": "ContainerUser"});
    let root = |spec: &Value| found(spec, "run-as-root", Options::default());
    assert_eq!(root(&spec(json!({"windowsOptions": plain, "runAsNonRoot": false}))), user_with_root_allowed);
    assert_eq!(found(&spec(json!({"windowsOptions": plain})), "unproven-non-root", Options::default()), user);
    assert_eq!(root(&spec(json!({"windowsOptions": {"runAsUserName": "ContainerAdministrator"}}))), administrator);
}

#[test]
fn windows_has_no_uid() {
    let spec = json!({"os": {"name": "windows"}, "containers": [{"name": "a", "securityContext": {"runAsUser": 0}}]});
    assert!(found(&spec, "run-as-root", Options::default()).is_empty());
    assert_eq!(found(&spec, "unproven-non-root", Options::default()), ["a:image-decides"]);
    let flag =
        json!({"os": {"name": "windows"}, "containers": [{"name": "a", "securityContext": {"runAsNonRoot": false}}]});
    assert_eq!(found(&flag, "run-as-root", Options::default()), ["a:non-root-false"]);
}

#[test]
fn user_namespaces_are_accepted_only_when_asked_for() {
    let spec = json!({"hostUsers": false, "containers": [{"name": "a", "securityContext": {"runAsUser": 0}}]});
    assert_eq!(found(&spec, "run-as-root", Options::default()), ["a:uid-0"]);
    let accept = Options { accept_user_namespaces: true };
    assert!(found(&spec, "run-as-root", accept).is_empty());
    let host = json!({"hostUsers": true, "containers": [{"name": "a", "securityContext": {"runAsUser": 0}}]});
    assert_eq!(found(&host, "run-as-root", accept), ["a:uid-0"]);
}

#[test]
fn group_0_is_a_finding_of_its_own() {
    let spec = json!({"securityContext": {"runAsGroup": 0, "runAsUser": 50000}, "containers": [{"name": "a"}]});
    assert_eq!(found(&spec, "root-group", Options::default()), ["a:gid-0"]);
    assert!(found(&spec, "run-as-root", Options::default()).is_empty());
}

#[test]
fn a_remark_never_turns_a_pod_away() {
    let spec = json!({"containers": [{"name": "a", "image": "b:1",
        "securityContext": {"runAsUser": 9, "runAsNonRoot": false}}]});
    let pod = PodSpec::new(&spec, "/spec").unwrap();
    let findings = check(&pod, &Modes::default(), &Options::default());
    let root: Vec<_> = findings.iter().filter(|f| f.rule == "run-as-root").map(|f| f.mode).collect();
    assert_eq!(root, [Mode::Warn]);
}

#[test]
fn findings_point_at_the_value_in_any_kind() {
    let spec = json!({"securityContext": {"runAsUser": 0}, "initContainers": [{"name": "i", "image": "b"}]});
    let cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
    let place = "/spec/jobTemplate/spec/template/spec";
    let pod = PodSpec::new(cron.pointer(place).unwrap(), place).unwrap();
    let paths: Vec<_> =
        check(&pod, &Modes::default(), &Options::default()).into_iter().map(|f| (f.rule, f.mode, f.path)).collect();
    assert_eq!(
        paths,
        [
            ("latest-tag", Mode::Enforce, "/spec/jobTemplate/spec/template/spec/initContainers/0/image".to_owned()),
            ("run-as-root", Mode::Enforce, "/spec/jobTemplate/spec/template/spec/securityContext/runAsUser".to_owned()),
            (
                "missing-resources",
                Mode::Warn,
                "/spec/jobTemplate/spec/template/spec/initContainers/0/resources".to_owned()
            ),
            (
                "default-service-account",
                Mode::Warn,
                "/spec/jobTemplate/spec/template/spec/serviceAccountName".to_owned()
            ),
        ]
    );
    for (_, _, path) in paths.into_iter().take(2) {
        assert!(cron.pointer(&path).is_some(), "{path}");
    }
}

#[rstest]
#[case(json!(null), "/spec", "an object")]
#[case(json!({"containers": {}}), "/spec/containers", "a list")]
#[case(json!({"initContainers": [{"name": "a"}, null]}), "/spec/initContainers/1", "an object")]
#[case(json!({"ephemeralContainers": [{"name": 1}]}), "/spec/ephemeralContainers/0/name", "a text")]
#[case(json!({"volumes": "x"}), "/spec/volumes", "a list")]
fn an_odd_shape_is_an_error_and_not_a_pass(#[case] spec: Value, #[case] path: &str, #[case] expected: &'static str) {
    assert_eq!(PodSpec::new(&spec, "/spec").unwrap_err(), Malformed { path: path.to_owned(), expected });
}

#[test]
fn messages_are_one_short_line_that_names_the_cure() {
    let long = "n".repeat(63);
    let spec = json!({
        "volumes": [{"name": long, "image": {"reference": "x".repeat(500)}}],
        "containers": [
            {"name": long, "image": "a\n\u{1b}]0;b".repeat(40), "securityContext": {"runAsUser": 0, "runAsGroup": 0}},
            {"name": long, "image": "reg.example.com/".to_owned() + &"y".repeat(150)},
            {"name": long, "securityContext": {"runAsUser": 0, "runAsNonRoot": true}},
            {"name": long, "securityContext": {"runAsUser": i64::MAX, "runAsNonRoot": false}},
            {"name": "a\nb", "securityContext": {"runAsNonRoot": false, "windowsOptions": {"hostProcess": true,
                "runAsUserName": "ContainerAdministrator"}}},
        ]
    });
    let pod = PodSpec::new(&spec, "/spec").unwrap();
    let findings = check(&pod, &Modes::all(Mode::Warn), &Options::default());
    assert_eq!(findings.len(), 17);
    for finding in findings {
        assert!(finding.message.chars().count() <= text::MESSAGE_CHARS, "{}", finding.message);
        assert!(!finding.message.contains(char::is_control), "{}", finding.message);
        assert!(
            finding.message.contains(": set ")
                || finding.message.contains(": pin ")
                || finding.message.contains(": write ")
                || finding.message.contains(": remove "),
            "{}",
            finding.message
        );
        assert!(!finding.message.ends_with('…'), "{}", finding.message);
    }
}

#[test]
fn modes_are_set_by_name() {
    let mut modes = Modes::default();
    modes.set("latest-tag", "audit".parse().unwrap()).unwrap();
    assert_eq!(modes.of(&latest_tag::LatestTag), Mode::Audit);
    assert_eq!(modes.of(&run_as_root::RunAsRoot), Mode::Enforce);
    let error = modes.set("latest", Mode::Off).unwrap_err().to_string();
    assert!(error.contains("latest-tag, run-as-root"), "{error}");
    assert!("deny".parse::<Mode>().is_err());
}

#[test]
fn rules_have_distinct_names() {
    let names: std::collections::BTreeSet<_> = RULES.iter().map(|rule| rule.id()).collect();
    assert_eq!(names.len(), RULES.len());
}
