//! The rules as `ValidatingAdmissionPolicy` objects: the API server checks them by itself, without any webhook.
//! Must not know files. What an object cannot say is said to the user instead.

use serde_json::{Value, json};

use super::cel::{self, Expression};
use super::exemption::Exemption;
use super::{Mode, RULES, Rule, Settings};
use crate::image::{Image, Reference};

/// The export.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// Policies and bindings, in pairs.
    pub objects: Vec<Value>,
    /// What is not in them, a line each.
    pub left_out: Vec<String>,
}

/// Namespaces of the cluster's own; what runs there keeps the cluster alive.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// Whether it is anything but a mirror pod of a kubelet's.
const NO_MIRROR: &str = "!(request.userInfo.username.startsWith('system:node:') \
    && has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups \
    && has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations)";
/// A namespace's name as a label that nobody can forge.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Policies for every rule that CEL can express and that is not off everywhere. They hold in `namespaces`, or in all
/// but the system's where none is named.
pub fn export(settings: &Settings, prefix: &str, namespaces: &[String]) -> Export {
    let mut export = Export::default();
    let exempt = |rule: &'static str| {
        let images = settings.exemptions.iter().filter(|e| !e.images.is_empty() && binds(e, rule));
        let conditions: Vec<String> = images.map(exempt_container).collect();
        (!conditions.is_empty()).then(|| conditions.join(" || "))
    };
    let expressions = cel::expressions(exempt, settings.accept_user_namespaces);
    for rule in RULES.iter().filter(|rule| !expressions.iter().any(|expression| expression.rule == rule.id())) {
        let (id, why) = (rule.id(), rule.why_not_in_cel());
        export.left_out.push(format!("{id} is not exported: {why}; the webhook and podfit review check it"));
    }
    for (index, exemption) in settings.exemptions.iter().enumerate() {
        if !exemption.images.is_empty() && exemption.rules.iter().any(|rule| rule == "default-service-account") {
            export.left_out.push(format!(
                "exemptions[{index}] is not exported for default-service-account: it names images, the rule the pod"
            ));
        }
    }
    for expression in expressions {
        let Some(rule) = RULES.iter().find(|rule| rule.id() == expression.rule) else { continue };
        let modes = modes(settings, *rule);
        let several = modes.len() > 1;
        for mode in modes.into_iter().filter(|mode| *mode != Mode::Off) {
            let name =
                if several { format!("{prefix}-{}-{mode}", rule.id()) } else { format!("{prefix}-{}", rule.id()) };
            export.objects.push(policy(&name, *rule, &expression, settings, several.then_some(mode)));
            export.objects.push(binding(&name, mode, namespaces));
        }
    }
    export
}

fn binds(exemption: &Exemption, rule: &str) -> bool {
    exemption.rules.iter().any(|name| name == rule)
}

/// Every mode that a rule has anywhere, once.
fn modes(settings: &Settings, rule: &dyn Rule) -> Vec<Mode> {
    let base = settings.modes.get(rule.id()).copied().unwrap_or_else(|| rule.default_mode());
    let mut modes = vec![base];
    for mode in settings.namespaces.iter().filter_map(|entry| entry.modes.get(rule.id())) {
        if !modes.contains(mode) {
            modes.push(*mode);
        }
    }
    modes
}

fn policy(name: &str, rule: &dyn Rule, expression: &Expression, settings: &Settings, mode: Option<Mode>) -> Value {
    // The kubelet's mirror of a static pod, which runs whatever is answered. What a pod says of itself is believed of a
    // kubelet alone.
    let mut conditions = vec![json!({"name": "no-mirror-pod", "expression": NO_MIRROR})];
    if let Some(mode) = mode {
        let here = format!("{} == {}", mode_here(settings, rule), cel::quoted(mode.as_str()));
        conditions.push(json!({"name": "mode-of-the-namespace", "expression": here}));
    }
    for (index, exemption) in settings.exemptions.iter().enumerate() {
        if exemption.images.is_empty() && binds(exemption, rule.id()) {
            let expression = format!("!({})", who_and_where(exemption));
            conditions.push(json!({"name": format!("exemption-{index}"), "expression": expression}));
        }
    }
    let variables: Vec<Value> =
        expression.variables.iter().map(|(name, expression)| json!({"name": name, "expression": expression})).collect();
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["pods", "pods/ephemeralcontainers"],
        }]},
        "variables": variables,
        "validations": [{
            "expression": "variables.bad.size() == 0",
            "messageExpression": expression.message,
            "message": format!("podfit: {}: {}", rule.id(), rule.cure()),
            "reason": "Forbidden",
        }],
    });
    spec["matchConditions"] = Value::Array(conditions);
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "annotations": {"podfit.dev/rule": rule.summary()}},
        "spec": spec,
    })
}

fn binding(name: &str, mode: Mode, namespaces: &[String]) -> Value {
    let action = match mode {
        Mode::Enforce => "Deny",
        Mode::Warn => "Warn",
        Mode::Audit | Mode::Off => "Audit",
    };
    let selector = if namespaces.is_empty() {
        json!({"key": NAME_LABEL, "operator": "NotIn", "values": SYSTEM})
    } else {
        json!({"key": NAME_LABEL, "operator": "In", "values": namespaces})
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": [action],
            "matchResources": {"namespaceSelector": {"matchExpressions": [selector]}},
        },
    })
}

/// The mode of a rule in the request's namespace: the last entry that names it.
fn mode_here(settings: &Settings, rule: &dyn Rule) -> String {
    let base = settings.modes.get(rule.id()).copied().unwrap_or_else(|| rule.default_mode());
    settings.namespaces.iter().fold(cel::quoted(base.as_str()), |before, entry| match entry.modes.get(rule.id()) {
        Some(mode) => format!("({} ? {} : {before})", in_namespaces(&entry.names), cel::quoted(mode.as_str())),
        None => before,
    })
}

fn in_namespaces(names: &[String]) -> String {
    let exact = names.iter().filter(|name| !name.ends_with('*')).map(String::as_str);
    let mut any = vec![format!("request.namespace in {}", cel::list(exact))];
    let prefixes = names.iter().filter_map(|name| name.strip_suffix('*'));
    any.extend(prefixes.map(|prefix| format!("request.namespace.startsWith({})", cel::quoted(prefix))));
    format!("({})", any.join(" || "))
}

/// Who asks and as whom the pod runs, and where.
fn who_and_where(exemption: &Exemption) -> String {
    let mut all = vec![in_namespaces(&exemption.namespaces)];
    if !exemption.users.is_empty() {
        let users = cel::list(exemption.users.iter().map(String::as_str));
        all.push(format!("request.userInfo.username in {users}"));
    }
    if !exemption.service_accounts.is_empty() {
        let accounts = cel::list(exemption.service_accounts.iter().map(String::as_str));
        let account = "(has(object.spec.serviceAccountName) ? object.spec.serviceAccountName : 'default')";
        all.push(format!("{account} in {accounts}"));
    }
    all.join(" && ")
}

/// The same, and which image a container `c` has.
fn exempt_container(exemption: &Exemption) -> String {
    let images = exemption.images.iter().filter_map(|image| match Image::parse(image) {
        Image::Reference(Reference { registry, repository, .. }) => {
            let hub = matches!(registry, None | Some("docker.io" | "index.docker.io" | "registry-1.docker.io"));
            let single = hub && !repository.contains('/');
            let repository = if single { format!("library/{repository}") } else { repository.to_owned() };
            Some(format!("({})", cel::has_image(registry.filter(|_| !hub), &repository)))
        }
        Image::Unparsable(_) => None,
    });
    format!("({} && ({}))", who_and_where(exemption), images.collect::<Vec<_>>().join(" || "))
}
