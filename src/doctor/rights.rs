//! Which rights podfit takes, and which it takes to install it; what follows from those that are missing.
//! Must not ask for them: answers come with the questions.

use super::{Check, Installation};

/// A question for the API server's authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Such as `list`.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural, with a subresource after a slash.
    pub resource: &'static str,
    /// Object; `None` = every one.
    pub name: Option<String>,
    /// Namespace; `None` = in the whole cluster.
    pub namespace: Option<String>,
}

impl Right {
    fn everywhere(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { verb, group, resource, name: None, namespace: None }
    }

    fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    fn within(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    fn words(&self) -> String {
        let name = self.name.as_ref().map(|n| format!(" {n}")).unwrap_or_default();
        format!("{} {}{name}", self.verb, self.resource)
    }
}

/// Rights that serve one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// What they are for, as the name of a check.
    pub check: &'static str,
    /// What follows where they are missing.
    pub consequence: &'static str,
    /// All of them.
    pub rights: Vec<Right>,
    /// Whether podfit is of no use without them.
    pub vital: bool,
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const WEBHOOKS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// What the account of an installation needs.
pub fn needed(installation: &Installation) -> Vec<Purpose> {
    let Installation { namespace, .. } = installation;
    let each = |verbs: &[&'static str], group: &'static str, resources: &[&'static str]| {
        let of = |resource: &&'static str| {
            verbs.iter().map(|verb| Right::everywhere(verb, group, resource)).collect::<Vec<_>>()
        };
        resources.iter().flat_map(of).collect::<Vec<_>>()
    };
    let own = |verb, group, resource| Right::everywhere(verb, group, resource).within(namespace);
    let mut purposes = vec![
        Purpose {
            check: "rights: sizes' bounds",
            consequence: "no pod is resized where bounds are not known",
            rights: each(&["list", "watch"], "", &["limitranges", "resourcequotas", "nodes"]),
            vital: true,
        },
        Purpose {
            check: "rights: pods and owners",
            consequence: "OOM kills are not seen, and Jobs not told from their CronJobs",
            rights: [
                each(&["list", "watch"], "", &["pods"]),
                each(&["list", "watch"], "batch", &["jobs"]),
                each(&["list", "watch"], "apps", &["replicasets"]),
            ]
            .concat(),
            vital: true,
        },
        Purpose {
            check: "rights: policy",
            consequence: "nothing is known of what is wanted",
            rights: [
                each(&["list", "watch"], "podfit.dev", &["rightsizingpolicies"]),
                each(&["patch"], "podfit.dev", &["rightsizingpolicies/status"]),
            ]
            .concat(),
            vital: true,
        },
        Purpose {
            check: "rights: recommendations",
            consequence: "nothing is recommended",
            rights: [
                each(&["get", "list", "watch", "create", "patch", "delete"], "podfit.dev", &["recommendations"]),
                each(&["patch"], "podfit.dev", &["recommendations/status"]),
            ]
            .concat(),
            vital: true,
        },
        Purpose {
            check: "rights: lease",
            consequence: "no replica recommends anything",
            rights: vec![
                own("create", "coordination.k8s.io", "leases"),
                own("get", "coordination.k8s.io", "leases").named(&installation.lease),
                own("update", "coordination.k8s.io", "leases").named(&installation.lease),
            ],
            vital: true,
        },
        Purpose {
            check: "rights: events",
            consequence: "no Event tells what podfit did",
            rights: each(&["create", "patch"], "events.k8s.io", &["events"]),
            vital: false,
        },
    ];
    if installation.built_in_ca {
        let configurations = WEBHOOKS.iter().flat_map(|kind| {
            ["get", "patch"].map(|verb| Right::everywhere(verb, ADMISSION, kind).named(&installation.configuration))
        });
        purposes.push(Purpose {
            check: "rights: built-in CA",
            consequence: "no certificate is made, or nobody trusts it",
            rights: ["get", "patch"]
                .map(|verb| own(verb, "", "secrets").named(&installation.secret))
                .into_iter()
                .chain([own("create", "", "secrets")])
                .chain(configurations)
                .collect(),
            vital: true,
        });
    }
    purposes
}

/// What whoever installs podfit needs, beyond a namespace's own objects.
pub fn to_install(namespace: &str) -> Purpose {
    let mut rights = vec![
        Right::everywhere("create", "", "namespaces"),
        Right::everywhere("create", "apiextensions.k8s.io", "customresourcedefinitions"),
        Right::everywhere("create", "rbac.authorization.k8s.io", "clusterroles"),
        Right::everywhere("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
        Right::everywhere("create", "apps", "deployments").within(namespace),
        Right::everywhere("create", "podfit.dev", "rightsizingpolicies"),
    ];
    rights.extend(WEBHOOKS.map(|kind| Right::everywhere("create", ADMISSION, kind)));
    Purpose { check: "your rights", consequence: "you cannot install podfit", rights, vital: true }
}

/// How a purpose's rights came out; `allowed` answers them in order. `who` has them or not.
pub fn check(purpose: &Purpose, allowed: &Result<Vec<bool>, String>, who: &str) -> Check {
    let allowed = match allowed {
        Ok(allowed) => allowed,
        Err(why) => {
            let advice = "ask as somebody who may create SubjectAccessReviews, or in podfit's own pod";
            return Check::unknown(purpose.check, why, advice);
        }
    };
    let missing: Vec<String> =
        purpose.rights.iter().zip(allowed).filter(|(_, allowed)| !**allowed).map(|(right, _)| right.words()).collect();
    if missing.is_empty() {
        let count = purpose.rights.len();
        return Check::ok(purpose.check, format!("all {count} of {who}"));
    }
    let seen = format!("{who} may not {}: {}", missing.join(", "), purpose.consequence);
    let advice = "grant them: deploy/helm/podfit/templates/rbac.yaml has the rules";
    let advice = if purpose.check == "your rights" { "ask who administers the cluster to install it" } else { advice };
    if purpose.vital { Check::fail(purpose.check, seen, advice) } else { Check::warn(purpose.check, seen, advice) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn what_is_missing_is_named_with_what_follows() {
        let purposes = needed(&Installation::usual("podfit"));
        let lease = purposes.iter().find(|p| p.check == "rights: lease").unwrap();
        let outcome = check(lease, &Ok(vec![true, true, false]), "podfit's account");
        assert_eq!(outcome.state, State::Fail);
        assert_eq!(outcome.seen, "podfit's account may not update leases podfit: no replica recommends anything");
        assert_eq!(check(lease, &Ok(vec![true; 3]), "podfit's account").seen, "all 3 of podfit's account");
        assert_eq!(check(lease, &Err("403".to_owned()), "x").state, State::Unknown);
        let events = purposes.iter().find(|p| p.check == "rights: events").unwrap();
        assert_eq!(check(events, &Ok(vec![false, false]), "x").state, State::Warn);
    }

    #[test]
    fn nobody_needs_the_cas_rights_where_certificates_are_files() {
        let files = Installation { built_in_ca: false, ..Installation::usual("podfit") };
        assert!(
            needed(&files).iter().all(|p| p.rights.iter().all(|r| r.resource != "secrets" && r.group != ADMISSION))
        );
    }

    #[test]
    fn no_right_on_secrets_or_leases_reaches_beyond_the_namespace() {
        let rights: Vec<Right> = needed(&Installation::usual("podfit")).into_iter().flat_map(|p| p.rights).collect();
        for right in rights.iter().filter(|r| ["secrets", "leases"].contains(&r.resource)) {
            assert_eq!(right.namespace.as_deref(), Some("podfit"));
            assert_eq!(right.name.is_none(), right.verb == "create", "{right:?}");
        }
    }
}
