"""What the engine scripts share: where pods are written, how they are trimmed, and the way to an API server.

Nothing here knows an engine. Only `Cluster` needs the `kubernetes` package (each engine's venv has it).
"""

import copy
import json
import os
import pathlib
import re
import sys
import time
from functools import partial

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE / "recorded"
LONGEST = 900  # characters of one string; longer ones are opaque blobs (compressed arguments, whole templates)
UNPINNED = {"metadata": {"finalizers": None}}
SERVER_KEYS = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


class Unavailable(Exception):
    """Something outside this folder is missing; `make` then ends with status 3."""


def main(run):
    """Runs one engine's script with the exit status that `make` promises."""
    try:
        run()
    except Unavailable as missing:
        print(f"engines: {missing}", file=sys.stderr)
        sys.exit(3)


def write(engine, name, pod):
    """Writes one pod as recorded/<engine>/<name>.json."""
    path = RECORDED / engine / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(slim(pod), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    print(f"{engine}/{name}: {pod['metadata'].get('name') or pod['metadata'].get('generateName')}")


def slim(pod):
    """The pod without what a server adds to every pod alike, without secrets, and without blobs."""
    pod = shorten(copy.deepcopy(prune(pod)))
    pod.setdefault("apiVersion", "v1")
    pod.setdefault("kind", "Pod")
    pod.pop("status", None)
    for key in SERVER_KEYS:
        pod["metadata"].pop(key, None)
    spec = pod["spec"]
    spec.pop("nodeName", None)
    token = lambda v: v["name"].startswith("kube-api-access-")  # noqa: E731
    keep(spec, "volumes", lambda v: not token(v))
    keep(spec, "tolerations", lambda t: t.get("tolerationSeconds") != 300)
    for container in spec.get("initContainers", []) + spec["containers"]:
        keep(container, "volumeMounts", lambda v: not token(v))
    return pod


def keep(holder, key, wanted):
    """Filters a list field, and drops it when nothing is left."""
    left = [item for item in holder.get(key) or [] if wanted(item)]
    holder.pop(key, None)
    if left:
        holder[key] = left


def prune(value):
    """Without null fields (the clients of some engines send them)."""
    if isinstance(value, dict):
        return {k: prune(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [prune(v) for v in value]
    return value


def shorten(value):
    """Tokens out, blobs cut: the first characters and a marker stay."""
    if isinstance(value, dict):
        return {k: shorten(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shorten(v) for v in value]
    if isinstance(value, str):
        value = re.sub(r'("token": ?)"[^"]*"', r'\1"REDACTED"', value)
        value = re.sub(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+", "REDACTED", value)
        if len(value) > LONGEST:
            return f"{value[:120]}...SHORTENED from {len(value)} characters"
    return value


class Cluster:
    """A scratch namespace of the API server that PODFIT_ENGINES_KUBECONFIG names."""

    def __init__(self, namespace):
        self.kubeconfig = os.environ.get("PODFIT_ENGINES_KUBECONFIG", "")
        if not os.path.isfile(self.kubeconfig):
            raise Unavailable("needs an API server: PODFIT_ENGINES_KUBECONFIG=<kubeconfig> (README.md)")
        from kubernetes import client, config
        from kubernetes.client.rest import ApiException

        self.refused = ApiException
        config.load_kube_config(self.kubeconfig)
        self.server = client.Configuration.get_default_copy().host
        self.api = client.ApiClient()
        self.core, self.batch, self.apps = client.CoreV1Api(), client.BatchV1Api(), client.AppsV1Api()
        self.custom = client.CustomObjectsApi()
        self.namespace = namespace
        try:
            self.fresh_namespace()
        except Exception as cause:  # urllib3 has many ways to say that nobody listens
            if isinstance(cause, ApiException):
                raise
            raise Unavailable(f"no API server answers at {self.server}") from cause

    def fresh_namespace(self):
        """Makes the namespace, or empties the one of an earlier run; cordons the nodes, so that pods stay as made."""
        for node in self.core.list_node().items:
            self.core.patch_node(node.metadata.name, {"spec": {"unschedulable": True}})
        self.ensure(lambda: self.core.create_namespace({"metadata": {"name": self.namespace}}))
        self.batch.delete_collection_namespaced_cron_job(self.namespace)
        self.batch.delete_collection_namespaced_job(self.namespace, propagation_policy="Background")
        for kind in ("deployment", "stateful_set", "daemon_set"):
            getattr(self.apps, f"delete_collection_namespaced_{kind}")(self.namespace)
        self.wait(lambda: not self.sweep(), "the scratch namespace to be empty")
        self.service_account("default")

    def sweep(self):
        """Deletes the namespace's pods at once (no kubelet confirms them); says which are left."""
        pods = self.core.list_namespaced_pod(self.namespace).items
        for pod in pods:
            if pod.metadata.finalizers and pod.metadata.deletion_timestamp:
                self.ensure(partial(self.core.patch_namespaced_pod, pod.metadata.name, self.namespace, UNPINNED), 404)
            self.delete_pod(pod.metadata.name)
        return pods

    def delete_pod(self, name):
        """Deletes a pod at once; None when there was none."""
        return self.ensure(lambda: self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0), 404)

    def ensure(self, call, status=409):
        """Calls; an answer of `status` (there already, gone already) is as good as done."""
        try:
            return call()
        except self.refused as answer:
            if answer.status != status:
                raise
            return None

    def service_account(self, name):
        """A service account that pods of the namespace may name."""
        body = {"metadata": {"name": name}}
        self.ensure(lambda: self.core.create_namespaced_service_account(self.namespace, body))

    def wait(self, done, what, seconds=60):
        """Polls until `done()` gives something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = done()
            if got:
                return got
            time.sleep(0.3)
        raise Unavailable(f"waited {seconds} s for {what}")

    def plain(self, thing):
        """A client object as the JSON it came from."""
        return self.api.sanitize_for_serialization(thing)

    def pods(self, selector=""):
        """The namespace's pods as JSON, in order of name."""
        found = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return sorted((self.plain(p) for p in found), key=lambda p: p["metadata"]["name"])

    def submit(self, pod):
        """Creates a pod, and gives it back as the server stored it."""
        body = self.plain(pod)
        body["metadata"]["namespace"] = self.namespace
        account = body["spec"].get("serviceAccountName")
        if account:
            self.service_account(account)
        name = body["metadata"].get("name")
        if name:
            self.wait(lambda: self.delete_pod(name) is None, f"the pod {name} of before to go")
        return self.plain(self.core.create_namespaced_pod(self.namespace, body))

    def job_pods(self, job, count=1):
        """Creates a Job, and gives its pods back as the Job controller made them."""
        body = self.plain(job)
        body["metadata"]["namespace"] = self.namespace
        account = body["spec"]["template"]["spec"].get("serviceAccountName")
        if account:
            self.service_account(account)
        name = self.batch.create_namespaced_job(self.namespace, body).metadata.name
        return self.pods_of_job(name, count)

    def pods_of_job(self, name, count=1):
        """The pods of a Job, as soon as there are `count` of them."""
        enough = lambda: (lambda p: p if len(p) >= count else None)(self.pods(f"job-name={name}"))  # noqa: E731
        return self.wait(enough, f"{count} pods of Job {name}")
