//! One exemption from rules: for which namespaces, and for which users, service accounts or images.
//! Must not match by group, by label or by a part of a text: those take in more than their author means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::setting_check::{SettingsError, fault, known_rules, matches, patterns};
use super::{Finding, PodSpec};
use crate::image::{Image, Reference};
use crate::text;

/// What is let through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// Why; it is shown with every finding that is let through.
    pub reason: String,
    /// The rules that do not bind.
    pub rules: Vec<String>,
    /// Where: names, or beginnings of names with a `*` at the end. Empty means nowhere, so it has to be given.
    pub namespaces: Vec<String>,
    /// Who asks the API server: exact user names (`system:serviceaccount:ci:deployer`). Groups cannot be given: the
    /// accounts of the controllers that create everybody's pods are members of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Which images: registry and repository, without tag or digest. A finding about a container is let through if its
    /// image is one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// As whom the pod runs: names of service accounts of the pod's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
}

/// What exemptions are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The namespace of the request.
    pub namespace: &'a str,
    /// Who asks; `None` where nobody does, as for a file.
    pub user: Option<&'a str>,
    /// The pod.
    pub pod: PodSpec<'a>,
}

impl Exemption {
    pub(super) fn validate(&self, place: &str) -> Result<(), SettingsError> {
        let at = |field: &str| format!("{place}.{field}");
        if self.reason.trim().is_empty() {
            return Err(fault(&at("reason"), "it is empty: say why, for whoever reads the audit log"));
        }
        if self.rules.is_empty() {
            return Err(fault(&at("rules"), "it is empty: name the rules that do not bind"));
        }
        known_rules(&at("rules"), &self.rules)?;
        if self.namespaces.is_empty() {
            return Err(fault(&at("namespaces"), "it is empty: name namespaces, or prefixes such as dev-*"));
        }
        patterns(&at("namespaces"), &self.namespaces)?;
        if self.users.is_empty() && self.images.is_empty() && self.service_accounts.is_empty() {
            let problem = "it names nobody: give users, images or serviceAccounts, or set a mode in namespaces";
            return Err(fault(place, problem));
        }
        for (index, user) in self.users.iter().enumerate() {
            if user.is_empty() || user.contains('*') || is_group(user) {
                let shown = text::clip(&text::clean(user), 60);
                let problem = format!("\"{shown}\" is no user: write one user's exact name, not a group or a pattern");
                return Err(fault(&format!("{}[{index}]", at("users")), &problem));
            }
        }
        for (index, account) in self.service_accounts.iter().enumerate() {
            if account.is_empty() || account.contains(['*', ':', '/']) {
                let shown = text::clip(&text::clean(account), 60);
                let problem = format!("\"{shown}\" is no service account: write its name, without the namespace");
                return Err(fault(&format!("{}[{index}]", at("serviceAccounts")), &problem));
            }
        }
        for (index, image) in self.images.iter().enumerate() {
            let bare = matches!(Image::parse(image), Image::Reference(r) if r.tag.is_none() && r.digest.is_none());
            if !bare {
                let shown = text::clip(&text::clean(image), 60);
                let problem = format!("\"{shown}\" is no repository: write REGISTRY/REPOSITORY without tag or pattern");
                return Err(fault(&format!("{}[{index}]", at("images")), &problem));
            }
        }
        Ok(())
    }

    /// Whether all that the exemption names fits.
    pub(super) fn covers(&self, finding: &Finding, subject: &Subject<'_>, images: &Images<'_>) -> bool {
        self.rules.iter().any(|rule| rule == finding.rule)
            && self.namespaces.iter().any(|pattern| matches(pattern, subject.namespace))
            && (self.users.is_empty() || subject.user.is_some_and(|user| self.users.iter().any(|u| u == user)))
            && (self.service_accounts.is_empty() || self.service_accounts.iter().any(|a| a == account(&subject.pod)))
            && (self.images.is_empty() || images.are_all(&finding.container, |image| self.is_exempt(image)))
    }

    fn is_exempt(&self, image: &str) -> bool {
        let Image::Reference(image) = Image::parse(image) else { return false };
        self.images.iter().any(|exempt| {
            matches!(Image::parse(exempt), Image::Reference(exempt) if full_name(&exempt) == full_name(&image))
        })
    }
}

/// The images of a pod by the name of the container or volume, as findings show it.
pub(super) struct Images<'a>(BTreeMap<String, Vec<Option<&'a str>>>);

impl<'a> Images<'a> {
    pub(super) fn of(pod: &PodSpec<'a>) -> Self {
        let containers = pod.containers().map(|c| (c.name, c.json.get("image")));
        let volumes = pod.image_volumes().map(|v| (v.name, v.reference));
        let mut images = BTreeMap::<_, Vec<_>>::new();
        for (name, image) in containers.chain(volumes) {
            images.entry(text::clean(name)).or_default().push(image.and_then(Value::as_str));
        }
        Self(images)
    }

    /// Whether all images of that name are of a kind; for a finding about the whole pod, which has no name, all of the
    /// pod. No where there is none.
    fn are_all(&self, name: &str, is_one: impl Fn(&str) -> bool) -> bool {
        let all = |images: &Vec<Option<&str>>| images.iter().all(|image| image.is_some_and(&is_one));
        if name.is_empty() { !self.0.is_empty() && self.0.values().all(all) } else { self.0.get(name).is_some_and(all) }
    }
}

/// The service account that a pod runs as.
fn account<'a>(pod: &PodSpec<'a>) -> &'a str {
    ["serviceAccountName", "serviceAccount"]
        .into_iter()
        .find_map(|field| pod.json().get(field)?.as_str().filter(|name| !name.is_empty()))
        .unwrap_or("default")
}

/// Kubernetes' own groups; a user may be called anything else.
fn is_group(name: &str) -> bool {
    name.starts_with("system:serviceaccounts")
        || matches!(name, "system:masters" | "system:authenticated" | "system:nodes")
}

/// Registry and repository as the runtime completes them: without a registry it is Docker Hub's, and there a single
/// name is in `library`.
fn full_name<'a>(image: &Reference<'a>) -> (&'a str, String) {
    let registry = match image.registry {
        None | Some("index.docker.io" | "registry-1.docker.io") => "docker.io",
        Some(registry) => registry,
    };
    let official = registry == "docker.io" && !image.repository.contains('/');
    (registry, if official { format!("library/{}", image.repository) } else { image.repository.to_owned() })
}
