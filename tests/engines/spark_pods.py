"""Pods as spark-submit makes them: drivers in cluster mode, executors asked for by a driver in client mode.

Runs the `spark-submit` of PyPI's pyspark packages with the machine's Java against the API server. No pod runs: each
is read back right after its creation. The client-mode driver is a process here, ended when its pods are there.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import textwrap

import common

CACHE = os.environ.get("PODFIT_ENGINES_CACHE", "")
NEWEST, OLD, OLDEST = "spark", "spark35", "spark32"
OPENED = "java.lang java.lang.invoke java.net java.nio java.util java.util.concurrent sun.nio.ch sun.security.action"
BEFORE_JAVA17 = " ".join(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED.split())
LONG = "Warehouse customer lifetime value recompute for all regions and channels 2026-11-2"


class Spark:
    """One pyspark package and the cluster it submits to."""

    def __init__(self, cluster, version):
        self.cluster = cluster
        found = [os.path.join(CACHE, version, "lib", p) for p in os.listdir(os.path.join(CACHE, version, "lib"))]
        self.home = os.path.join(found[0], "site-packages", "pyspark")
        self.work = tempfile.mkdtemp(prefix="podfit-spark-")
        self.env = {
            **os.environ,
            "SPARK_HOME": self.home,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_SUBMIT_OPTS": BEFORE_JAVA17 if version == OLDEST else "",
            "KUBECONFIG": cluster.kubeconfig,
            "SPARK_USER": "spark",
            "PYSPARK_PYTHON": "python3",
            "PATH": os.path.join(CACHE, version, "bin") + os.pathsep + os.environ["PATH"],
        }

    def command(self, program, name, mode, conf):
        """The command line up to the application."""
        settings = {
            "spark.kubernetes.namespace": self.cluster.namespace,
            "spark.kubernetes.container.image": "apache/spark:latest",
            "spark.kubernetes.submission.waitAppCompletion": "false",
            "spark.kubernetes.authenticate.driver.serviceAccountName": "default",
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.executor.instances": "2",
            **conf,
        }
        if mode == "cluster":
            settings.pop("spark.driver.host")
        line = [os.path.join(self.home, "bin", program), "--master", f"k8s://{self.cluster.server}"]
        line += ["--deploy-mode", mode] if program == "spark-submit" else []
        line += ["--name", name] if name else []
        return line + [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]

    def driver(self, file, name, app="class", **conf):
        """Submits in cluster mode; records the driver pod."""
        application = {
            "class": ["--class", "org.example.Main", "local:///opt/spark/app.jar", "2026-11-21"],
            "python": ["local:///opt/app/etl.py"],
        }[app]
        before = self.cluster.pods("spark-role=driver")
        line = self.command("spark-submit", name, "cluster", dots(conf)) + application
        done = subprocess.run(line, env=self.env, cwd=self.work, capture_output=True, text=True, timeout=180)
        new = [p for p in self.cluster.pods("spark-role=driver") if p not in before]
        if len(new) != 1:
            raise SystemExit(f"spark-submit of {name!r} made {len(new)} drivers:\n{done.stderr[-2000:]}")
        common.write("spark", file, new[0])
        self.cluster.core.delete_namespaced_pod(
            new[0]["metadata"]["name"], self.cluster.namespace, grace_period_seconds=0
        )

    def executors(self, file, name, python=None, count=1, shell=False, owner=None, **conf):
        """Starts a client-mode driver, records `count` executors of each resource profile, ends the driver.

        `owner` names a pod that the driver takes for its own, as it does inside a cluster; the executors then
        belong to it. Without one the driver is a notebook outside.
        """
        if owner:
            container = {"name": "spark-kubernetes-driver", "image": "apache/spark:latest"}
            self.cluster.submit({"metadata": {"name": owner}, "spec": {"containers": [container]}})
            conf["spark.kubernetes.driver.pod.name"] = owner
        if shell:
            line = self.command("spark-shell", name, "client", dots(conf))
        else:
            path = os.path.join(self.work, "app.py")
            with open(path, "w") as out:
                out.write(textwrap.dedent(python or PLAIN))
            line = self.command("spark-submit", name, "client", dots(conf)) + [path]
        log = open(os.path.join(self.work, f"{file}.log"), "w")
        driver = subprocess.Popen(
            line, env=self.env, cwd=self.work, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wanted = 2 if "withResources" in (python or "") else 1
            pods = self.cluster.wait(lambda: self.arrived(driver, log.name, wanted), f"executors of {name!r}", 120)
        finally:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
                driver.wait()
        for profile, found in pods.items():
            for number, pod in enumerate(found[:count], 1):
                middle = f"-profile{profile}" if len(pods) > 1 else ""
                common.write("spark", f"{file}{middle}-exec{number}", pod)
        for kind in ("stateful_set", "deployment"):
            getattr(self.cluster.apps, f"delete_collection_namespaced_{kind}")(self.cluster.namespace)
        self.cluster.wait(lambda: not self.cluster.sweep(), "the executors to go")

    def arrived(self, driver, log, profiles):
        """The executors by resource profile, once each profile has two."""
        if driver.poll() is not None:
            raise SystemExit(f"a driver ended early:\n{open(log).read()[-3000:]}")
        by_profile = {}
        for pod in self.cluster.pods("spark-role=executor"):
            by_profile.setdefault(pod["metadata"]["labels"]["spark-exec-resourceprofile-id"], []).append(pod)
        full = len(by_profile) >= profiles and all(len(found) >= 2 for found in by_profile.values())
        return by_profile if full else None


def dots(conf):
    """spark__executor__memory -> spark.executor.memory"""
    return {key.replace("__", "."): value for key, value in conf.items()}


PLAIN = """
    import time
    from pyspark.sql import SparkSession
    SparkSession.builder.getOrCreate()
    time.sleep(600)
"""
PROFILES = """
    from pyspark import SparkContext
    from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests
    context = SparkContext.getOrCreate()
    big = ExecutorResourceRequests().memory("6g").memoryOverhead("1g").cores(2)
    profile = ResourceProfileBuilder().require(big).require(TaskResourceRequests().cpus(1)).build
    context.parallelize(range(8), 8).withResources(profile).map(lambda x: x).collect()
"""


def run():
    """Makes all of them."""
    if not shutil.which("java"):
        raise common.Unavailable("needs Java 17 on the PATH")
    cluster = common.Cluster("spark")
    spark, old, oldest = (Spark(cluster, version) for version in (NEWEST, OLD, OLDEST))
    memory = {"spark__driver__memory": "2g", "spark__executor__memory": "3g"}

    for day in (1, 2):
        date = f"2026-11-2{day}"
        spark.driver(f"driver-plain-run{day}", "nightly-join", **memory)
        spark.driver(f"driver-dated-words-run{day}", f"Daily Report {date}")
        spark.driver(f"driver-dated-digits-run{day}", f"etl_2026112{day}", "python")
        spark.driver(f"driver-dated-time-run{day}", f"agg-{date}T03:00:00")
        spark.driver(f"driver-model-v{day}", f"model-v{day}")
        spark.driver(f"driver-leading-digit-run{day}", "3d-render")
        spark.driver(f"driver-unnamed-python-run{day}", None, "python")
        spark.driver(f"driver-long-name-run{day}", f"{LONG}{day}")
        old.driver(f"spark35-driver-run{day}", f"etl_2026112{day}", "python")
        oldest.driver(f"spark32-driver-run{day}", f"Daily Report {date}")
    spark.driver("driver-plain-other", "nightly-join-eu", **memory)
    spark.driver("driver-fixed-pod-name", "sales", spark__kubernetes__driver__pod__name="sales-driver")
    spark.driver("driver-dated-other", "Weekly Report 2026-11-21")

    for day in (1, 2):
        date = f"2026-11-2{day}"
        spark.executors(f"executor-dated-words-run{day}", f"Daily Report {date}", count=2 if day == 1 else 1)
        spark.executors(
            f"executor-plain-run{day}", "nightly-join", shell=True, owner=f"nightly-join-driver{day}", **memory
        )
        spark.executors(f"executor-model-v{day}", f"model-v{day}")
        old.executors(f"spark35-executor-run{day}", f"etl_2026112{day}")
        oldest.executors(f"spark32-executor-run{day}", f"Daily Report {date}", shell=True)
        for kind in ("statefulset", "deployment"):
            allocator = {"spark.kubernetes.allocation.pods.allocator": kind}
            spark.executors(
                f"executor-{kind}-run{day}", "nightly-join", owner=f"nightly-join-driver{day}", **allocator, **memory
            )
    spark.executors("executor-leading-digit", "3d-render")
    prefix = {"spark.kubernetes.executor.podNamePrefix": "sales-workers"}
    spark.executors("executor-name-prefix", "sales", **prefix)
    settings = {"enabled": "true", "shuffleTracking.enabled": "true", "minExecutors": "2", "initialExecutors": "2"}
    dynamic = {f"spark.dynamicAllocation.{key}": value for key, value in settings.items()}
    for day in (1, 2):
        spark.executors(f"executor-profiles-run{day}", "train", python=PROFILES, **dynamic, **memory)


if __name__ == "__main__":
    common.main(run)
