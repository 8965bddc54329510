//! `podfit dry-run`: a live namespace and its history, side by side. Reads only, changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Outcome;
use super::cluster_args::{ClusterArgs, namespace};
use super::learn::gather;
use super::output::OutputArgs;
use super::source_args::SourceArgs;
use crate::admission::identity::owner_uid;
use crate::admission::{Creation, LoadedRecommendations, Owned, Snapshot, create};
use crate::cluster::{ClusterError, ClusterSnapshot, LiveWorkload, Reader};
use crate::collector::KnownPods;
use crate::controller::crds::{self, IN_FORCE};
use crate::controller::watch::policy_of;
use crate::fit::spark::KnownHeaps;
use crate::fit::{Constraints, ContainerResources, Fitted, Pair, Resource, fit_pod, spark_executor_heap};
use crate::history::History;
use crate::pipeline::Learned;
use crate::policy::{CanaryBy, NamespaceRollout, PodSpec, Rollout, RolloutMode, Services};
use crate::quantity::Quantity;
use crate::recommendation::{Line, Report, VERSION, Wanted};
use crate::sizing::{Estimate, SizingPolicy};
use crate::workload::containers::does_the_work;
use crate::workload::{Kind, Owner, Workload, WorkloadKey, controller_of};

/// Arguments of `podfit dry-run`.
#[derive(clap::Args)]
pub struct Args {
    /// Namespace (repeatable); the context's own when absent
    #[arg(short, long, value_parser = namespace)]
    namespace: Vec<String>,
    /// Print the JSON patch that admission would make to the next pod of each workload
    #[arg(long)]
    show_patch: bool,
    /// Apply this policy (YAML) instead of the cluster's RightsizingPolicy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs it.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    args.source.check()?;
    let reader = Reader::connect(&args.cluster.access()).await?;
    let namespaces =
        if args.namespace.is_empty() { vec![reader.default_namespace().to_owned()] } else { args.namespace.clone() };
    let rules = args.source.rules();
    let mut snapshots = BTreeMap::new();
    let mut known = KnownPods::default();
    for name in &namespaces {
        let mut snapshot = ClusterSnapshot::read(&reader, name, &rules).await?;
        known.extend(std::mem::take(&mut snapshot.known));
        snapshots.insert(name.clone(), snapshot);
    }
    let gathered = gather(&args.source, namespaces, known).await?;
    let (mut admission, said) = admission(&reader, args.policy.as_deref()).await?;
    admission.identity = Arc::new(rules);
    for name in snapshots.keys() {
        for_any_run(&mut admission, name);
    }
    let mut report = report(&snapshots, gathered, &admission, args.show_patch);
    report.notes.extend(said);
    report.notes.extend(snapshots.keys().filter_map(|name| held_back(&admission, name)));
    args.output.print(&report)
}

/// What admission goes by: the policy of the file, else that of the cluster; and what is to be said of it.
async fn admission(reader: &Reader, file: Option<&Path>) -> anyhow::Result<(Snapshot, Option<String>)> {
    let mut admission = Snapshot::default();
    if let Some(file) = file {
        admission.set_policy(super::review::policy(file)?);
        return Ok((admission, None));
    }
    // Everyone who is logged in may ask which APIs there are. Without podfit's there is no policy, whatever one may
    // read.
    if let Ok(None) = reader.get(&format!("/apis/{}", crds::GROUP), "see whether podfit is installed").await {
        without_policy(&mut admission);
        return Ok((admission, None));
    }
    let path = format!("/apis/{}/{}/{}/{}", crds::GROUP, crds::VERSION, crds::POLICIES, IN_FORCE);
    let said = match reader.get(&path, "read the RightsizingPolicy").await {
        Ok(None) => None,
        Ok(Some(object)) => match policy_of(&object) {
            Ok(policy) => {
                admission.set_policy(policy);
                return Ok((admission, None));
            }
            Err(why) => Some(format!(
                "the RightsizingPolicy {IN_FORCE} cannot be used ({why}): rules are shown in their default modes"
            )),
        },
        Err(ClusterError::Forbidden { what }) => {
            Some(format!("you may not {what}: rules are shown in their default modes, or give --policy"))
        }
        Err(error) => Some(format!("{error}; rules are shown in their default modes, or give --policy")),
    };
    without_policy(&mut admission);
    Ok((admission, said))
}

/// Where there is no policy, nothing holds a size back: what is shown is what admission could do.
fn without_policy(admission: &mut Snapshot) {
    admission.without_policy();
    admission.rollout = Arc::default();
    admission.services = Services::Sized;
}

/// In a canary of runs, each run has a chance of its own; what is shown is what those get that have it.
fn for_any_run(admission: &mut Snapshot, namespace: &str) {
    let stage = admission.rollout.stage(namespace);
    if stage.mode == RolloutMode::Canary && stage.by == CanaryBy::Run {
        let mut rollout = Rollout::clone(&admission.rollout);
        let names = vec![namespace.to_owned()];
        let here = NamespaceRollout { names, mode: Some(RolloutMode::Apply), canary_percent: None, canary_by: None };
        rollout.namespaces.push(here);
        admission.rollout = Arc::new(rollout);
    }
}

/// What keeps admission from giving pods of a namespace their sizes at present.
fn held_back(admission: &Snapshot, namespace: &str) -> Option<String> {
    admission.policy.as_ref()?;
    if admission.resizing_stopped {
        return Some(format!("{namespace}: the policy has stopped resizing: admission leaves every pod as it comes"));
    }
    let rollout = admission.policy.as_ref().map_or(&*admission.rollout, |policy| &policy.rollout);
    let what = match rollout.stage(namespace).mode {
        RolloutMode::Apply => return None,
        RolloutMode::Canary => "gives their sizes to a share of the pods",
        RolloutMode::Recommend => "leaves every pod as it comes",
    };
    Some(format!("{namespace}: by the policy's rollout, admission {what}"))
}

/// What is live and what is remembered, workload by workload.
fn report(
    snapshots: &BTreeMap<String, ClusterSnapshot>,
    gathered: Learned,
    admission: &Snapshot,
    show_patch: bool,
) -> Report {
    let lines = lines(snapshots, gathered.histories, &gathered.policy, admission, show_patch);
    let mut notes = gathered.notes;
    let mut unidentified = Vec::new();
    for (namespace, snapshot) in snapshots {
        notes.extend(snapshot.notes.iter().cloned());
        unidentified
            .extend(snapshot.unidentified.iter().map(|(pod, reason)| (format!("{namespace}/{pod}"), reason.clone())));
    }
    Report::new(lines, unidentified, notes)
}

/// A line for each container that is live or remembered; what admission would say of it is said by its policy.
pub(super) fn lines(
    snapshots: &BTreeMap<String, ClusterSnapshot>,
    known: BTreeMap<WorkloadKey, History>,
    policy: &SizingPolicy,
    admission: &Snapshot,
    show_patch: bool,
) -> Vec<Line> {
    let mut by_workload: BTreeMap<Workload, BTreeMap<String, History>> = BTreeMap::new();
    for (key, history) in known {
        by_workload.entry(key.workload).or_default().insert(key.container, history);
    }
    for snapshot in snapshots.values() {
        for workload in snapshot.workloads.keys() {
            by_workload.entry(workload.clone()).or_default();
        }
    }
    let nothing = Constraints::default();
    let mut lines = Vec::new();
    let mut alive = Vec::new();
    for (workload, histories) in by_workload {
        let snapshot = snapshots.get(&workload.namespace);
        let constraints = snapshot.map_or(&nothing, |s| &s.constraints);
        let scaled_on = snapshot.and_then(|s| s.scaled_on.get(&workload)).copied().unwrap_or_default();
        let policy = &SizingPolicy { scaled_on, ..*policy };
        match snapshot.and_then(|s| s.workloads.get(&workload)) {
            Some(live) => {
                let first = lines.len();
                lines.extend(live_lines(&workload, histories, live, constraints, policy));
                alive.push((workload, live, first..lines.len()));
            }
            None => lines.extend(histories.iter().map(|(container, history)| {
                let key = WorkloadKey { workload: workload.clone(), container: container.clone() };
                let mut line = Line::new(&key, history, None, policy, constraints, &KnownHeaps::default(), |_| None);
                line.live_pods = Some(0);
                line
            })),
        }
    }
    // Only what stands in a pod: what else a history names is nobody's to size, and may be named in any way.
    let in_pods = alive.iter().flat_map(|(_, live, range)| {
        let containers = containers_of(live);
        let lines = lines.get(range.clone()).unwrap_or_default().iter();
        lines.filter(move |line| containers.contains_key(&line.container))
    });
    let asked = informed(admission, snapshots, in_pods, alive.iter().map(|(workload, live, _)| (workload, *live)));
    for (workload, live, range) in alive {
        let lines = lines.get_mut(range).unwrap_or_default();
        match &asked {
            Ok(admission) => say(&create(&live.newest, &workload.namespace, admission), lines, show_patch),
            Err(why) => {
                for line in lines {
                    line.notes.push(format!("what admission would say is unknown: {why}"));
                }
            }
        }
    }
    lines
}

/// The recommendations of these lines, as `podfit serve` reads them.
#[derive(serde::Serialize)]
struct Recommendations<'a> {
    version: u32,
    workloads: Vec<&'a Line>,
}

/// What the webhook would know: the policy, what is recommended here, and of each namespace its constraints and owners.
fn informed<'a>(
    admission: &Snapshot,
    snapshots: &BTreeMap<String, ClusterSnapshot>,
    lines: impl Iterator<Item = &'a Line>,
    alive: impl Iterator<Item = (&'a Workload, &'a LiveWorkload)>,
) -> anyhow::Result<Snapshot> {
    let mut known = admission.clone();
    let workloads = lines.collect();
    let text = serde_json::to_vec(&Recommendations { version: VERSION, workloads })?;
    LoadedRecommendations::read(text.as_slice())?.replace_in(&mut known);
    for (name, snapshot) in snapshots {
        known.namespace_mut(name).constraints = Arc::new(snapshot.constraints.clone());
    }
    for (workload, live) in alive {
        if let Some((owner, owned)) = owned(live) {
            Arc::make_mut(&mut known.namespace_mut(&workload.namespace).owners).insert(owner, owned);
        }
    }
    Ok(known)
}

/// The controller of the newest pod, and the one above it.
fn owned(live: &LiveWorkload) -> Option<(Owner, Owned)> {
    let by = live.owner_of_owner.clone()?;
    let owner = controller_of(&live.newest)?;
    let uid = owner_uid(&live.newest, &owner)?.to_owned();
    Some((owner, Owned { uid, by }))
}

/// Puts what the webhook answers into the lines of a pod.
fn say(answered: &Creation, lines: &mut [Line], show_patch: bool) {
    let shown = show_patch && answered.denial.is_none() && !answered.ops.is_empty();
    let patch = shown.then(|| serde_json::to_value(&answered.ops).ok()).flatten();
    for line in lines.iter_mut() {
        line.patch.clone_from(&patch);
    }
    // Findings belong to the pod: its first line shows those that are of no container listed.
    for finding in &answered.findings {
        let at = lines.iter().position(|l| l.container == finding.container).unwrap_or(0);
        if let Some(line) = lines.get_mut(at) {
            line.findings.push(finding.clone());
        }
    }
    let Some(first) = lines.first_mut() else { return };
    first.notes.extend(answered.warnings.iter().filter(|warning| warning.contains(" for an input of ")).cloned());
    let is_left = |note: &String| note.starts_with("left as it is");
    if let Some(why) = answered.skipped.filter(|_| !first.notes.iter().any(is_left)) {
        first.notes.push(format!("admission leaves the pod as it comes: {why}"));
    }
}

/// Lines of a workload that has a pod (or a template) to look at.
fn live_lines(
    workload: &Workload,
    mut histories: BTreeMap<String, History>,
    live: &LiveWorkload,
    constraints: &Constraints,
    policy: &SizingPolicy,
) -> Vec<Line> {
    let containers = containers_of(live);
    for name in containers.keys() {
        if does_the_work(workload.kind, name) && live.identity.is_main(name) {
            histories.entry(name.clone()).or_default();
        }
    }
    histories.retain(|name, _| live.identity.is_main(name) || !containers.contains_key(name));
    let wanted: BTreeMap<String, ContainerResources> = histories
        .iter()
        .filter(|(name, _)| containers.contains_key(*name))
        .map(|(name, history)| {
            let wanted = in_pod(workload.kind, history, containers.get(name), policy, &heaps_of(live, name));
            (name.clone(), wanted)
        })
        .collect();
    let pod = PodSpec::of_pod(&live.newest).ok();
    let fitted = pod.as_ref().map(|p| fit_pod(p, Some(workload.kind), &wanted, constraints));
    histories
        .iter()
        .map(|(name, history)| {
            let key = WorkloadKey { workload: workload.clone(), container: name.clone() };
            let current = containers.get(name).copied();
            let fitted_one = || -> Option<Fitted> {
                let fitted = fitted.as_ref()?;
                match &fitted.skipped {
                    Some(skip) => Some(Fitted::unchanged(current?, Some(skip.clone()))),
                    None => fitted.containers.get(name).cloned(),
                }
            };
            let heaps = heaps_of(live, name);
            let mut line = Line::new(&key, history, current, policy, constraints, &heaps, |_| fitted_one());
            line.live_pods = Some(live.pods);
            line
        })
        .collect()
}

fn containers_of(live: &LiveWorkload) -> BTreeMap<String, ContainerResources> {
    let Ok(pod) = PodSpec::of_pod(&live.newest) else { return BTreeMap::new() };
    pod.containers()
        .filter(|c| c.slot == crate::policy::Slot::Main)
        .filter_map(|c| Some((c.name.to_owned(), ContainerResources::of_container(c.json).ok()?)))
        .collect()
}

/// The heap that the newest pod gives its JVM, where it says so.
fn heaps_of(live: &LiveWorkload, container: &str) -> KnownHeaps {
    let Ok(pod) = PodSpec::of_pod(&live.newest) else { return KnownHeaps::default() };
    let heap = pod.containers().find(|c| c.name == container).and_then(|c| spark_executor_heap(c.json));
    KnownHeaps { of_pod_mib: heap.map(|heap| heap.bytes_rounded_up().div_ceil(1 << 20)), ..KnownHeaps::default() }
}

/// What the next pod should have: a Spark pod has its heap in it.
fn in_pod(
    kind: Kind,
    history: &History,
    current: Option<&ContainerResources>,
    policy: &SizingPolicy,
    heaps: &KnownHeaps,
) -> ContainerResources {
    let Wanted { sizing, mut size, spark, .. } = Wanted::of(kind, history, current.copied(), policy, heaps);
    if let Some(spark) = spark {
        let total = Quantity::from_bytes(spark.divided().with_heap(heaps.of_pod_mib) << 20);
        size.set(Resource::Memory, Pair { request: Some(total), limit: Some(total) });
    } else if matches!((&sizing.memory, &sizing.cpu), (Estimate::Unknown(_), Estimate::Unknown(_))) {
        return ContainerResources::default();
    }
    size
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use base64::Engine;

    use super::*;
    use crate::admission::{Entry, Op, answer, apply};
    use crate::history::{JvmUse, MemoryUse, Outcome as RunOutcome, PeakSource, Resources, Run};
    use crate::policy::Policy;
    use crate::recommendation::SparkLine;
    use crate::workload::{IdentityRules, identify, pod_facts};

    use crate::quantity::MIB;

    fn run(number: i64, peak_mib: u64, limit_mib: u64) -> Run {
        Run {
            pod: format!("join-exec-{number}"),
            uid: None,
            started_ms: number * 86_400_000,
            ended_ms: number * 86_400_000 + 600_000,
            memory: Some(MemoryUse { peak_bytes: peak_mib * MIB, source: PeakSource::Cgroup, samples: 20 }),
            cpu: None,
            resources: Resources {
                memory_request_bytes: Some(limit_mib * MIB),
                memory_limit_bytes: Some(limit_mib * MIB),
                ..Resources::default()
            },
            outcome: RunOutcome::Completed,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: None,
        }
    }

    fn live(newest: serde_json::Value) -> LiveWorkload {
        let identity = identify(&pod_facts(&newest, "etl").unwrap(), &IdentityRules::default()).unwrap();
        LiveWorkload { pods: 1, newest, identity, owner_of_owner: None }
    }

    /// The first line of a pod with this history, with its patch.
    fn first_line(live: LiveWorkload, container: &str, history: History) -> Line {
        let workload = live.identity.workload.clone();
        let key = WorkloadKey { workload: workload.clone(), container: container.to_owned() };
        let snapshot = ClusterSnapshot { workloads: [(workload, live)].into(), ..ClusterSnapshot::default() };
        let snapshots = [("etl".to_owned(), snapshot)].into();
        let histories = [(key, history)].into();
        lines(&snapshots, histories, &SizingPolicy::default(), &Snapshot::default(), true).remove(0)
    }

    /// 1000 MiB per GB of input: the next run gets what is enough for any, a pod that says its input what it needs.
    #[rstest]
    #[case::it_says_nothing(None, None)]
    #[case::small(Some("2G"), Some(3000))]
    #[case::larger_than_any_seen(Some("2T"), None)]
    #[case::not_readable(Some("much"), None)]
    fn a_pod_that_says_its_input_is_told_what_is_enough_for_that(
        #[case] said: Option<&str>,
        #[case] below: Option<u64>,
    ) {
        let memory = json!({"memory": "64Gi"});
        let mut newest = json!({
            "metadata": {"name": "load-1-x", "namespace": "etl", "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "load-29000000", "uid": "1", "controller": true}]},
            "spec": {"containers": [{"name": "main", "resources": {"requests": memory, "limits": memory}}]},
        });
        if let Some(said) = said {
            newest["metadata"]["annotations"] = json!({"podfit.dev/input-bytes": said});
        }
        let mut history = History::default();
        history.add_all((0..40_i64).map(|number| {
            let input = 1 + number.unsigned_abs() % 10;
            Run { input_bytes: Some(input as f64 * 1e9), ..run(number, 1000 * input, 64 << 10) }
        }));
        let line = &first_line(live(newest), "main", history);
        let mib = |size: Quantity| size.bytes_rounded_up() / MIB;
        assert!(mib(line.recommended.memory_limit.unwrap()) > 10_000, "{line:#?}");
        assert_eq!(
            line.notes.iter().any(|note| note.contains("memory is that for an input of 2G")),
            below.is_some(),
            "{line:#?}"
        );
        let patch = line.patch.as_ref().unwrap().as_array().unwrap();
        let limit = patch.iter().find_map(|op| {
            let value = &op["value"];
            value
                .pointer("/limits/memory")
                .or(op["path"].as_str()?.ends_with("limits/memory").then_some(value))?
                .as_str()
        });
        let given = mib(limit.unwrap().parse().unwrap());
        assert_eq!(given < below.unwrap_or(10_000), below.is_some(), "{given}: {patch:#?}");
    }

    /// What is said of a live pod is what is said of its history alone, and what admission would give the pod is told.
    #[rstest]
    #[case::a_heap_that_its_size_does_not_tell("2g", 2048, Some(1000))]
    #[case::a_heap_that_its_size_tells("4g", 4096, None)]
    #[case::a_heap_that_is_to_shrink("4g", 4096, Some(1600))]
    fn there_is_one_answer(#[case] heap: &str, #[case] heap_mib: u64, #[case] used_mib: Option<u64>) {
        let memory = json!({"memory": "4505Mi"});
        let newest = json!({
            "metadata": {"name": "join-exec-1", "namespace": "etl", "labels": {
                "spark-role": "executor", "spark-app-name": "join", "spark-exec-id": "1"}},
            "spec": {"containers": [{"name": "spark-kubernetes-executor",
                "env": [{"name": "SPARK_EXECUTOR_MEMORY", "value": heap}],
                "resources": {"requests": memory, "limits": memory}}]},
        });
        let mut history = History::default();
        history.add_all((0..12).map(|number| Run {
            jvm: Some(Box::new(JvmUse {
                heap_bytes: Some(heap_mib * MIB),
                heap_peak_bytes: used_mib.map(|mib| mib * MIB),
                others_peak_bytes: used_mib.map(|_| 0),
                gc_share: used_mib.map(|_| 0.01),
                ..JvmUse::default()
            })),
            ..run(number, 1500, 4505)
        }));
        let live = live(newest);
        let key =
            WorkloadKey { workload: live.identity.workload.clone(), container: "spark-kubernetes-executor".to_owned() };
        let (policy, nowhere) = (SizingPolicy::default(), Constraints::default());
        let of_history = Line::of_history(&key, &history, &policy, &nowhere, &KnownHeaps::default());
        let of_pod = &first_line(live, &key.container, history);
        assert_eq!(of_pod.recommended, of_history.recommended, "{of_pod:#?}");
        let spark = |line: &Line| line.spark.as_ref().map(SparkLine::divided).unwrap();
        assert_eq!(spark(of_pod), spark(&of_history));
        assert_eq!(spark(of_pod).heap_now_mib, heap_mib);
        let shrinks = spark(of_pod).heap_mib < heap_mib;
        assert_eq!(shrinks, used_mib.is_some(), "{of_pod:#?}");
        assert_eq!(of_pod.notes.iter().any(|note| note.contains("the heap is fixed when a pod is made")), shrinks);
        if let Some(patch) = &of_pod.patch {
            assert!(!patch.to_string().contains(&format!("{}Mi", spark(of_pod).total_mib())) || !shrinks, "{patch:#}");
        }
    }

    /// A pod of a kind that the rules and the sizing look at in different ways.
    fn next_pod(which: &str) -> serde_json::Value {
        let memory = json!({"memory": "64Gi"});
        let mut pod = json!({
            "metadata": {"name": "load-1-x", "namespace": "etl", "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "load-29000000", "uid": "1", "controller": true}]},
            "spec": {"containers": [{"name": "main", "image": "registry.example/load:1",
                "resources": {"requests": memory, "limits": memory}}]},
        });
        match which {
            "opted-out" => pod["metadata"]["annotations"] = json!({"podfit.dev/resize": "off"}),
            "latest" => pod["spec"]["containers"][0]["image"] = json!("registry.example/load"),
            "input" => pod["metadata"]["annotations"] = json!({"podfit.dev/input-bytes": "2G"}),
            "service" => {
                pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet",
                    "name": "load", "uid": "1", "controller": true}]);
            }
            "too-many" => {
                let wrong = |n: u32| json!({"name": format!("c{n}"), "image": "a"});
                pod["spec"]["initContainers"] = (0..300).map(wrong).collect();
            }
            _ => {}
        }
        pod
    }

    /// What is shown is what the webhook answers to the same pod, by the same policy and by the recommendations that
    /// are shown: those are read as `podfit serve` reads them.
    #[rstest]
    fn what_is_shown_is_what_the_webhook_answers(
        #[values("plain", "opted-out", "latest", "input", "service", "too-many")] which: &str,
        #[values(
            "",
            "rollout: {mode: recommend}",
            "rollout: {mode: canary, canaryPercent: 50}",
            "resizing: stopped",
            "services: sized",
            "bounds: {memory: {floor: 20Gi}}",
            "rules: {modes: {latest-tag: warn, missing-resources: enforce}}"
        )]
        policy: &str,
    ) {
        let mut history = History::default();
        history.add_all((0..40_i64).map(|number| {
            let input = 1 + number.unsigned_abs() % 10;
            Run { input_bytes: Some(input as f64 * 1e9), ..run(number, 1000 * input, 64 << 10) }
        }));
        let pod = next_pod(which);
        let live = live(pod.clone());
        let workload = live.identity.workload.clone();
        let snapshot = ClusterSnapshot { workloads: [(workload.clone(), live)].into(), ..ClusterSnapshot::default() };
        let key = WorkloadKey { workload, container: "main".to_owned() };
        let mut admission = Snapshot::default();
        admission.set_policy(Policy::from_yaml(policy).unwrap());
        let snapshots = [("etl".to_owned(), snapshot)].into();
        let lines = lines(&snapshots, [(key, history)].into(), &SizingPolicy::default(), &admission, true);
        let shown = serde_json::to_value(&lines[0]).unwrap();

        let document = json!({"version": VERSION, "workloads": [shown]}).to_string();
        LoadedRecommendations::read(document.as_bytes()).unwrap().replace_in(&mut admission);
        let review = |object: &serde_json::Value| {
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u",
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "etl",
                "operation": "CREATE", "userInfo": {"username": "system:serviceaccount:etl:x"}, "object": object}})
            .to_string()
        };
        let said = |entry, object: &serde_json::Value| -> serde_json::Value {
            let reply = answer(entry, review(object).as_bytes(), &admission);
            serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()["response"].clone()
        };
        let sized = said(Entry::Mutate, &pod);
        let patch = sized["patch"].as_str().map(|text| base64::engine::general_purpose::STANDARD.decode(text).unwrap());
        let ops: Vec<Op> = patch.map(|ops| serde_json::from_slice(&ops).unwrap()).unwrap_or_default();
        let mut patched = pod.clone();
        apply(&mut patched, &ops).unwrap();
        let judged = said(Entry::Validate, &patched);
        let denied = judged["allowed"] == false;
        let expected = (!denied && !ops.is_empty()).then(|| serde_json::to_value(&ops).unwrap());
        assert_eq!(shown.get("patch"), expected.as_ref(), "{shown:#}");
        let of_mode = |mode: &str| shown["findings"].as_array().unwrap().iter().filter(|f| f["mode"] == mode).count();
        assert_eq!(of_mode("enforce") > 0, denied, "{judged:#} {:#}", shown["findings"]);
        if !denied {
            let warnings = judged["warnings"].as_array().map_or(0, Vec::len);
            assert_eq!(of_mode("warn"), warnings, "{judged:#} {:#}", shown["findings"]);
        }
    }
}
