//! Pods as cAdvisor and kube-state-metrics tell of them.

use super::series::{History, Labels, labels, with};

pub const MIB: f64 = 1_048_576.0;
pub const GIB: f64 = 1024.0 * MIB;
pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;
/// 2026-11-16T00:00:00Z, when the histories begin.
pub const BEGIN: i64 = 1_794_787_200;

/// Requests and limits of a container; `None` = not set.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    pub memory_limit: Option<f64>,
}

impl Asks {
    /// One core, and so much memory as request and limit.
    pub const fn memory(bytes: f64) -> Self {
        Self { cpu: Some(1.0), memory: Some(bytes), memory_limit: Some(bytes) }
    }
}

/// A pod; what is told of it is said by its methods. Times are seconds since the epoch.
#[derive(Clone, Debug)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// The owner's kind and name.
    pub owner: (String, String),
    /// The owner's own owner, where it has one.
    pub owner_of_owner: Option<(String, String)>,
    pub start: i64,
    pub end: i64,
    /// Seconds between two scrapes.
    pub interval: usize,
    /// Labels on every series of cAdvisor, beside its own.
    pub on_cadvisor: Labels,
    /// Labels on every series of kube-state-metrics, beside its own.
    pub on_objects: Labels,
    /// Whether cAdvisor's series have the label `id`, and those of kube-state-metrics the label `uid`.
    pub has_id: bool,
    pub has_uid: bool,
    /// How long kube-state-metrics tells of it after its end.
    pub stays: i64,
}

impl Pod {
    /// A pod without a controller.
    pub fn new(namespace: &str, name: &str, start: i64, end: i64) -> Self {
        let number = name.bytes().fold(start.unsigned_abs(), |n, b| n.wrapping_mul(31).wrapping_add(u64::from(b)));
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: format!(
                "{:08x}-0000-4000-8000-{:012x}",
                start.unsigned_abs() & 0xffff_ffff,
                number & 0xffff_ffff_ffff
            ),
            owner: ("<none>".to_owned(), "<none>".to_owned()),
            owner_of_owner: None,
            start,
            end,
            interval: 30,
            on_cadvisor: Labels::new(),
            on_objects: Labels::new(),
            has_id: true,
            has_uid: true,
            stays: 300,
        }
    }

    /// A run of a CronJob.
    pub fn of_cronjob(namespace: &str, cronjob: &str, start: i64, end: i64) -> Self {
        let job = format!("{cronjob}-{}", start / 60);
        let mut pod = Self::new(namespace, &format!("{job}-bcx7k"), start, end);
        pod.owner = ("Job".to_owned(), job);
        pod.owner_of_owner = Some(("CronJob".to_owned(), cronjob.to_owned()));
        pod
    }

    /// The labels of cAdvisor's series of a container in its n-th life.
    pub fn container(&self, container: &str, life: usize) -> Labels {
        let mut own = labels([("namespace", &self.namespace), ("pod", &self.name), ("container", container)]);
        own.extend(labels([("node", "n1"), ("image", "registry.local/work:1")]));
        if self.has_id {
            let pod = self.uid.replace('-', "_");
            let hash = container.bytes().fold(life as u64 + 1, |n, b| n.wrapping_mul(131).wrapping_add(u64::from(b)));
            let id = format!("/kubepods.slice/kubepods-pod{pod}.slice/cri-containerd-{hash:064x}.scope");
            own.insert("id".to_owned(), id);
        }
        own.extend(self.on_cadvisor.clone());
        own
    }

    /// The labels of the pod's own series of kube-state-metrics.
    pub fn object(&self) -> Labels {
        let mut own = labels([("namespace", &self.namespace), ("pod", &self.name)]);
        if self.has_uid {
            own.insert("uid".to_owned(), self.uid.clone());
        }
        own.extend(self.on_objects.clone());
        own
    }

    /// What cAdvisor measures of a container's n-th life between two times: memory by seconds since its start, and
    /// cores.
    pub fn measure(
        &self,
        history: &mut History,
        (container, life): (&str, usize),
        (start, end): (i64, i64),
        memory: impl Fn(i64) -> f64,
        cores: f64,
    ) -> Labels {
        let own = self.container(container, life);
        for at in (start + 7..end).step_by(self.interval) {
            let lived = at - start;
            history.say("container_memory_working_set_bytes", &own, at, memory(lived).floor());
            history.say("container_cpu_usage_seconds_total", &own, at, cores * lived as f64);
            history.say("container_start_time_seconds", &own, at, start as f64);
        }
        own
    }

    /// When kube-state-metrics is scraped, first and last time and step.
    fn scrapes(&self) -> (i64, i64, usize) {
        (self.start + 11, self.end + self.stays, self.interval)
    }

    /// What kube-state-metrics says of the pod and its owners, without its containers.
    pub fn exists(&self, history: &mut History) {
        let pod = self.object();
        let owned_by = |labels: &Labels, (kind, name): &(String, String)| {
            with(labels, [("owner_kind", kind), ("owner_name", name), ("owner_is_controller", "true")])
        };
        history.say_all("kube_pod_owner", &owned_by(&pod, &self.owner), self.scrapes(), 1.0);
        history.say_all("kube_pod_start_time", &pod, self.scrapes(), self.start as f64);
        if let Some(above) = &self.owner_of_owner {
            let (metric, name) = match self.owner.0.as_str() {
                "Job" => ("kube_job_owner", "job_name"),
                _ => ("kube_replicaset_owner", "replicaset"),
            };
            let mut owner = labels([("namespace", &self.namespace), (name, &self.owner.1)]);
            owner.extend(self.on_objects.clone());
            history.say_all(metric, &owned_by(&owner, above), self.scrapes(), 1.0);
        }
    }

    /// What it says that a container asks for, between two times.
    pub fn asks(&self, history: &mut History, container: &str, asks: Asks, (from, until): (i64, i64)) {
        self.asks_as(history, ("kube_pod_container", container), asks, (from, until));
    }

    /// The same in the metrics of init containers (`kube_pod_init_container`) or of others (`kube_pod_container`).
    pub fn asks_as(
        &self,
        history: &mut History,
        (prefix, container): (&str, &str),
        asks: Asks,
        (from, until): (i64, i64),
    ) {
        let own = with(&self.object(), [("container", container), ("node", "n1")]);
        let of = |resource, unit| with(&own, [("resource", resource), ("unit", unit)]);
        let said = [
            ("requests", of("cpu", "core"), asks.cpu),
            ("requests", of("memory", "byte"), asks.memory),
            ("limits", of("memory", "byte"), asks.memory_limit),
        ];
        for (what, labels, value) in said {
            if let Some(value) = value {
                let scrapes = (from + 11, until, self.interval);
                history.say_all(&format!("{prefix}_resource_{what}"), &labels, scrapes, value);
            }
        }
    }

    /// Why a container ended, from a time on.
    pub fn ended(&self, history: &mut History, container: &str, reason: &str, (from, until): (i64, i64)) {
        self.gives_reason(history, "kube_pod_container_status_terminated_reason", container, reason, (from, until));
    }

    /// Why the life before ended, between two times.
    pub fn last_ended(&self, history: &mut History, container: &str, reason: &str, (from, until): (i64, i64)) {
        self.gives_reason(
            history,
            "kube_pod_container_status_last_terminated_reason",
            container,
            reason,
            (from, until),
        );
    }

    fn gives_reason(
        &self,
        history: &mut History,
        metric: &str,
        container: &str,
        reason: &str,
        (from, until): (i64, i64),
    ) {
        let labels = with(&self.object(), [("container", container), ("reason", reason)]);
        history.say_all(metric, &labels, (from, until, self.interval), 1.0);
    }

    /// That the pod is complete, after its end.
    pub fn completed(&self, history: &mut History) {
        let after = (self.end + 11, self.end + self.stays, self.interval);
        history.say_all("kube_pod_completion_time", &self.object(), after, self.end as f64);
    }

    /// Everything of a pod with one container that runs once to its end: what it asks for all the time, why it ended,
    /// and when.
    pub fn ran(&self, history: &mut History, container: &str, asks: Asks, reason: &str) {
        self.exists(history);
        self.asks(history, container, asks, (self.start, self.end + self.stays));
        self.ended(history, container, reason, (self.end + 11, self.end + self.stays));
        self.completed(history);
    }
}

/// Starts of `n` nights at two o'clock.
pub fn nights(n: i64) -> impl Iterator<Item = i64> {
    (0..n).map(|night| BEGIN + night * DAY + 2 * HOUR)
}

/// Memory that climbs to its peak within the first third of a run, and stays there.
pub fn climbs(peak: f64, seconds: i64) -> impl Fn(i64) -> f64 {
    move |lived| peak * (0.5 + 1.5 * lived as f64 / seconds as f64).min(1.0)
}
