//! The definition of `RightsizingPolicy`: the policy file as an object of the cluster.
//!
//! One object, named `default`, is in force: it speaks about namespaces inside, as the file does. Several objects would
//! need a rule for which one wins where two name the same namespace, and nobody would remember it.

use serde_json::{Value, json};

use super::schema::{conditions, list, namespaces, object, one_of, quantity, required, rule, text, whole};
use crate::policy::RULES;

/// Name of the object that is in force.
pub const IN_FORCE: &str = "default";

pub(super) fn definition() -> Value {
    let names = json!({
        "kind": "RightsizingPolicy", "listKind": "RightsizingPolicyList", "plural": super::POLICIES,
        "singular": "rightsizingpolicy", "shortNames": ["rsp"], "categories": ["podfit"],
    });
    let columns = json!([
        {"name": "Resizing", "type": "string", "jsonPath": ".spec.resizing"},
        {"name": "Rollout", "type": "string", "jsonPath": ".spec.rollout.mode"},
        {"name": "In force", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"InForce\")].status"},
        {"name": "Why", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"InForce\")].message",
            "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let mut status = object("What podfit made of it.", &[("conditions", conditions())]);
    // Until a leader has looked, which it does every few seconds: where none does, this says so.
    status["default"] = json!({"conditions": [{
        "type": "InForce", "status": "Unknown", "reason": "NotLookedAt",
        "message": "no podfit has looked at it yet", "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]});
    let schema = required(
        object(
            "What podfit may do, and where: how far recommendations go, bounds of sizes, rules and their exemptions. \
             The object named default is in force.",
            &[
                ("apiVersion", json!({"type": "string"})),
                ("kind", json!({"type": "string"})),
                ("metadata", json!({"type": "object"})),
                ("spec", spec()),
                ("status", status),
            ],
        ),
        &["spec"],
    );
    let only = format!("self.metadata.name == '{IN_FORCE}'");
    let schema =
        rule(schema, &only, &format!("there is one policy for the cluster, and its name is {IN_FORCE}: edit that one"));
    super::definition(&names, "Cluster", &schema, &columns)
}

fn spec() -> Value {
    let mut resizing = one_of(
        "The kill switch: with `stopped` no pod is changed any more, within a second; the rules hold all the same.",
        &["active", "stopped"],
    );
    resizing["default"] = json!("active");
    let applications = one_of(
        "Whether SparkApplications and FlinkDeployments are sized when they are created; as-they-come if not given.",
        &["as-they-come", "sized-at-creation"],
    );
    let executor_heaps = one_of(
        "Whether the heap of a Spark executor (SPARK_EXECUTOR_MEMORY) is set in its pod, where its JVMs have proven \
         another one; as-they-come if not given.",
        &["as-they-come", "as-recommended"],
    );
    let services = one_of(
        "Whether pods of Deployments, StatefulSets and DaemonSets are sized as those of jobs are, or recommendations for \
         them are shown only; recommended-only if not given.",
        &["recommended-only", "sized"],
    );
    object(
        "The policy; the same form as the file of `podfit serve --policy`.",
        &[
            ("resizing", resizing),
            ("rollout", rollout()),
            ("applications", applications),
            ("executorHeaps", executor_heaps),
            ("services", services),
            ("bounds", bounds()),
            ("rules", rules()),
        ],
    )
}

fn rollout() -> Value {
    let mode = |description| one_of(description, &["recommend", "canary", "apply"]);
    let percent = |description| whole(description, 0, 100);
    let by = |description| one_of(description, &["workload", "run"]);
    let of_namespaces = required(
        object(
            "The rollout of some namespaces; what is not said is as everywhere.",
            &[
                ("names", namespaces("Names, or beginnings of names with a * at the end.")),
                ("mode", mode("How far it goes there.")),
                ("canaryPercent", percent("The share of a canary there, in percent.")),
                ("canaryBy", by("What the share is of.")),
            ],
        ),
        &["names"],
    );
    let shrink = json!({
        "type": "number", "minimum": 0.01, "maximum": 0.95,
        "description": "Largest share that a size is lowered by in one step, such as 0.5; the next step waits for runs \
                        at the new size. Without it a size is lowered at once.",
    });
    let mut mode = mode("recommend: sizes are shown only; canary: a share is resized; apply: all.");
    mode["default"] = json!("apply");
    let mut rollout = object(
        "How far recommendations go.",
        &[
            ("mode", mode),
            ("canaryPercent", percent("In a canary, the share that is resized, in percent; 10 if not given.")),
            ("canaryBy", by("In a canary, what the share is of; workload if not given.")),
            ("largestShrink", shrink),
            (
                "freezeDays",
                whole("Days that memory is not lowered again after a shrink that got a run killed; 7.", 0, 3650),
            ),
            (
                "namespaces",
                list("Other rollouts; where several name a namespace, the last holds.", &of_namespaces, 200),
            ),
        ],
    );
    // What is in force where nothing is said, so that it can be seen.
    rollout["default"] = json!({});
    rollout
}

fn bounds() -> Value {
    let range = |what: &str, example: &str| {
        let floor = format!("No {what} is lowered below it, such as {example}; nothing is raised to it either.");
        let ceiling = format!("No {what} is raised above it; nothing is lowered to it either.");
        object(&format!("Bounds of {what}."), &[("floor", quantity(&floor)), ("ceiling", quantity(&ceiling))])
    };
    let ordered = |range: Value| {
        let in_order = "!has(self.floor) || !has(self.ceiling) || \
                        quantity(string(self.floor)).compareTo(quantity(string(self.ceiling))) <= 0";
        rule(range, in_order, "the floor is above the ceiling")
    };
    object(
        "No size leaves these, whatever history says.",
        &[("cpu", ordered(range("cpu", "10m"))), ("memory", ordered(range("memory", "64Mi")))],
    )
}

fn rules() -> Value {
    let ids: Vec<&str> = RULES.iter().map(|rule| rule.id()).collect();
    let modes = |description: &str| {
        let modes = json!({
            "type": "object", "description": description, "maxProperties": 50,
            "additionalProperties": {"type": "string", "enum": ["enforce", "warn", "audit", "off"]},
        });
        let known = format!("self.all(name, name in {})", json!(ids));
        rule(modes, &known, &format!("the rules are {}", ids.join(", ")))
    };
    let of_namespaces = required(
        object(
            "The modes of some namespaces.",
            &[
                ("names", namespaces("Names, or beginnings of names with a * at the end.")),
                ("modes", modes("By rule, its mode there.")),
            ],
        ),
        &["names", "modes"],
    );
    let texts = |description: &str, max: u64| list(description, &text("One of them.", max), 200);
    let rule_id = one_of("A rule.", &ids);
    let mut exempt_rules = list("The rules that do not bind.", &rule_id, 50);
    exempt_rules["minItems"] = json!(1);
    let mut reason = text("Why; it is shown with every finding that is let through.", 500);
    reason["minLength"] = json!(1);
    let exemption = rule(
        required(
            object(
                "What is let through, and why.",
                &[
                    ("reason", reason),
                    ("rules", exempt_rules),
                    ("namespaces", namespaces("Where: names, or beginnings of names with a * at the end.")),
                    ("users", texts("Who asks the API server: whole user names.", 512)),
                    ("images", texts("Which images: registry and repository, without tag or digest.", 512)),
                    ("serviceAccounts", texts("As whom the pod runs: names of service accounts.", 253)),
                ],
            ),
            &["reason", "rules", "namespaces"],
        ),
        "has(self.users) || has(self.images) || has(self.serviceAccounts)",
        "it names nobody: give users, images or serviceAccounts",
    );
    object(
        "Modes of the rules, and exemptions. No label or annotation of a pod relaxes a rule, only this does.",
        &[
            ("modes", modes("By rule, its mode in every namespace; else the rule's own default.")),
            ("namespaces", list("Other modes; where several name a namespace, the last holds.", &of_namespaces, 200)),
            ("exemptions", list("What is let through, and why.", &exemption, 500)),
            (
                "acceptUserNamespaces",
                json!({"type": "boolean", "description": "Accept root inside a user namespace (hostUsers: false)."}),
            ),
        ],
    )
}
