"""Argo's workflow-controller, started here for one namespace, for the clients of Argo."""

import contextlib
import os
import signal
import subprocess

import client

GROUP, VERSION = "argoproj.io", "v1alpha1"


def define(folder):
    """Gives the API server Argo's kinds, unless it has them already."""
    import yaml
    from kubernetes.client import ApiException, ApiextensionsV1Api

    api = ApiextensionsV1Api()
    for file in sorted(folder.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        try:
            api.create_custom_resource_definition(definition)
        except ApiException as refused:
            if refused.status != 409:
                raise
        name = definition["metadata"]["name"]

        def served(name=name):
            conditions = api.read_custom_resource_definition(name).status.conditions or []
            return any(c.type == "Established" and c.status == "True" for c in conditions)

        client.until(served, f"kind {name}")


@contextlib.contextmanager
def controller(binary, given):
    """The workflow-controller, running, for this namespace alone."""
    line = [str(binary), "--kubeconfig", given.kubeconfig, "--executor-image", given.image, "--loglevel", "warn"]
    line += ["--namespaced", "--namespace", given.namespace, "--managed-namespace", given.namespace]
    env = {**os.environ, "LEADER_ELECTION_DISABLE": "true", "CRON_SYNC_PERIOD": "1s", "DEFAULT_REQUEUE_TIME": "1s"}
    running = subprocess.Popen(line, env=env, start_new_session=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def create(given, plural, made):
    """Creates an object of Argo's."""
    from kubernetes.client import CustomObjectsApi

    made = {"apiVersion": f"{GROUP}/{VERSION}", **made}
    CustomObjectsApi().create_namespaced_custom_object(GROUP, VERSION, given.namespace, plural, made)


def prepare(pods, given, binary):
    """What the controller needs before it starts."""
    define(binary.with_name("argo-crds"))
    settings = {"metadata": {"name": "workflow-controller-configmap"}, "data": {"metricsConfig": "enabled: false\n"}}
    pods.core.create_namespaced_config_map(given.namespace, settings)
