"""Pods of Kubernetes' own workloads, made by the real controllers from small manifests.

No kubelet: where a controller must see a failure, this script writes the pod's status, as a kubelet would.
"""

import common


def template(name, account="default", restart="Never", **labels):
    """A pod template with one container."""
    sizes = {"requests": {"memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    container = {"name": name, "image": "registry.example/report:3", "resources": sizes}
    spec = {"restartPolicy": restart, "serviceAccountName": account, "containers": [container]}
    return {"metadata": {"labels": labels or {"app": name}}, "spec": spec}


def job(name=None, generate=None, **spec):
    """A Job."""
    spec = {"template": template("work"), **spec}
    meta = {"name": name} if name else {"generateName": generate}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def fail(cluster, pod):
    """Writes the status of a container that the kernel killed."""
    names = [c["name"] for c in pod["spec"]["containers"]]
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-22T00:00:00Z"}}
    states = [
        {"name": n, "state": ended, "image": "x", "imageID": "x", "ready": False, "restartCount": 0} for n in names
    ]
    status = {"status": {"phase": "Failed", "containerStatuses": states}}
    cluster.core.patch_namespaced_pod_status(pod["metadata"]["name"], cluster.namespace, status)


def jobs(cluster):
    """Jobs of all kinds of names."""

    def keep(file, manifest, pods=1):
        for index, pod in enumerate(cluster.job_pods(manifest, pods)):
            common.write("native", f"{file}-{index}" if pods > 1 else file, pod)

    for number in (1, 2):
        keep(f"job-generated-run{number}", job(generate="import-orders-"))
        keep(f"job-dated-run{number}", job(f"export-2026112{number}"))
        keep(f"job-dated-dashes-run{number}", job(f"export-eu-2026-11-2{number}"))
        keep(f"job-version-v{number}", job(f"model-v{number}"))
    keep("job-small", job("train-small"))
    keep("job-large", job("train-large"))

    indexed = {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
    per_index = {"backoffLimitPerIndex": 2, "maxFailedIndexes": 2}
    keep("indexed", job("shards", **indexed, **per_index), 2)
    first = cluster.pods("job-name=shards,batch.kubernetes.io/job-completion-index=0")[0]
    fail(cluster, first)
    again = lambda: [p for p in cluster.pods("job-name=shards") if index_failures(p) == "1"]  # noqa: E731
    common.write("native", "indexed-0-retry", cluster.wait(again, "the retry of an index")[0])
    keep("indexed-other", job("shards-eu", **indexed, **per_index), 2)

    keep("job-backoff-first", job("nightly-load", backoffLimit=3))
    failed = cluster.pods("job-name=nightly-load")[0]
    fail(cluster, failed)
    other = lambda: [
        p for p in cluster.pods("job-name=nightly-load") if p["metadata"]["name"] != failed["metadata"]["name"]
    ]  # noqa: E731
    common.write("native", "job-backoff-second", cluster.wait(other, "a Job's second pod")[0])


def index_failures(pod):
    """How often this pod's index failed before."""
    return pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-index-failure-count")


def standing(cluster):
    """Deployments, StatefulSets, DaemonSets, bare pods."""

    def owner(kind, name, **spec):
        body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, **spec}}
        body["spec"]["template"] = template("serve", restart="Always", app=name)
        getattr(cluster.apps, f"create_namespaced_{kind}")(cluster.namespace, body)
        return lambda count: cluster.wait(lambda: (lambda p: len(p) >= count and p)(cluster.pods(f"app={name}")), name)

    deployment = owner("deployment", "api", replicas=2)(2)
    for number, pod in enumerate(deployment, 1):
        common.write("native", f"deployment-pod{number}", pod)
    hashed = deployment[0]["metadata"]["labels"]["pod-template-hash"]
    image = [{"name": "serve", "image": "registry.example/report:4"}]
    patch = {"spec": {"template": {"spec": {"containers": image}}}}
    cluster.apps.patch_namespaced_deployment("api", cluster.namespace, patch)
    rolled = lambda: cluster.pods(f"app=api,pod-template-hash!={hashed}")  # noqa: E731
    common.write("native", "deployment-next-rollout", cluster.wait(rolled, "the rollout")[0])
    common.write("native", "deployment-other", owner("deployment", "api-v2", replicas=1)(1)[0])
    stateful = owner("stateful_set", "queue", replicas=2, serviceName="queue", podManagementPolicy="Parallel")(2)
    for number, pod in enumerate(stateful):
        common.write("native", f"statefulset-pod{number}", pod)
    node = {"metadata": {"name": "podfit-engines"}}
    if not cluster.core.list_node().items:
        cluster.ensure(lambda: cluster.core.create_node(node))
    common.write("native", "daemonset", owner("daemon_set", "agent")(1)[0])
    cluster.ensure(lambda: cluster.core.delete_node("podfit-engines"), 404)

    for number in (1, 2):
        bare = {"apiVersion": "v1", "kind": "Pod", **template("shell")}
        bare["metadata"] = {"generateName": "notebook-", "labels": {"app": "notebook"}}
        common.write("native", f"bare-generated-run{number}", cluster.submit(bare))
    common.write("native", "bare-named", cluster.submit({**bare, "metadata": {"name": "debug-shell"}}))


def scheduled(cluster):
    """CronJobs, each with two runs of its schedule (so this takes up to two minutes)."""
    names = {"cronjob": "nightly-report", "cronjob-eu": "nightly-report-eu", "cronjob-digits": "load-2024"}
    for name in names.values():
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template("report")}}}
        cluster.batch.create_namespaced_cron_job(cluster.namespace, {"metadata": {"name": name}, "spec": spec})

    def runs(name):
        jobs = [j.metadata for j in cluster.batch.list_namespaced_job(cluster.namespace).items]
        return [j.name for j in jobs if j.owner_references and j.owner_references[0].name == name]

    cluster.wait(lambda: all(len(runs(n)) >= 2 for n in names.values()), "two scheduled runs", 150)
    for file, name in names.items():
        for number, made in enumerate(sorted(runs(name))[:2], 1):
            common.write("native", f"{file}-run{number}", cluster.pods_of_job(made)[0])
        cluster.batch.delete_namespaced_cron_job(name, cluster.namespace)


def run():
    """Makes all of them."""
    cluster = common.Cluster("native")
    jobs(cluster)
    standing(cluster)
    scheduled(cluster)


if __name__ == "__main__":
    common.main(run)
