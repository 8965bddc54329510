//! The kinds of operators whose pods are judged, beside those that have a file of their own: a row each.
//! A pod spec is found by its shape, wherever it stands in an object of these groups; a row says of which groups, and
//! where their objects name an image without a pod. To add a kind, add a row.

/// Kinds of one API group.
pub(super) struct Row {
    /// The API group.
    pub group: &'static str,
    /// The kinds; none means all of the group.
    pub kinds: &'static [&'static str],
    /// Where images stand that the operator puts into pods of its own; `*` stands for every key or item.
    pub images: &'static [&'static str],
    /// Whether the pod specs are whole; the others are laid over what the operator makes.
    pub whole: bool,
}

const fn whole(group: &'static str, kinds: &'static [&'static str]) -> Row {
    Row { group, kinds, images: &[], whole: true }
}

const fn images(group: &'static str, kinds: &'static [&'static str], images: &'static [&'static str]) -> Row {
    Row { group, kinds, images, whole: false }
}

/// Every row; the first that fits counts.
pub(super) const ROWS: &[Row] = &[
    whole("ray.io", &[]),
    Row {
        group: "trainer.kubeflow.org",
        kinds: &["TrainJob"],
        images: &["/spec/trainer/image", "/spec/initializer/*/image"],
        whole: false,
    },
    whole("trainer.kubeflow.org", &[]),
    whole("kubeflow.org", &[]),
    whole("jobset.x-k8s.io", &["JobSet"]),
    whole("leaderworkerset.x-k8s.io", &["LeaderWorkerSet"]),
    whole("batch.volcano.sh", &[]),
    whole("argoproj.io", &["Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun", "Experiment"]),
    images("argoproj.io", &["Sensor", "EventSource", "EventBus", "WorkflowTaskSet"], &[]),
    whole("serving.knative.dev", &[]),
    whole("sources.knative.dev", &[]),
    images("serving.kserve.io", &[], &["/spec/*/model/image", "/spec/*/*/image"]),
    whole("keda.sh", &["ScaledJob"]),
    images("apps.kruise.io", &["SidecarSet", "ImagePullJob", "NodeImage"], &["/spec/image"]),
    whole("apps.kruise.io", &[]),
    Row {
        group: "actions.summerwind.dev",
        kinds: &[],
        images: &["/spec/template/spec/image", "/spec/image", "/spec/template/spec/dockerImage"],
        whole: false,
    },
    // The runner's image is in the template.
    whole("actions.github.com", &[]),
    whole("kubernetes.dask.org", &[]),
    whole("apps.openshift.io", &["DeploymentConfig"]),
    Row {
        group: "sparkoperator.k8s.io",
        kinds: &["SparkConnect"],
        images: &["/spec/image", "/spec/server/image", "/spec/executor/image"],
        whole: false,
    },
    Row {
        group: "spark.apache.org",
        kinds: &["SparkCluster"],
        images: &[
            "/spec/sparkConf/spark.kubernetes.container.image",
            "/spec/sparkConf/spark.kubernetes.driver.container.image",
            "/spec/sparkConf/spark.kubernetes.executor.container.image",
        ],
        whole: true,
    },
    images("flinkoperator.k8s.io", &[], &["/spec/image/name"]),
    images("flinkoperator.k8s.io.lyft.com", &[], &["/spec/image"]),
    images("numaflow.numaproj.io", &[], &[]),
    images("postgresql.cnpg.io", &["Cluster"], &["/spec/imageName"]),
    images("postgresql.cnpg.io", &["ImageCatalog", "ClusterImageCatalog"], &["/spec/images/*/image"]),
    images("postgresql.cnpg.io", &[], &[]),
    images("acid.zalan.do", &["postgresql"], &["/spec/dockerImage"]),
    images(
        "kafka.strimzi.io",
        &[],
        &[
            "/spec/image",
            "/spec/kafka/image",
            "/spec/zookeeper/image",
            "/spec/entityOperator/*/image",
            "/spec/kafkaExporter/image",
            "/spec/cruiseControl/image",
        ],
    ),
    images(
        "monitoring.coreos.com",
        &["Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"],
        &["/spec/image"],
    ),
    images("elasticsearch.k8s.elastic.co", &[], &["/spec/image"]),
    images("kibana.k8s.elastic.co", &[], &["/spec/image"]),
    images("rabbitmq.com", &["RabbitmqCluster"], &["/spec/image"]),
    images("druid.apache.org", &[], &["/spec/image"]),
    whole("clickhouse.altinity.com", &[]),
    images("trino.stackable.tech", &[], &["/spec/image/custom"]),
    images("spark.stackable.tech", &[], &["/spec/sparkImage/custom", "/spec/image"]),
    whole("machinelearning.seldon.io", &[]),
    images("openfaas.com", &["Function"], &["/spec/image"]),
    images("fission.io", &["Environment"], &["/spec/runtime/image", "/spec/builder/image"]),
    whole("workload.codeflare.dev", &["AppWrapper"]),
    whole("kueue.x-k8s.io", &["Workload"]),
    // Objects inside others: each is looked at as its own kind.
    whole("template.openshift.io", &["Template"]),
    whole("kubernetes.crossplane.io", &["Object"]),
];

/// Groups whose objects make no pods, whatever they hold: patterns, schemas, figures, pointers to other objects.
const NO_PODS: [&str; 26] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "autoscaling",
    "autoscaling.k8s.io",
    "cert-manager.io",
    "certificates.k8s.io",
    "constraints.gatekeeper.sh",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "external-secrets.io",
    "gateway.networking.k8s.io",
    "image.toolkit.fluxcd.io",
    "kustomize.config.k8s.io",
    "kyverno.io",
    "metrics.k8s.io",
    "mutations.gatekeeper.sh",
    "networking.k8s.io",
    "podfit.dev",
    "policies.kubewarden.io",
    "policies.kyverno.io",
    "policy",
    "rbac.authorization.k8s.io",
    "source.toolkit.fluxcd.io",
    "storage.k8s.io",
    "templates.gatekeeper.sh",
];

/// The row of a kind.
pub(super) fn row(group: &str, kind: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.group == group && (row.kinds.is_empty() || row.kinds.contains(&kind)))
}

/// Whether objects of a group make no pods.
pub(super) fn makes_no_pods(group: &str) -> bool {
    NO_PODS.contains(&group)
}

/// The kinds that are judged, for people: group and kinds.
pub fn judged() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    ROWS.iter().map(|row| (row.group, row.kinds))
}
