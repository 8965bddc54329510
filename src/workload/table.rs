//! The operators and platforms whose pods are named by labels: one row each. To add one, write a row.
//! Must not know how a row is read: `labelled` does. Label names are the projects' own API.

use super::row::{Row, Source};
use Source::{Exact, Group, LeaderOrWorker, Owner, Role, RolloutOf, Stem, StemBefore, Unnumbered};

/// Every row, in the order in which they are asked; the first that a pod belongs to counts.
pub(super) const ROWS: &[Row] = &[
    // Workflows and pipelines.
    Row {
        engine: "Tekton pipelines",
        key: "tekton",
        owners: &[],
        marks: &[&["tekton.dev/pipeline"], &["tekton.dev/pipelineTask"]],
        names: &[
            &[Stem("tekton.dev/pipeline")],
            &[Exact("tekton.dev/pipelineTask"), Exact("app.kubernetes.io/component")],
        ],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Tekton tasks",
        key: "taskrun",
        owners: &[("TaskRun", "tekton.dev")],
        marks: &[&["tekton.dev/taskRun"]],
        names: &[&[Exact("tekton.dev/task"), Exact("tekton.dev/clusterTask"), Stem("tekton.dev/taskRun")]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Flyte",
        key: "flyte",
        owners: &[("FlyteWorkflow", "flyte.lyft.com")],
        marks: &[&["execution-id", "node-id", "workflow-name"]],
        names: &[&[Exact("workflow-name")], &[Exact("task-name"), Exact("node-id")]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Metaflow",
        key: "metaflow",
        owners: &[],
        marks: &[&["metaflow/flow_name", "metaflow/step_name"]],
        names: &[&[Exact("metaflow/flow_name")], &[Exact("metaflow/step_name")]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Kestra",
        key: "kestra",
        owners: &[],
        marks: &[&["kestra.io/flow-id"]],
        names: &[&[Exact("kestra.io/namespace")], &[Exact("kestra.io/flow-id")], &[Exact("kestra.io/task-id")]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Numaflow",
        key: "numaflow",
        owners: &[("Vertex", "numaflow.numaproj.io"), ("MonoVertex", "numaflow.numaproj.io")],
        marks: &[&["numaflow.numaproj.io/vertex-name"], &["numaflow.numaproj.io/mono-vertex-name"]],
        names: &[
            &[Exact("numaflow.numaproj.io/pipeline-name"), Exact("numaflow.numaproj.io/mono-vertex-name"), Owner],
            &[Exact("numaflow.numaproj.io/vertex-name"), Exact("app.kubernetes.io/component")],
        ],
        roles: &[],
        suggest: &[],
    },
    // Distributed computation: every role of a cluster or a job has a size of its own.
    Row {
        engine: "Ray",
        key: "raycluster",
        owners: &[("RayCluster", "ray.io")],
        marks: &[&["ray.io/cluster"]],
        names: &[&[Stem("ray.io/cluster"), Owner]],
        roles: &[&[Role("ray.io/node-type")], &[Role("ray.io/group")]],
        suggest: &[],
    },
    Row {
        engine: "Katib",
        key: "katib",
        owners: &[],
        marks: &[&["katib.kubeflow.org/experiment"]],
        names: &[&[Stem("katib.kubeflow.org/experiment")]],
        roles: &[&[
            Role("training.kubeflow.org/replica-type"),
            Role("training.kubeflow.org/job-role"),
            Source::Text("trial"),
        ]],
        suggest: &[],
    },
    Row {
        engine: "Kubeflow MPI",
        key: "mpijob",
        owners: &[("MPIJob", "kubeflow.org")],
        marks: &[
            &["training.kubeflow.org/operator-name=mpi-operator"],
            &["training.kubeflow.org/job-role=launcher"],
            &["mpi-job-name"],
            &["mpi_job_name"],
        ],
        names: &[&[Stem("training.kubeflow.org/job-name"), Stem("mpi-job-name"), Stem("mpi_job_name"), Owner]],
        roles: &[&[
            Role("training.kubeflow.org/replica-type"),
            Role("training.kubeflow.org/job-role"),
            Role("mpi-job-role"),
            Role("mpi_role_type"),
            Role("replica-type"),
        ]],
        suggest: &[],
    },
    Row {
        engine: "Kubeflow training",
        key: Row::OWNERS_KIND,
        owners: &[
            ("PyTorchJob", "kubeflow.org"),
            ("TFJob", "kubeflow.org"),
            ("XGBoostJob", "kubeflow.org"),
            ("PaddleJob", "kubeflow.org"),
            ("MXJob", "kubeflow.org"),
            ("JAXJob", "kubeflow.org"),
        ],
        marks: &[],
        names: &[&[
            Stem("training.kubeflow.org/job-name"),
            Stem("pytorch-job-name"),
            Stem("tf-job-name"),
            Stem("job-name"),
            Owner,
        ]],
        roles: &[&[
            Role("training.kubeflow.org/replica-type"),
            Role("replica-type"),
            Role("pytorch-replica-type"),
            Role("tf-replica-type"),
            Role("job-role"),
        ]],
        suggest: &[],
    },
    Row {
        engine: "Volcano",
        key: "volcano",
        owners: &[("Job", "batch.volcano.sh")],
        marks: &[&["volcano.sh/job-name"]],
        names: &[&[Stem("volcano.sh/job-name"), Owner]],
        roles: &[&[Role("volcano.sh/task-spec")]],
        suggest: &[],
    },
    Row {
        engine: "LeaderWorkerSet",
        key: "leaderworkerset",
        owners: &[],
        marks: &[&["leaderworkerset.sigs.k8s.io/name"]],
        names: &[&[Exact("leaderworkerset.sigs.k8s.io/name")]],
        roles: &[&[LeaderOrWorker]],
        suggest: &[],
    },
    Row {
        engine: "JobSet",
        key: "jobset",
        owners: &[],
        marks: &[&["jobset.sigs.k8s.io/jobset-name"]],
        names: &[&[Stem("jobset.sigs.k8s.io/jobset-name")]],
        roles: &[&[Exact("jobset.sigs.k8s.io/replicatedjob-name")]],
        suggest: &[],
    },
    Row {
        engine: "Dask",
        key: "dask",
        owners: &[
            ("DaskCluster", "kubernetes.dask.org"),
            ("DaskWorkerGroup", "kubernetes.dask.org"),
            ("DaskJob", "kubernetes.dask.org"),
        ],
        marks: &[&["dask.org/cluster-name"]],
        names: &[&[Stem("dask.org/cluster-name")]],
        roles: &[
            &[Role("dask.org/component")],
            &[Group { label: "dask.org/workergroup-name", of: "dask.org/cluster-name" }, Source::Nothing],
        ],
        suggest: &[],
    },
    // Services that make a controller of Kubernetes anew for every version.
    Row {
        engine: "Knative Serving",
        key: "knative",
        owners: &[],
        marks: &[&["serving.knative.dev/service"], &["serving.knative.dev/configuration"]],
        names: &[&[Exact("serving.knative.dev/service"), Exact("serving.knative.dev/configuration")]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "OpenShift DeploymentConfig",
        key: "deploymentconfig",
        owners: &[],
        marks: &[&["deploymentconfig"]],
        names: &[&[Exact("deploymentconfig")]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "OpenShift deployer",
        key: "deploymentconfig",
        owners: &[],
        marks: &[&["openshift.io/deployer-pod-for.name"]],
        names: &[&[Unnumbered("openshift.io/deployer-pod-for.name")]],
        roles: &[&[Source::Text("deployer")]],
        suggest: &[],
    },
    Row {
        engine: "OpenShift BuildConfig",
        key: "buildconfig",
        owners: &[("Build", "build.openshift.io")],
        marks: &[&["openshift.io/build.name"], &["openshift.io/build-config.name"]],
        names: &[&[
            Exact("openshift.io/build-config.name"),
            Unnumbered("openshift.io/build.name"),
            Source::OwnerUnnumbered,
        ]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Argo Rollouts",
        key: "rollout",
        owners: &[],
        marks: &[&["rollouts-pod-template-hash"]],
        names: &[&[RolloutOf("rollouts-pod-template-hash")]],
        roles: &[],
        suggest: &[],
    },
    // Builds and their runners.
    Row {
        engine: "GitHub runner sets",
        key: "runnerset",
        owners: &[("EphemeralRunner", "actions.github.com")],
        marks: &[&["actions.github.com/scale-set-name", "actions-ephemeral-runner"], &["runner-pod"]],
        names: &[&[
            Exact("actions.github.com/scale-set-name"),
            StemBefore("runner-pod", "-runner-"),
            Source::OwnerStemBefore("-runner-"),
        ]],
        roles: &[&[Source::IfLabel("runner-pod", "workflow"), Source::Text("runner")]],
        suggest: &[],
    },
    Row {
        engine: "GitHub runner deployments",
        key: "runner",
        owners: &[("Runner", "actions.summerwind.dev")],
        marks: &[&["runner-deployment-name"]],
        names: &[&[Exact("runner-deployment-name"), Source::OwnerTwiceGenerated]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "GitLab runner",
        key: "gitlab",
        owners: &[],
        marks: &[&["project.runner.gitlab.com/name", "job.runner.gitlab.com/name"]],
        names: &[
            &[Exact("project.runner.gitlab.com/namespace")],
            &[Exact("project.runner.gitlab.com/name")],
            &[Exact("job.runner.gitlab.com/name")],
        ],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Drone",
        key: "drone",
        owners: &[],
        marks: &[&["io.drone", "io.drone.repo.name"]],
        names: &[&[Exact("io.drone.repo.namespace")], &[Exact("io.drone.repo.name")], &[Exact("io.drone.stage.name")]],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Prow",
        key: "prow",
        owners: &[],
        marks: &[&["prow.k8s.io/job"]],
        names: &[&[Exact("prow.k8s.io/job")]],
        roles: &[],
        suggest: &[],
    },
    // Databases that run Jobs beside their servers.
    Row {
        engine: "CloudNativePG",
        key: "cluster",
        owners: &[],
        marks: &[&["cnpg.io/cluster", "cnpg.io/jobRole"]],
        names: &[&[Exact("cnpg.io/cluster")]],
        roles: &[&[Role("cnpg.io/jobRole")]],
        suggest: &[],
    },
    // Pods that no label names: what to group them by.
    Row {
        engine: "GitLab runner",
        key: Row::NO_NAME,
        owners: &[],
        marks: &[&["project.runner.gitlab.com/name"], &["pod=runner-*"]],
        names: &[],
        roles: &[],
        suggest: &["project.runner.gitlab.com/namespace", "project.runner.gitlab.com/name", "pod"],
    },
    Row {
        engine: "JupyterHub",
        key: Row::NO_NAME,
        owners: &[],
        marks: &[&["hub.jupyter.org/username"]],
        names: &[],
        roles: &[],
        suggest: &["hub.jupyter.org/username", "hub.jupyter.org/servername"],
    },
    Row {
        engine: "Jenkins",
        key: Row::NO_NAME,
        owners: &[],
        marks: &[&["jenkins/label"], &["jenkins"]],
        names: &[],
        roles: &[],
        suggest: &[],
    },
    Row {
        engine: "Dask Gateway",
        key: Row::NO_NAME,
        owners: &[],
        marks: &[&["gateway.dask.org/cluster"]],
        names: &[],
        roles: &[],
        suggest: &["gateway.dask.org/instance", "app.kubernetes.io/component"],
    },
];

/// The labels and annotations that the rows read, marks among them; each once, in their order.
pub(super) fn labels() -> Vec<&'static str> {
    let marks =
        |row: &Row| row.marks.iter().flat_map(|all| all.iter()).map(|mark| mark.split('=').next().unwrap_or(mark));
    let mut labels = Vec::new();
    for row in ROWS {
        for key in marks(row).chain(row.labels()).chain(row.suggest.iter().copied()) {
            if !labels.contains(&key) {
                labels.push(key);
            }
        }
    }
    labels
}
