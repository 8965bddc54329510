"""What the programs here share: the environment of an engine, the snippet from standard input, the answer.

Each takes the name of a form as its argument, reads a snippet of that form from standard input, hands it to the
engine's own code, and prints the containers that the engine then gives its pod.
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
sys.dont_write_bytecode = True
import client  # noqa: E402

_answer = None


def enter(environment):
    """Goes on in that environment; from here on standard output is for the answer alone."""
    global _answer
    client.enter(environment)
    _answer = os.dup(1)
    os.dup2(2, 1)
    return sys.argv[1], sys.stdin.read()


def run(code):
    """Runs Python that is to be pasted; its names."""
    names = {}
    exec(compile(code, "snippet", "exec"), names)
    return names


def answer(pod_spec):
    """Prints name and resources of the containers."""
    containers = [{"name": c["name"], "resources": c.get("resources") or {}} for c in pod_spec["containers"]]
    os.write(_answer, (json.dumps(containers) + "\n").encode())


def plain(of_client):
    """An object of the Kubernetes client as JSON."""
    from kubernetes.client import ApiClient

    return ApiClient().sanitize_for_serialization(of_client)
