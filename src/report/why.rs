//! Why a pod asks for what it asks for: its workload, what it came with, what podfit made of that and by which
//! recommendation, how it was killed, what its next try gets. Computes no size. Must not ask a cluster.

use serde::Serialize;
use serde_json::Value;

use crate::admission::change_in_words;
use crate::admission::provenance::{self, Record};
use crate::fit::ContainerResources;
use crate::recommendation::Kill;
use crate::recommendation::status::Status;
use crate::text::{self, units};
use crate::workload::Identity;

/// What was read.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The pod.
    pub pod: &'a Value,
    /// Whose it is; `None` where nobody knows.
    pub identity: Option<&'a Identity>,
    /// What the workload's object says now; `None` without one.
    pub status: Option<&'a Status>,
    /// Its containers that were killed for memory.
    pub kills: &'a [(String, Kill)],
}

/// The answer, as it is written in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// `NAMESPACE/NAME`.
    pub pod: String,
    /// The workload's text form.
    pub workload: Option<String>,
    /// Which try it is, where its engine tells.
    pub attempt: Option<u32>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Why it was resized, or not.
    pub because: String,
    /// Whether new pods of the workload get the recommendation, and why.
    pub policy: String,
}

/// A container of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it was to ask for.
    pub asked: ContainerResources,
    /// What it asks for.
    pub got: ContainerResources,
    /// The difference in words; empty where podfit changed nothing.
    pub change: String,
    /// The newest kill for memory, in words; empty without one.
    pub killed: String,
}

impl Why {
    /// What is to be said.
    pub fn of(facts: &Facts<'_>) -> Self {
        let text = |key: &str| {
            let found = facts.pod.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
            text::clean(found.unwrap_or_default())
        };
        let record =
            provenance::annotation(facts.pod, provenance::RESIZED).and_then(|r| serde_json::from_str::<Record>(r).ok());
        let containers = facts.pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
        let containers: Vec<Container> =
            containers.filter_map(|json| container(json, record.as_ref(), facts)).collect();
        let is_resized = containers.iter().any(|container| !container.change.is_empty());
        let workload = facts.identity.map(|identity| identity.workload.to_string());
        let because = match (&record, is_resized) {
            (Some(record), true) => resized(record, facts.status),
            _ => untouched(facts, workload.as_deref()),
        };
        Self {
            pod: format!("{}/{}", text("namespace"), text("name")),
            workload,
            attempt: facts.identity.and_then(|identity| identity.attempt),
            containers,
            because,
            policy: policy(facts.status),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let of_try = self.attempt.map(|n| format!(", try {n}")).unwrap_or_default();
        let workload = self.workload.as_deref().unwrap_or("none that podfit knows");
        let mut lines = vec![self.pod.clone(), format!("Workload  {workload}{of_try}")];
        for container in &self.containers {
            lines.push(format!("Asked     {}: {}", text::name(&container.name), size(&container.asked)));
            let change = if container.change.is_empty() { "as it came".to_owned() } else { container.change.clone() };
            lines.push(format!("Got       {}; {change}", size(&container.got)));
            if !container.killed.is_empty() {
                lines.push(format!("Killed    {}", container.killed));
            }
        }
        lines.push(format!("Because   {}", self.because));
        lines.push(format!("Policy    {}", self.policy));
        lines.join("\n") + "\n"
    }
}

fn container(json: &Value, record: Option<&Record>, facts: &Facts<'_>) -> Option<Container> {
    let name = json.get("name")?.as_str()?.to_owned();
    let got = ContainerResources::of_container(json).ok()?;
    // A record counts only where it says what the pod has.
    let change = record.and_then(|record| record.containers.get(&name)).filter(|change| change.to == got);
    let killed = facts.kills.iter().find(|(of, _)| *of == name).map(|(_, kill)| kill);
    let of_status = facts.status.and_then(|status| status.containers.iter().find(|c| c.name == name));
    let killed = killed.map(|kill| {
        let planned = of_status.and_then(|of| of.recommended.memory_limit);
        let ladder = of_status.map_or(&[][..], |of| &of.memory_ladder);
        // What is in the object has the answer in it.
        let has_it = of_status.and_then(|of| of.kill.as_ref()).is_some_and(|known| known.at >= kill.at);
        let next = planned.filter(|_| has_it).unwrap_or_else(|| kill.next_memory(planned, ladder));
        format!("{name} at {}, for memory at its limit {}; the next try gets {next}", kill.at, kill.limit)
    });
    Some(Container {
        asked: change.map_or(got, |change| change.from),
        change: change.map(|change| format!("podfit: {}", change_in_words(change))).unwrap_or_default(),
        killed: killed.unwrap_or_default(),
        name,
        got,
    })
}

fn resized(record: &Record, status: Option<&Status>) -> String {
    let evidence = status.and_then(|status| status.containers.iter().find_map(|c| c.evidence.as_ref()));
    let seen = evidence.map_or_else(
        || "what past runs used".to_owned(),
        |e| {
            let what = if e.days.is_some() { "days" } else { "runs" };
            let peak = e.peak_max.map(|p| format!(", highest peak {}", units::memory(p.bytes_rounded_up())));
            format!("{} {what}{}", e.days.unwrap_or(e.runs), peak.unwrap_or_default())
        },
    );
    format!("{seen}, by recommendation {}; podfit explain {}", record.recommendation, record.workload)
}

fn untouched(facts: &Facts<'_>, workload: Option<&str>) -> String {
    if provenance::is_opted_out(facts.pod) {
        return format!("its annotation {} switches sizing off", provenance::RESIZE);
    }
    let Some(workload) = workload else {
        return "podfit knows no recurring work that it belongs to; podfit identify says what it looks for".to_owned();
    };
    let label = facts.pod.pointer("/metadata/labels").and_then(|labels| labels.get(provenance::WORKLOAD));
    if label.is_none() {
        return format!(
            "it has no label {}: the API server did not ask podfit when it was created, or had no answer; \
             podfit doctor says whether that is still so",
            provenance::WORKLOAD
        );
    }
    let Some(status) = facts.status else {
        return format!("there is no recommendation for {workload} yet");
    };
    if let Some(condition) = status.conditions.iter().find(|c| c.kind == "Applied" && c.status != "True") {
        return condition.message.clone();
    }
    let containers = facts.pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let is_what_is_recommended = containers.into_iter().all(|json| {
        let of = status.containers.iter().find(|c| json["name"] == *c.name);
        let got = ContainerResources::of_container(json).ok();
        of.is_none_or(|of| {
            of.in_force.memory_limit.is_none() || got.is_some_and(|got| got.memory_limit == of.in_force.memory_limit)
        })
    });
    if is_what_is_recommended {
        return "it asks for what is recommended".to_owned();
    }
    format!(
        "it was created before this was recommended or allowed, or what it must fit into (LimitRange, quota, its QoS \
         class) allows no other size; podfit dry-run says which for the next pod of {workload}"
    )
}

fn policy(status: Option<&Status>) -> String {
    let applied = status.and_then(|status| status.conditions.iter().find(|c| c.kind == "Applied"));
    let word = status.map(|status| status.summary.applied.as_str()).unwrap_or_default();
    applied.map_or_else(|| "nothing is recommended".to_owned(), |condition| format!("{word}: {}", condition.message))
}

fn size(of: &ContainerResources) -> String {
    let memory = units::memory_or_dash(of.memory_limit.or(of.memory_request));
    format!("memory {memory}, cpu {}", units::cpu_or_dash(of.cpu_request))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workload::{IdentityRules, identify, pod_facts};

    fn pod(memory: &str, metadata: &Value) -> Value {
        let mut pod = json!({"metadata": {"name": "nightly-29000001-x", "namespace": "etl",
            "ownerReferences": [{"kind": "Job", "name": "nightly-29000001", "controller": true}]},
            "spec": {"containers": [{"name": "main", "resources": {
                "requests": {"memory": memory, "cpu": "500m"}, "limits": {"memory": memory}}}]}});
        for (key, value) in metadata.as_object().unwrap() {
            pod["metadata"][key] = value.clone();
        }
        pod
    }

    fn why(pod: &Value, status: Option<&Status>, kills: &[(String, Kill)]) -> String {
        let identity = identify(&pod_facts(pod, "etl").unwrap(), &IdentityRules::default()).ok();
        Why::of(&Facts { pod, identity: identity.as_ref(), status, kills }).text()
    }

    fn status(applied: &str) -> Status {
        let text = json!({"containers": [{"name": "main", "recommended": {"memoryLimit": "480Mi"},
                "inForce": {"memoryLimit": "480Mi"}, "memoryLadder": ["960Mi"],
                "evidence": {"runs": 21, "peakMax": "431Mi"}}],
            "summary": {"applied": "apply"},
            "conditions": [{"type": "Applied", "status": applied, "message": "the policy has its reasons"}]});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_resized_pod_tells_from_what_and_why_and_what_comes_next() {
        let size = |memory: &str| json!({"cpuRequest": "500m", "memoryRequest": memory, "memoryLimit": memory});
        let record = json!({"workload": "cronjob/nightly", "recommendation": "r1",
            "containers": {"main": {"from": size("2Gi"), "to": size("480Mi")}}});
        let pod = pod("480Mi", &json!({"annotations": {"podfit.dev/resized": record.to_string()}}));
        let at = "2026-11-30T02:10:00Z".parse().unwrap();
        let kill = Kill { limit: "480Mi".parse().unwrap(), at, pod: String::new(), lowered_from: "2Gi".parse().ok() };
        let said = why(&pod, Some(&status("True")), &[("main".to_owned(), kill)]);
        assert_eq!(
            said,
            "etl/nightly-29000001-x\n\
             Workload  cronjob/nightly\n\
             Asked     main: memory 2Gi, cpu 500m\n\
             Got       memory 480Mi, cpu 500m; podfit: memory 2Gi → 480Mi\n\
             Killed    main at 2026-11-30T02:10:00Z, for memory at its limit 480Mi; the next try gets 2Gi\n\
             Because   21 runs, highest peak 431Mi, by recommendation r1; podfit explain cronjob/nightly\n\
             Policy    apply: the policy has its reasons\n"
        );
    }

    #[rstest::rstest]
    #[case::off(json!({"annotations": {"podfit.dev/resize": "off"}}), Some("True"), "switches sizing off")]
    #[case::never_asked(json!({}), Some("True"), "did not ask podfit")]
    #[case::nothing_known(json!({"labels": {"podfit.dev/workload": "x"}}), None, "no recommendation for cronjob/nightly")]
    #[case::held_back(json!({"labels": {"podfit.dev/workload": "x"}}), Some("False"), "the policy has its reasons")]
    #[case::other_size(json!({"labels": {"podfit.dev/workload": "x"}}), Some("True"), "created before this was recommended")]
    #[case::nobodys(json!({"ownerReferences": []}), None, "no recurring work")]
    fn a_pod_that_was_left_alone_tells_why(#[case] metadata: Value, #[case] applied: Option<&str>, #[case] said: &str) {
        let status = applied.map(status);
        let text = why(&pod("2Gi", &metadata), status.as_ref(), &[]);
        assert!(text.contains(said) && text.contains("as it came"), "{text}");
    }
}
