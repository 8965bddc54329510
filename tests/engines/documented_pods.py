"""Pods of engines that no registry serves as a runnable package here, in the form their documentation gives.

Nobody's controller made these. Standard library only; the names, labels and hashes follow the rules that the
engines document, so that a test reads the shape a cluster would show.
"""

import hashlib
import json
import uuid

import common

DAYS = (1795305600, 1795392000)  # 2026-11-22 and -23, 00:00 UTC: two scheduled runs
RUNS = ("x7k2p", "q9d5z")  # two suffixes of generateName


def uid(*parts):
    """A uid that stays the same when the file is made again."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


def pod(name, namespace, labels, containers, owner=None, annotations=None, **spec):
    """A pod with the fields that every engine sets."""
    meta = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations or None}
    if owner:
        api, kind, of = owner
        meta["ownerReferences"] = [
            {
                "apiVersion": api,
                "kind": kind,
                "name": of,
                "uid": uid(kind, namespace, of),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {"metadata": meta, "spec": {"restartPolicy": "Never", "containers": containers, **spec}}


def resources(cpu, memory):
    """Request = limit for memory, as Spark and Flink set it."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def env(**values):
    """The list form of environment variables."""
    return [{"name": k, "value": v} for k, v in values.items()]


# --- Argo Workflows -------------------------------------------------------------------------------------------


def fnv32a(text):
    """The hash Argo ends its pod names with."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def argo(file, workflow, node, template, layout="init", naming="v2", main=("main",), offloaded=False, **labels):
    """One pod of a workflow; `node` is the node's name after the workflow's."""
    node_name = workflow + node
    if node_name == workflow:
        name = node_id = workflow
    else:
        node_id = f"{workflow}-{fnv32a(node_name)}"
        name = node_id if naming == "v1" else f"{workflow}-{template}-{fnv32a(node_name)}"
    described = (
        "offloaded"
        if offloaded
        else json.dumps(
            {
                "name": template,
                "inputs": {},
                "outputs": {},
                "container": {"name": "", "image": "registry.example/etl:7", "command": ["run"]},
            }
        )
    )
    common_env = env(ARGO_NODE_ID=node_id, ARGO_INCLUDE_SCRIPT_OUTPUT="false", ARGO_DEADLINE="0001-01-01T00:00:00Z")

    def aux(called, verb):
        more = env(ARGO_TEMPLATE=described) if called in ("init", "supervisor") else []
        return {
            "name": called,
            "image": "argoproj/argoexec:v3.7.0",
            "command": ["argoexec", verb, "--loglevel", "info"],
            "env": env(ARGO_CONTAINER_NAME=called) + more + common_env,
        }

    mains = [
        {
            "name": c,
            "image": "registry.example/etl:7",
            "command": ["/var/run/argo/argoexec", "emissary", "--loglevel", "info", "--", "run"],
            "env": env(ARGO_CONTAINER_NAME=c) + common_env,
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
        }
        for c in main
    ]
    side = [aux("supervisor", "supervise")] if layout == "supervisor" else [aux("wait", "wait")]
    made = pod(
        name,
        "argo",
        {"workflows.argoproj.io/workflow": workflow, "workflows.argoproj.io/completed": "false", **labels},
        side + mains,
        ("argoproj.io/v1alpha1", "Workflow", workflow),
        {
            "kubectl.kubernetes.io/default-container": main[0],
            "workflows.argoproj.io/node-id": node_id,
            "workflows.argoproj.io/node-name": node_name,
        },
        serviceAccountName="argo",
        **({"initContainers": [aux("init", "init")]} if layout == "init" else {}),
    )
    common.write("documented/argo", file, made)


def argo_all():
    """CronWorkflow, WorkflowTemplate and generateName runs; loops, retries, layouts and namings."""
    for run, at in enumerate(DAYS, 1):
        argo(f"cron-extract-run{run}", f"nightly-etl-{at}", ".extract", "extract")
        argo(f"cron-load-run{run}", f"nightly-etl-{at}", ".load", "load")
        argo(f"cron-single-pod-run{run}", f"cleanup-{at}", "", "cleanup")
        argo(f"cron-extract-full-run{run}", f"nightly-etl-{at}", ".extract-full", "extract-full")
        argo(f"cron-other-extract-run{run}", f"nightly-etl-eu-{at}", ".extract", "extract")
        argo(f"initless-extract-run{run}", f"ingest-{at}", ".extract", "extract", layout="supervisor")
        argo(f"shared-template-orders-run{run}", f"marts-{at}", ".orders", "run-sql")
        argo(f"shared-template-items-run{run}", f"marts-{at}", ".items", "run-sql")
    argo("cron-extract-v1-name", f"nightly-etl-{DAYS[1] + 86400}", ".extract", "extract", naming="v1")
    argo("cron-extract-offloaded", f"nightly-etl-{DAYS[1] + 172800}", ".extract", "extract", offloaded=True)
    on_exit = {"workflows.argoproj.io/on-exit": "true"}
    argo("cron-on-exit", f"nightly-etl-{DAYS[0]}", ".onExit", "notify", **on_exit)
    for run, suffix in enumerate(RUNS, 1):
        argo(f"template-invoice-run{run}", f"billing-{suffix}", "[0].invoice", "invoice")
        argo(f"generated-report-run{run}", f"adhoc-report-{suffix}", "", "report")
        argo(f"container-set-run{run}", f"ship-{suffix}", "[0].ship", "ship", main=("main", "loader"))
    for item, text in enumerate(("orders", "customers")):
        argo(f"loop-{text}", "shards-b4t8w", f"[0].shard({item}:{text})", "shard")
    argo("loop-object-item", "shards-k6m2v", "[0].shard(0:region:eu,table:orders)", "shard")
    for attempt in (0, 1):
        argo(f"retry-{attempt}", f"training-{DAYS[0]}", f".train({attempt})", "train")
        argo(f"retry-single-{attempt}", f"compact-{DAYS[0]}", f"({attempt})", "compact")
        argo(f"loop-retry-{attempt}", f"training-{DAYS[0]}", f"[1].score(1:eu)({attempt})", "score")
    argo("retry-next-run", f"training-{DAYS[1]}", ".train(0)", "train")
    argo("fixed-name-v1", "report-v1", "", "report")
    argo("fixed-name-v2", "report-v2", "", "report")


# --- Flink ----------------------------------------------------------------------------------------------------


def flink(file, cluster, role, name, owner, kind="native", **labels):
    """A JobManager or TaskManager pod."""
    native = kind == "native"
    container = {
        "name": "flink-main-container",
        "image": "flink:2.3",
        "command": ["/docker-entrypoint.sh"],
        "args": ["bash", "-c", f"kubernetes-{role}.sh" if native else f"{role}"],
        "env": env(FLINK_TM_JVM_MEM_OPTS="-Xmx536870902 -Xms536870902") if role == "taskmanager" and native else None,
        "resources": resources("1", "2Gi"),
    }
    labels = {"app": cluster, "component": role, "type": f"flink-{kind}-kubernetes", **labels}
    once = native and role == "taskmanager"
    made = pod(name, "flink", labels, [container], owner, serviceAccountName="flink")
    made["spec"]["restartPolicy"] = "Never" if once else "Always"
    common.write("documented/flink", file, made)


def flink_all():
    """Native, standalone and session clusters."""

    def deployed(file, cluster, role, hashed, suffix, kind="native", name=None):
        of = f"{name or cluster}-{hashed}"
        owner = ("apps/v1", "ReplicaSet", of)
        flink(file, cluster, role, f"{of}-{suffix}", owner, kind, **{"pod-template-hash": hashed})

    def worker(file, cluster, attempt, index):
        flink(
            file, cluster, "taskmanager", f"{cluster}-taskmanager-{attempt}-{index}", ("apps/v1", "Deployment", cluster)
        )

    deployed("native-jobmanager-run1", "fraud-scoring", "jobmanager", "7c9d5b6f4d", "x7k2p")
    deployed("native-jobmanager-run2", "fraud-scoring", "jobmanager", "5f8b7d99c8", "q9d5z")
    worker("native-taskmanager-1-1", "fraud-scoring", 1, 1)
    worker("native-taskmanager-1-2", "fraud-scoring", 1, 2)
    worker("native-taskmanager-2-1", "fraud-scoring", 2, 1)
    worker("native-taskmanager-v2", "fraud-scoring-v2", 1, 1)
    for run, suffix in enumerate(RUNS, 1):
        deployed(
            f"standalone-taskmanager-run{run}",
            "clicks",
            "taskmanager",
            "6b9c8d7f54",
            suffix,
            "standalone",
            "clicks-taskmanager",
        )
        deployed(f"standalone-jobmanager-run{run}", "clicks", "jobmanager", "84c6f9b7d5", suffix, "standalone")
        worker(f"session-taskmanager-run{run}", "adhoc-session", 1, run)
    deployed("session-jobmanager", "adhoc-session", "jobmanager", "9d4f7c5b88", "m2v8k")
    worker("dated-taskmanager-run1", "backfill-20261121", 1, 1)
    worker("dated-taskmanager-run2", "backfill-20261122", 1, 1)


# --- Spark by operators ---------------------------------------------------------------------------------------


def spark(engine, file, name, role, labels, env_extra=(), app_id=None, owner=None, exec_id=None, memory="1433Mi"):
    """A driver or executor pod, as Spark's own submission makes it, with an operator's labels added."""
    executor = role == "executor"
    own = {"spark-role": role, "spark-app-selector": app_id, "spark-version": "4.0.1"}
    if executor:
        own |= {"spark-exec-id": str(exec_id), "spark-exec-resourceprofile-id": "0"}
    container = {
        "name": f"spark-kubernetes-{role if executor else 'driver'}",
        "image": "apache/spark:4.0.1",
        "args": [role]
        if executor
        else ["driver", "--properties-file", "/opt/spark/conf/spark.properties", "--class", "org.example.Main"],
        "env": env(
            SPARK_APPLICATION_ID=app_id,
            **(
                {"SPARK_EXECUTOR_ID": str(exec_id), "SPARK_EXECUTOR_MEMORY": "1024m", "SPARK_EXECUTOR_CORES": "1"}
                if executor
                else {}
            ),
        )
        + list(env_extra),
        "resources": resources("1", memory),
    }
    common.write(
        f"documented/{engine}",
        file,
        pod(name, "spark", {**own, **labels}, [container], owner, serviceAccountName="spark"),
    )


def hex_id(*parts, length=32):
    """What looks like a random hex id, the same each time."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:length]


def kubeflow(file, app, submission, role="driver", exec_id=1, **labels):
    """A pod of a SparkApplication."""
    key = "sparkoperator.k8s.io/"
    labels = {
        f"{key}app-name": app,
        f"{key}launched-by-spark-operator": "true",
        f"{key}submission-id": uid(app, submission),
        f"{key}mutated-by-spark-operator": "true",
        "spark-app-name": app[:63],
        **labels,
    }
    driver = f"{app}-driver"
    name = driver if role == "driver" else f"{app}-{hex_id(app, submission, length=16)}-exec-{exec_id}"
    owner = ("sparkoperator.k8s.io/v1beta2", "SparkApplication", app) if role == "driver" else ("v1", "Pod", driver)
    spark(
        "spark-operator",
        file,
        name,
        role,
        labels,
        app_id=f"spark-{hex_id(app, submission)}",
        owner=owner,
        exec_id=exec_id,
    )


def kubeflow_all():
    """SparkApplication, ScheduledSparkApplication, Spark Connect, and Airflow's SparkKubernetesOperator."""
    for run in (1, 2):
        kubeflow(f"app-driver-submission{run}", "sales-agg", run)
        kubeflow(f"app-executor-submission{run}", "sales-agg", run, "executor", run)
        nanos = f"hourly-clicks-{DAYS[run - 1]}{'0' * 9}"
        scheduled = {"sparkoperator.k8s.io/scheduled-app-name": "hourly-clicks"}
        kubeflow(f"scheduled-driver-run{run}", nanos, run, **scheduled)
        kubeflow(f"scheduled-executor-run{run}", nanos, run, "executor", 3, **scheduled)
        seconds = {"sparkoperator.k8s.io/scheduled-app-name": "hourly-clicks-eu"}
        kubeflow(f"scheduled-seconds-driver-run{run}", f"hourly-clicks-eu-{DAYS[run - 1]}", run, **seconds)
        task = {
            "dag_id": "lake",
            "task_id": "compact",
            "run_id": f"scheduled__2026-11-2{run}T0000000000-{hex_id(run, length=9)}",
            "try_number": "1",
            "spark_kubernetes_operator": "True",
        }
        kubeflow(f"airflow-driver-run{run}", f"compact-{('rg3cprdw', 'd1opz3ht')[run - 1]}", run, **task)
        kubeflow(f"airflow-executor-run{run}", f"compact-{('rg3cprdw', 'd1opz3ht')[run - 1]}", run, "executor", **task)
    kubeflow("app-driver-other", "sales-agg-v2", 1)
    for run in (1, 2):
        connect = {
            "sparkoperator.k8s.io/connect-name": "notebooks",
            "sparkoperator.k8s.io/launched-by-spark-operator": "true",
        }
        app_id = f"spark-{hex_id('notebooks', run)}"
        owner = ("sparkoperator.k8s.io/v1alpha1", "SparkConnect", "notebooks")
        if run == 1:
            spark(
                "spark-operator",
                "connect-server",
                "notebooks-server",
                "connect-server",
                connect,
                app_id=app_id,
                owner=owner,
            )
        spark(
            "spark-operator",
            f"connect-executor{run}",
            f"notebooks-exec-{run}",
            "executor",
            connect,
            app_id=app_id,
            owner=("v1", "Pod", "notebooks-server"),
            exec_id=run,
        )


def apache_app_id(app, attempt, namespace="spark"):
    """`<app>-<attempt>`, or 9 characters and a base-36 SHA-256 where that is too long."""
    plain = f"{app}-{attempt}"
    if len(plain) <= 46:
        return plain
    value, digits = int.from_bytes(hashlib.sha256(f"{namespace}/{app}/{attempt}".encode()).digest(), "big"), ""
    while value:
        value, left = divmod(value, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[left] + digits
    return f"{plain[:9]}-{digits[:36]}"


def apache_all():
    """SparkApplication attempts of Apache's own operator, and its SparkCluster."""

    def one(file, app, attempt, role="driver", exec_id=1):
        app_id = apache_app_id(app, attempt)
        labels = {
            "spark.operator/name": "spark-kubernetes-operator",
            "spark.operator/spark-app-name": app,
            "spark-app-name": app[:63],
        }
        name = f"{app_id}-driver" if role == "driver" else f"{app_id}-exec-{exec_id}"
        owner = (
            ("spark.apache.org/v1", "SparkApplication", app) if role == "driver" else ("v1", "Pod", f"{app_id}-driver")
        )
        spark("apache-spark-operator", file, name, role, labels, app_id=app_id, owner=owner, exec_id=exec_id)

    for attempt in (0, 1):
        one(f"driver-attempt{attempt}", "nightly-join", attempt)
        one(f"executor-attempt{attempt}", "nightly-join", attempt, "executor", 2)
        one(f"long-name-attempt{attempt}", "warehouse-customer-lifetime-value-recompute", attempt + 10)
    one("driver-other", "nightly-join-2", 0)
    for index in (0, 1):
        labels = {"spark.operator/name": "spark-kubernetes-operator", "spark.operator/spark-cluster-name": "shared"}
        labels |= {
            "spark-role": "worker",
            "apps.kubernetes.io/pod-index": str(index),
            "statefulset.kubernetes.io/pod-name": f"shared-worker-{index}",
        }
        container = {
            "name": "worker",
            "image": "apache/spark:4.0.1",
            "args": ["/opt/spark/sbin/start-worker.sh", "spark://shared-master-svc:7077"],
            "resources": resources("2", "4Gi"),
        }
        made = pod(f"shared-worker-{index}", "spark", labels, [container], ("apps/v1", "StatefulSet", "shared-worker"))
        made["spec"]["restartPolicy"] = "Always"
        common.write("documented/apache-spark-operator", f"cluster-worker{index}", made)


# --- Native pods that a present-day controller no longer makes --------------------------------------------------


def native_all():
    """The CronJob controller of Kubernetes 1.20 and older named its Jobs by unix seconds."""
    for run, at in enumerate(DAYS, 1):
        job = f"legacy-report-{at}"
        labels = {"controller-uid": uid("Job", "native", job), "job-name": job}
        container = {
            "name": "report",
            "image": "registry.example/report:3",
            "resources": {"requests": {"memory": "512Mi"}},
        }
        common.write(
            "documented/native",
            f"cronjob-seconds-run{run}",
            pod(f"{job}-{RUNS[run - 1]}", "native", labels, [container], ("batch/v1", "Job", job)),
        )


if __name__ == "__main__":
    argo_all()
    flink_all()
    kubeflow_all()
    apache_all()
    native_all()
