//! Which entries of a webhook configuration are podfit's, and the patch that gives them the bundle.
//! Must not touch anything but `caBundle`, nor know how a patch is sent.

use http::Uri;
use serde_json::{Value, json};

use super::settings::Settings;

/// Kinds of webhook configurations, as in their paths.
pub(super) const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// The JSON patch after which every entry that leads to podfit has `bundle` (base64); `None` when all have it. It is
/// refused where the object has changed since it was read, since entries are named by their position.
pub(super) fn patch(object: &Value, settings: &Settings, bundle: &str) -> Option<Value> {
    let entries = object["webhooks"].as_array()?;
    let outdated = entries.iter().enumerate().filter(|(_, entry)| {
        let client = &entry["clientConfig"];
        leads_here(client, settings) && client["caBundle"] != bundle
    });
    // `add` replaces a value that is there.
    let mut operations: Vec<Value> = outdated
        .map(|(n, _)| json!({"op": "add", "path": format!("/webhooks/{n}/clientConfig/caBundle"), "value": bundle}))
        .collect();
    if operations.is_empty() {
        return None;
    }
    let version = &object["metadata"]["resourceVersion"];
    operations.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
    Some(operations.into())
}

fn leads_here(client: &Value, settings: &Settings) -> bool {
    if let Some(url) = client["url"].as_str() {
        let Ok(url) = url.parse::<Uri>() else { return false };
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        return settings.names.all().contains(&host);
    }
    let service = &client["service"];
    service["name"] == *settings.service && service["namespace"] == *settings.secret.namespace
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings() -> Settings {
        let settings = Settings::new("podfit/tls".parse().unwrap(), "hook", "podfit").unwrap();
        let names = settings.names.clone().with_ip([127, 0, 0, 1].into()).with_ip([0, 0, 0, 0, 0, 0, 0, 1].into());
        Settings { names: names.with_dns("hooks.example.com").unwrap(), ..settings }
    }

    #[rstest]
    #[case::ours(json!({"service": {"name": "hook", "namespace": "podfit", "path": "/mutate"}}), true)]
    #[case::of_another_namespace(json!({"service": {"name": "hook", "namespace": "other"}}), false)]
    #[case::of_another_service(json!({"service": {"name": "hooks", "namespace": "podfit"}}), false)]
    #[case::our_address(json!({"url": "https://127.0.0.1:8443/mutate", "caBundle": "b2xk"}), true)]
    #[case::our_address_in_brackets(json!({"url": "https://[::1]:8443/mutate"}), true)]
    #[case::our_name(json!({"url": "https://Hooks.Example.com/validate"}), true)]
    #[case::longer_than_our_name(json!({"url": "https://hooks.example.com.evil.example/validate"}), false)]
    #[case::our_name_as_user(json!({"url": "https://hooks.example.com@evil.example/validate"}), false)]
    #[case::no_url(json!({"url": "https://"}), false)]
    #[case::has_it(json!({"service": {"name": "hook", "namespace": "podfit"}, "caBundle": "bmV3"}), false)]
    #[case::nothing(json!({}), false)]
    fn only_entries_that_lead_here_are_given_the_bundle(#[case] client: Value, #[case] is_patched: bool) {
        let other = json!({"name": "other", "clientConfig": {"url": "https://other.example", "caBundle": "b3RoZXI="}});
        let object = json!({"metadata": {"resourceVersion": "7"}, "webhooks": [other, {"clientConfig": client}]});
        let expected = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "bmV3"},
        ]);
        assert_eq!(patch(&object, &settings(), "bmV3"), is_patched.then_some(expected));
    }
}
