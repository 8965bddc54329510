"""Pods as Airflow makes them: the KubernetesExecutor's worker, the KubernetesPodOperator, the KubernetesJobOperator.

The ids come from real DAGs, the pods from the provider's own code, the stored form from the API server. No
scheduler and no database: the executor's request builder and the operators' request builders are called as they are.
"""

import os
import tempfile
import uuid
from types import SimpleNamespace

HOME = tempfile.mkdtemp(prefix="podfit-airflow-")
TEMPLATE = os.path.join(HOME, "worker.yaml")
KUBECONFIG = os.environ.get("PODFIT_ENGINES_KUBECONFIG", "")
os.environ.update(
    AIRFLOW_HOME=HOME,
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
    AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE="airflow",
    AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE=TEMPLATE,
    AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY="apache/airflow",
    AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG="3.3.2",
    AIRFLOW_CONN_KUBERNETES_DEFAULT="kubernetes://",
)
with open(TEMPLATE, "w") as file:
    file.write(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: placeholder, labels: {tier: airflow, component: worker}}\n"
        "spec:\n  restartPolicy: Never\n  containers:\n"
        "  - {name: base, image: placeholder, resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 2Gi}}}\n"
        "  - {name: git-sync, image: registry.example/git-sync:4, resources: {requests: {memory: 64Mi}}}\n"
    )

import common  # noqa: E402
from airflow.executors.workloads import BundleInfo, ExecuteTask, TaskInstanceDTO  # noqa: E402
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import KubernetesJob  # noqa: E402
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_utils import AirflowKubernetesScheduler  # noqa: E402
from airflow.providers.cncf.kubernetes.kube_config import KubeConfig  # noqa: E402
from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator  # noqa: E402
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # noqa: E402
from airflow.sdk import DAG, TaskGroup  # noqa: E402
from kubernetes.client import models as k8s  # noqa: E402

RUN1, RUN2 = "scheduled__2026-11-21T02:00:00+00:00", "scheduled__2026-11-22T02:00:00+00:00"
MANUAL = "manual__2026-11-22T09:14:03.271828+00:00"
LONG = "warehouse_customer_lifetime_value_recompute_for_every_region_and_every_channel"
BIG = k8s.V1ResourceRequirements(requests={"cpu": "1", "memory": "2Gi"}, limits={"memory": "4Gi"})


def executor(dag, task, run, attempt=1, index=-1, override=None, airflow2=False):
    """The request that the KubernetesExecutor would send for one task instance."""
    scheduler = object.__new__(AirflowKubernetesScheduler)  # without the watcher processes
    scheduler.kube_config = KubeConfig()
    scheduler.namespace = "airflow"
    scheduler.scheduler_job_id = "2"
    scheduler.supports_task_instance_uuid = False
    instance = TaskInstanceDTO(
        id=uuid.uuid4(), dag_version_id=uuid.uuid4(), dag_id=dag, task_id=task, run_id=run, try_number=attempt,
        map_index=index, pool_slots=1, priority_weight=1,
    )  # fmt: skip
    if airflow2:
        command = ["airflow", "tasks", "run", dag, task, run, "--local", "--subdir", "DAGS_FOLDER/etl.py"]
    else:
        log = f"dag_id={dag}/run_id={run}/task_id={task}/attempt={attempt}.log"
        bundle = BundleInfo(name="dags-folder")
        command = [ExecuteTask(token="", dag_rel_path="etl.py", log_path=log, bundle_info=bundle, ti=instance)]
    return scheduler._build_pod_request(KubernetesJob(instance.key, command, override, None))


def context(operator, run, attempt, index):
    """What the operators read of a task's context."""
    known = SimpleNamespace(
        dag_id=operator.dag.dag_id, task_id=operator.task_id, run_id=run, try_number=attempt, map_index=index
    )
    return {"ti": known, "task_instance": known, "dag": operator.dag, "run_id": run, "task": operator}


def operator(kind, dag, task, group=None, **arguments):
    """A task of a DAG."""
    arguments = {
        "namespace": "airflow",
        "image": "registry.example/etl:7",
        "config_file": KUBECONFIG,
        "in_cluster": False,
    } | arguments
    with DAG(dag_id=dag):
        if group:
            with TaskGroup(group):
                return kind(task_id=task, **arguments)
        return kind(task_id=task, **arguments)


def pod_operator(dag, task, run, attempt=1, index=-1, group=None, **arguments):
    """The request that a KubernetesPodOperator would send."""
    made = operator(KubernetesPodOperator, dag, task, group, **arguments)
    return made.build_pod_request_obj(context(made, run, attempt, index))


def job_operator(dag, task, run, attempt=1, **arguments):
    """The Job that a KubernetesJobOperator would send."""
    made = operator(KubernetesJobOperator, dag, task, **arguments)
    return made.build_job_request_obj(context(made, run, attempt, -1))


def run():
    """Makes all of them."""
    cluster = common.Cluster("airflow")

    def keep(name, pod):
        common.write("airflow", name, cluster.submit(pod))

    sales, extract = "nightly_sales_etl", "extract_orders"
    keep("executor-run1-try1", executor(sales, extract, RUN1))
    keep("executor-run1-try2", executor(sales, extract, RUN1, 2))
    keep("executor-run2-try1", executor(sales, extract, RUN2))
    keep("executor-run2-requeued", executor(sales, extract, RUN2))
    keep("executor-manual-run", executor(sales, extract, MANUAL, 3))
    keep("executor-airflow2-arguments", executor(sales, extract, RUN2, airflow2=True))
    keep("executor-same-task-other-dag", executor("weekly_sales_etl", extract, RUN1))
    keep("executor-same-name-a", executor("sales", "etl_load", RUN1))
    keep("executor-same-name-b", executor("sales_etl", "load", RUN1))
    for index in (0, 11):
        keep(f"executor-mapped-{index}-run1", executor("scoring", "score_region", RUN1, index=index))
    keep("executor-mapped-0-run2-try2", executor("scoring", "score_region", RUN2, 2, 0))
    for run_number, when in enumerate((RUN1, RUN2), 1):
        keep(f"executor-long-a-run{run_number}", executor(LONG, f"{LONG}_stage_a", when))
        keep(f"executor-long-b-run{run_number}", executor(LONG, f"{LONG}_stage_b", when))
        keep(f"executor-group-staging-run{run_number}", executor("lake", "staging.load", when))
        keep(f"executor-odd-accent-run{run_number}", executor("crm.export-v2", "café", when))
    keep("executor-long-dag-only", executor(f"{LONG}_v2", f"{LONG}_stage_a", RUN1))
    keep("executor-group-marts", executor("lake", "marts.load", RUN1))
    keep("executor-odd-plain", executor("crm.export-v2", "caf", RUN1))
    keep("executor-odd-edges", executor("_private", "load_", RUN1))
    keep("executor-odd-edges-plain", executor("private", "load", RUN1))
    keep("executor-digits-2024", executor("backfill_2024", "load", RUN1))
    keep("executor-digits-2025", executor("backfill_2025", "load", RUN1))
    sidecar = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(labels={"team": "sales"}, annotations={"example.org/owner": "sales"}),
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base", resources=BIG)]),
    )
    keep("executor-pod-override", executor(sales, "transform_orders", RUN1, override=sidecar))

    for run_number, when in enumerate((RUN1, RUN2), 1):
        keep(f"kpo-run{run_number}-try1", pod_operator(sales, "aggregate", when, container_resources=BIG))
        keep(
            f"kpo-fixed-name-run{run_number}",
            pod_operator("finance", "close_books", when, name="close-books", random_name_suffix=False),
        )
        keep(
            f"kpo-named-run{run_number}",
            pod_operator("finance", "reconcile", when, name="dbt-runner", labels={"app": "dbt"}),
        )
        keep(
            f"kpo-xcom-run{run_number}",
            pod_operator(sales, "count_rows", when, do_xcom_push=True, on_finish_action="keep_pod"),
        )
        keep(f"kpo-long-run{run_number}", pod_operator(LONG, f"{LONG}_stage_a", when))
        keep(
            f"kpo-group-run{run_number}",
            pod_operator("lake", "compact", when, group="marts", base_container_name="spark"),
        )
        keep(f"kpo-mapped-{run_number}", pod_operator("scoring", "score_model", RUN1, index=run_number))
    keep("kpo-run1-try2", pod_operator(sales, "aggregate", RUN1, 2, container_resources=BIG))
    keep("executor-of-the-kpo-task", executor(sales, "aggregate", RUN1))
    keep("kpo-same-task-other-dag", pod_operator("weekly_sales_etl", "aggregate", RUN1))
    keep(
        "kpo-same-pod-name-other-task",
        pod_operator("finance", "snapshot", RUN1, name="dbt-runner", labels={"app": "dbt"}),
    )
    keep("kpo-long-other", pod_operator(LONG, f"{LONG}_stage_b", RUN1))
    full = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="template-name", labels={"spark-role": "driver"}),
        spec=k8s.V1PodSpec(
            init_containers=[k8s.V1Container(name="fetch", image="registry.example/fetch:1")],
            containers=[k8s.V1Container(name="base"), k8s.V1Container(name="proxy", image="registry.example/proxy:1")],
        ),
    )
    keep("kpo-full-pod-spec", pod_operator("lake", "spark_submit", RUN1, full_pod_spec=full))

    for run_number, when in enumerate((RUN1, RUN2), 1):
        job = job_operator("lake", "rebuild_index", when, name="rebuild-index", backoff_limit=1)
        common.write("airflow", f"job-operator-run{run_number}", cluster.job_pods(job)[0])
    common.write(
        "airflow",
        "job-operator-try2",
        cluster.job_pods(job_operator("lake", "rebuild_index", RUN2, 2, name="rebuild-index"))[0],
    )


if __name__ == "__main__":
    common.main(run)
