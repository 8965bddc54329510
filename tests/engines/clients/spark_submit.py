"""Pods by the `spark-submit` of one of PyPI's pyspark packages and the machine's Java, for the clients of Spark.

The driver in client mode is a process here, takes a driver pod for its own, as it does inside a cluster, and is ended
when its executor is there.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys

import client

NAME = "nightly-join"
APPLICATION = "import time\nfrom pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate()\ntime.sleep(600)\n"
OPENED = "java.lang java.lang.invoke java.net java.nio java.util java.util.concurrent sun.nio.ch sun.security.action"
# Spark does this itself since it knows Java 17.
BEFORE_JAVA17 = "".join(f" --add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED.split())


class Spark:
    """A pyspark package and the cluster it submits to."""

    def __init__(self, given, environment, work):
        from kubernetes.client import Configuration

        if not shutil.which("java"):
            client.not_here("java is not on the PATH: Spark needs Java 17")
        package = next((client.installed(environment) / "lib").glob("*/site-packages/pyspark"))
        self.work, self.submit = work, package / "bin" / "spark-submit"
        quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # two short lives: a quick start is all
        self.env = {
            **os.environ,
            "SPARK_HOME": str(package),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_SUBMIT_OPTS": quick + (BEFORE_JAVA17 if environment == "spark32" else ""),
            "SPARK_USER": "spark",
            "PYSPARK_PYTHON": sys.executable,
        }
        self.conf = {
            "spark.kubernetes.namespace": given.namespace,
            "spark.kubernetes.container.image": given.image,
            "spark.kubernetes.authenticate.driver.serviceAccountName": "default",
            "spark.kubernetes.submission.waitAppCompletion": "false",
            "spark.ui.enabled": "false",
            "spark.executor.instances": "1",
        }
        self.master = "k8s://" + Configuration.get_default_copy().host

    def command(self, mode, **more):
        """The command line up to the application."""
        line = [str(self.submit), "--master", self.master, "--deploy-mode", mode, "--name", NAME]
        return line + [part for key, value in (self.conf | more).items() for part in ("--conf", f"{key}={value}")]

    def driver(self, python=False, **more):
        """Submits in cluster mode."""
        java = ["--class", "org.example.Main", "local:///opt/spark/app.jar"]
        line = self.command("cluster", **more) + (["local:///opt/spark/app.py"] if python else java)
        subprocess.run(line, env=self.env, cwd=self.work, check=True, timeout=180)

    def executor(self, pods, driver_pod, **more):
        """The pod of the first executor of a driver in client mode; then the driver has done its part."""
        with self.client_mode(driver_pod, **more) as driver:
            return pods.wait("spark-role=executor", maker=driver)[0]

    @contextlib.contextmanager
    def client_mode(self, driver_pod, **more):
        """A driver in client mode, running, that takes this pod for its own."""
        path = os.path.join(self.work, "app.py")
        with open(path, "w") as out:
            out.write(APPLICATION)
        own = {"spark.kubernetes.driver.pod.name": driver_pod, "spark.driver.host": "127.0.0.1"} | more
        line = [*self.command("client", **own), path]
        driver = subprocess.Popen(line, env=self.env, cwd=self.work, start_new_session=True)
        try:
            yield driver
        finally:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
