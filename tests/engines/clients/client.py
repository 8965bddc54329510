"""What the clients share: command line, environment, sizes that are asked for, the wait for pods, the answer.

Knows no engine. Only `Pods` needs the `kubernetes` package, which each engine's environment has.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ENGINES = pathlib.Path(__file__).resolve().parent.parent
HOME = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
CACHE = pathlib.Path(os.environ.get("PODFIT_ENGINES_CACHE") or os.path.join(HOME, "podfit-engines"))
# What every main container asks for, in each engine's own way of saying it: a test compares with what was admitted.
CPU, MEMORY = "1", "2Gi"
RESOURCES = {"requests": {"cpu": CPU, "memory": MEMORY}, "limits": {"memory": MEMORY}}
UNPRIVILEGED = {"runAsNonRoot": True, "runAsUser": 50000}
PATIENCE = 120  # seconds for pods to appear; only spent when they never do
AFTER_WARNING = 5  # seconds that are left when a controller says that it cannot create them
NOT_HERE = 3  # exit status when the engine is not installed
# What kwok takes for a container that is killed for memory: late enough for the first try to be read before.
KILLED = {"podfit.test/outcome": "oom", "podfit.test/after": "2s"}

_answer = None


def enter(environment):
    """Goes on in the Python environment of that name, as ../make installs it; ends when it is not there."""
    if pathlib.Path(sys.prefix) != CACHE / environment:
        python = installed(environment) / "bin" / "python"
        os.execve(python, [str(python), *sys.argv], {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


def installed(environment):
    """Where the Python environment of that name is; ends when it is not there, or not with today's versions."""
    home, pins = CACHE / environment, ENGINES / f"requirements-{environment}.txt"
    there = home / "installed.txt"
    if there.is_file() and there.read_bytes() == pins.read_bytes():
        return home
    if os.environ.get("PODFIT_TEST_ENGINES") != "1":
        not_here(f"{environment} is not installed: run tests/engines/make --install {environment}, once")
    made = subprocess.run([ENGINES / "make", "--install", environment], stdout=sys.stderr)
    if made.returncode:
        sys.exit(made.returncode)
    return home


def arguments(about):
    """The command line that all clients have. From here on standard output is for the answer alone."""
    global _answer
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, type=os.path.abspath)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--image", required=True, help="of all main containers")
    parser.add_argument("--killed", action="store_true", help="every try is killed for memory, and there is a next one")
    given = parser.parse_args()
    if not os.path.isfile(given.kubeconfig):
        parser.error(f"there is no file {given.kubeconfig}")
    os.environ["KUBECONFIG"] = given.kubeconfig
    _answer = os.dup(1)
    os.dup2(2, 1)
    return given


def answer(pods):
    """Prints the names of the pods that the engine made."""
    os.write(_answer, (json.dumps({"pods": pods}) + "\n").encode())


def killed(given):
    """The annotations of a pod that is killed, where pods are to be."""
    return KILLED if given.killed else {}


def told_to_go_on():
    """Waits for a line on standard input: what an engine makes of a killed pod is next."""
    if not sys.stdin.readline():
        raise SystemExit("nobody asks for the next try")


def not_here(reason):
    """Ends: the engine cannot run on this machine."""
    print(reason, file=sys.stderr)
    sys.exit(NOT_HERE)


def tool(name):
    """The path of a program that ../../cluster/up builds; ends when it is not built and may not be."""
    may_build = os.environ.get("PODFIT_TEST_OPERATORS") == "1"
    option = "--build-only" if may_build else "--print-if-built"
    found = subprocess.run([ENGINES.parent / "cluster" / "up", option, name], capture_output=True, text=True)
    if found.returncode == NOT_HERE:
        not_here(found.stderr.strip().removeprefix("cannot run here: "))
    if found.returncode:
        raise SystemExit(found.stderr)
    return pathlib.Path(found.stdout.strip())


def until(look, what):
    """Polls until `look` finds something."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"waited {PATIENCE} s for {what}")
        time.sleep(0.1)
    return found


class Pods:
    """The pods that come into the namespace from now on, and what is said when they do not come."""

    def __init__(self, given):
        from kubernetes import client, config

        config.load_kube_config(given.kubeconfig)
        self.core, self.namespace = client.CoreV1Api(), given.namespace
        self.killed = given.killed
        self.earlier = ()
        self.earlier = frozenset(self.named(""))

    def named(self, selector):
        """Names of the pods with these labels, in alphabetical order."""
        found = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return sorted({pod.metadata.name for pod in found}.difference(self.earlier))

    def warnings(self):
        """What those who make pods could not do. What is said of a pod is no reason for another one to be missing."""
        events = self.core.list_namespaced_event(self.namespace, field_selector="type=Warning").items
        return [f"{e.reason}: {e.message}" for e in events if e.involved_object.kind not in ("Pod", "Node")]

    def wait(self, selector, count=1, maker=None):
        """The names as soon as there are `count`; gives up when there never are, or the process `maker` has ended."""
        end = time.monotonic() + PATIENCE
        warned = False
        while True:
            ended = maker is not None and maker.poll() is not None
            names = self.named(selector)
            if len(names) >= count:
                return names
            if ended or time.monotonic() > end:
                said = [f"{len(names)} of {count} pods with {selector}", *self.warnings()]
                raise SystemExit("\n".join(said + ["what makes them has ended"] * ended))
            # Of pods that are killed there are warnings, and the next try comes all the same.
            if not warned and not self.killed and self.warnings():
                warned, end = True, min(end, time.monotonic() + AFTER_WARNING)
            time.sleep(0.2)
