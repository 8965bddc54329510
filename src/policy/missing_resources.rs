//! `missing-resources`: a container without a cpu request, a memory request or a memory limit.
//! Must not ask for a cpu limit, which throttles for no gain, nor judge sizes: what is written counts.

use serde_json::Value;

use super::{Container, Mode, Options, PodSpec, Report, Rule, Severity, Slot, visitor};

pub(super) struct MissingResources;

/// What every container needs, in the order of the message: the words for it, where it is written, and in which words
/// the limit ranger's note speaks of it. The API server makes a missing request of a pod equal to its limit.
const NEEDED: [Need; 3] = [
    Need { words: "cpu request", lists: &["requests", "limits"], resource: "cpu", kind: "request" },
    Need { words: "memory request", lists: &["requests", "limits"], resource: "memory", kind: "request" },
    Need { words: "memory limit", lists: &["limits"], resource: "memory", kind: "limit" },
];

struct Need {
    words: &'static str,
    lists: &'static [&'static str],
    resource: &'static str,
    kind: &'static str,
}

impl Need {
    /// Whether the resources of a container, or of the pod as a whole, have it.
    fn is_met_by(&self, owner: &Value) -> bool {
        visitor::present(owner, "resources").is_some_and(|resources| {
            self.lists.iter().any(|list| {
                visitor::present(resources, list).is_some_and(|list| visitor::present(list, self.resource).is_some())
            })
        })
    }
}

impl Rule for MissingResources {
    fn id(&self) -> &'static str {
        "missing-resources"
    }

    fn summary(&self) -> &'static str {
        "Without requests a container is placed blindly, and without a memory limit it can take its node down with it."
    }

    fn cure(&self) -> &'static str {
        "Set a cpu request, a memory request and a memory limit in the container's resources; podfit recommend says how much."
    }

    fn default_mode(&self) -> Mode {
        Mode::Warn
    }

    fn check(&self, pod: &PodSpec<'_>, _: &Options, report: &mut Report<'_>) {
        let note = pod.annotation("kubernetes.io/limit-ranger").unwrap_or_default();
        // An ephemeral container may have no resources: the API forbids them.
        for container in pod.containers().filter(|container| container.slot != Slot::Ephemeral) {
            let of = |wanted: &dyn Fn(&Need) -> bool| {
                NEEDED.iter().filter(|need| wanted(need)).map(|need| need.words).collect::<Vec<_>>()
            };
            let path = format!("{}/resources", container.path);
            let missing = of(&|need| !need.is_met_by(container.json) && !need.is_met_by(pod.json()));
            if !missing.is_empty() {
                let problem = format!("no {}: set it in resources", list(&missing, "or"));
                report.container(Severity::Breach, "missing", &container, &path, &problem);
                continue;
            }
            let defaulted = of(&|need| is_from_limit_ranger(note, need, &container));
            if !defaulted.is_empty() {
                let problem = format!("{} from the namespace's defaults: set its own", list(&defaulted, "and"));
                report.container(Severity::Remark, "namespace-default", &container, &path, &problem);
            }
        }
    }
}

/// Whether the limit ranger's note says that it filled this in: `LimitRanger plugin set: cpu, memory request for
/// container main; memory limit for init container prepare` (kubernetes plugin/pkg/admission/limitranger). Whoever
/// forges the note can at most add a remark.
fn is_from_limit_ranger(note: &str, need: &Need, container: &Container<'_>) -> bool {
    let Some((_, sets)) = note.split_once("set: ") else { return false };
    let place = if container.slot == Slot::Init { "init container" } else { "container" };
    sets.split("; ").any(|set| {
        set.split_once(&format!(" {} for {place} ", need.kind)).is_some_and(|(resources, name)| {
            name == container.name && resources.split(", ").any(|resource| resource == need.resource)
        })
    })
}

fn list(words: &[&str], last: &str) -> String {
    match words {
        [init @ .., end] if !init.is_empty() => format!("{} {last} {end}", init.join(", ")),
        _ => words.concat(),
    }
}
