"""Pods as Dagster makes them, by launching real runs through the K8sRunLauncher and the k8s_job_executor.

The API server stores the Jobs, the Job controller makes the pods, and this script plays the kubelet for two kinds
of them: it runs the arguments of run workers and step workers as processes here, so that the executor goes on to
dynamic steps and retries. What those steps start in turn (k8s_job_op, Pipes) is recorded, and the steps ended.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import common

BIN = os.path.dirname(sys.executable)
DEFINITIONS = """
    import os
    import dagster as dg
    from dagster_k8s import PipesK8sClient, execute_k8s_job, k8s_job_executor

    KUBECONFIG = os.environ["KUBECONFIG"]
    steps = k8s_job_executor.configured({"max_concurrent": 4})

    @dg.op
    def extract():
        return 3

    @dg.op
    def aggregate(rows):
        return rows

    @dg.op(out=dg.DynamicOut())
    def split():
        for region in ("eu", "us_west"):
            yield dg.DynamicOutput(region, mapping_key=region)

    @dg.op
    def score(region):
        return region

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
    def flaky(context):
        if context.retry_number == 0:
            raise Exception("the first try fails")

    @dg.graph
    def marts():
        return aggregate(extract())

    @dg.job(executor_def=steps)
    def nightly_report():
        aggregate(extract())

    @dg.job(executor_def=steps)
    def weekly_report():
        aggregate(extract())

    @dg.job(executor_def=steps)
    def regions():
        split().map(score)
        marts()
        flaky()

    @dg.op
    def train_model(context):
        execute_k8s_job(context, image="registry.example/train:2", command=["train"], namespace=NAMESPACE,
                        load_incluster_config=False, kubeconfig_file=KUBECONFIG, timeout=8)

    @dg.op
    def publish_to_warehouse(context):
        PipesK8sClient(load_incluster_config=False, kubeconfig_file=KUBECONFIG).run(
            context=context, image="registry.example/publish:2", command=["publish"], namespace=NAMESPACE,
            pod_wait_timeout=8)

    @dg.job(executor_def=steps)
    def outside():
        train_model()
        publish_to_warehouse()

    @dg.asset
    def customers():
        return 1

    @dg.asset
    def orders():
        return 1

    jobs = [nightly_report, weekly_report, regions, outside]
    defs = dg.Definitions(jobs=jobs, assets=[customers, orders], executor=steps)
"""
INSTANCE = {
    "run_launcher": {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {
            "service_account_name": "default",
            "job_image": "registry.example/dagster-user:1.0",
            "job_namespace": "dagster",
            "instance_config_map": "dagster-instance",
            "dagster_home": "/opt/dagster/dagster_home",
            "load_incluster_config": False,
            "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        },
    },
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "telemetry": {"enabled": False},
}


class Rig:
    """A Dagster instance whose runs go to the API server."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.home = tempfile.mkdtemp(prefix="podfit-dagster-")
        INSTANCE["run_launcher"]["config"]["kubeconfig_file"] = cluster.kubeconfig
        INSTANCE["run_launcher"]["config"]["job_namespace"] = cluster.namespace
        with open(os.path.join(self.home, "dagster.yaml"), "w") as file:
            json.dump(INSTANCE, file)
        with open(os.path.join(self.home, "etl.py"), "w") as file:
            file.write(textwrap.dedent(DEFINITIONS).replace("NAMESPACE", repr(cluster.namespace)))
        path = BIN + os.pathsep + os.environ["PATH"]
        self.env = {**os.environ, "DAGSTER_HOME": self.home, "KUBECONFIG": cluster.kubeconfig, "PATH": path}
        self.seen = set()
        self.running = []

    def launch(self, job, enough=None):
        """Launches a run, plays the kubelet until its workers are done (or there are `enough` pods); the new pods."""
        line = ["dagster", "job", "launch", "-f", "etl.py", "-j", job]
        done = subprocess.run(line, cwd=self.home, env=self.env, capture_output=True, text=True, timeout=180)
        if done.returncode:
            raise SystemExit(f"the launch of {job} failed:\n{done.stderr[-3000:]}")
        try:
            return self.play(enough)
        finally:
            self.stop()

    def play(self, enough):
        """Runs workers as processes; all new pods, in order of appearance."""
        found, end = [], time.monotonic() + 240
        while time.monotonic() < end:
            for pod in self.cluster.pods():
                name = pod["metadata"]["name"]
                if name not in self.seen:
                    self.seen.add(name)
                    found.append(pod)
                    self.start(pod)
            self.running = [p for p in self.running if p.poll() is None]
            if len(found) == enough or (found and not self.running):
                return found
            time.sleep(0.2)
        raise common.Unavailable("waited 240 s for a Dagster run")

    def start(self, pod):
        """Runs a worker's own arguments here."""
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") not in ("run_worker", "step_worker"):
            return
        container = pod["spec"]["containers"][0]
        given = {
            e["name"]: e["value"] for e in container.get("env", []) if "value" in e and e["name"] != "DAGSTER_HOME"
        }
        log = open(os.path.join(self.home, "workers.log"), "a")
        line = container["args"]
        self.running.append(
            subprocess.Popen(
                line, cwd=self.home, env={**self.env, **given}, stdout=log, stderr=log, start_new_session=True
            )
        )

    def stop(self):
        """Ends the workers that still wait for something."""
        for worker in self.running:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self.running = []

    def resume(self, pod):
        """Resumes the run of a run worker, as the monitoring daemon does after a crash."""
        code = (
            "import sys, dagster as dg\n"
            "from dagster._core.launcher import ResumeRunContext\n"
            "instance = dg.DagsterInstance.get()\n"
            "run = instance.get_run_by_id(sys.argv[1])\n"
            "instance.run_launcher.resume_run(ResumeRunContext(run, workspace=None, resume_attempt_number=1))\n"
        )
        run = pod["metadata"]["labels"]["dagster/run-id"]
        subprocess.run([sys.executable, "-c", code, run], cwd=self.home, env=self.env, check=True, timeout=120)
        job = f"dagster-run-{run}-1"
        made = self.cluster.pods_of_job(job)[0]
        self.seen.add(made["metadata"]["name"])
        return made


def called(pod):
    """A short name for a recorded pod: its kind, and its step where it has one."""
    labels, env = (
        pod["metadata"]["labels"],
        {e["name"]: e.get("value") for e in pod["spec"]["containers"][0].get("env", [])},
    )
    kind = {"run_worker": "run", "step_worker": "step", "k8s_job_op": "k8s-job-op"}.get(
        labels.get("app.kubernetes.io/component"), "pipes"
    )
    step = env.get("DAGSTER_RUN_STEP_KEY") or labels.get("dagster/op", "")
    if kind == "k8s-job-op":
        step = ""
    again = re.search(r"^dagster-step-[0-9a-f]{32}-(\d+)$", labels.get("job-name", ""))
    return "-".join(filter(None, [kind, re.sub(r"[^a-z0-9]+", "-", step).strip("-"), again and f"retry{again[1]}"]))


def run():
    """Makes all of them."""
    cluster = common.Cluster("dagster")
    rig = Rig(cluster)
    outside = 5  # a run, two steps, and what each of them starts and waits for
    for job, runs, enough in (
        ("nightly_report", 2, None),
        ("weekly_report", 1, None),
        ("regions", 2, None),
        ("outside", 2, outside),
        ("__ASSET_JOB", 2, None),
    ):
        for number in range(1, runs + 1):
            pods = rig.launch(job, enough)
            for pod in pods:
                common.write("dagster", f"{job.strip('_').lower().replace('_', '-')}-run{number}-{called(pod)}", pod)
            if job == "weekly_report":
                common.write("dagster", "weekly-report-run1-run-resumed", rig.resume(pods[0]))


if __name__ == "__main__":
    common.main(run)
