"""Pods as Prefect's Kubernetes worker makes them: its own job template and preparation, then the Job controller.

No server: the flow runs, flows and deployments are the client's own objects with the fields that the worker reads.
"""

import asyncio
import os
import uuid
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

os.environ.update(PREFECT_API_URL="http://prefect-server.prefect.svc:4200/api", PREFECT_LOGGING_LEVEL="ERROR")

import common  # noqa: E402
from prefect.client.schemas.objects import Flow, FlowRun, WorkPool  # noqa: E402
from prefect.client.schemas.responses import DeploymentResponse  # noqa: E402
from prefect_kubernetes.worker import KubernetesWorker  # noqa: E402

POOL = WorkPool(
    id=uuid.uuid4(),
    name="k8s-pool",
    type="kubernetes",
    base_job_template=KubernetesWorker.get_default_base_job_template(),
)
DEPLOYED = datetime(2026, 11, 20, 8, 30, tzinfo=timezone.utc)
SIZES = {"memory_request": "512Mi", "memory_limit": "1Gi", "cpu_request": "250m", "image": "registry.example/flows:7"}


def flow(name):
    """A registered flow."""
    return Flow(id=uuid.uuid4(), name=name)


def deployment(of, name):
    """A deployment of a flow."""
    return DeploymentResponse(id=uuid.uuid4(), name=name, flow_id=of.id, updated=DEPLOYED)


def flow_run(of, by=None, name=None):
    """A run, with the two random words of Prefect as its name unless one is given."""
    named = {"name": name} if name else {}
    return FlowRun(id=uuid.uuid4(), flow_id=of.id, deployment_id=by and by.id, **named)


def job(of, by, one, **variables):
    """The Job manifest that the worker submits for a flow run."""
    kind = KubernetesWorker.job_configuration
    template = POOL.base_job_template
    made = asyncio.run(kind.from_template_and_values(template, {**SIZES, **variables}, client=SimpleNamespace()))
    made.prepare_for_flow_run(one, by, of, POOL, "worker-7f9c", worker_id=uuid.uuid4())
    return made.job_manifest


def run():
    """Makes all of them."""
    cluster = common.Cluster("prefect")

    def keep(name, manifest):
        common.write("prefect", name, cluster.job_pods(manifest)[0])

    customers, orders = flow("load-customers"), flow("load-orders")
    prod, staging, orders_prod = (
        deployment(customers, "prod"),
        deployment(customers, "staging"),
        deployment(orders, "prod"),
    )
    first = flow_run(customers, prod)
    keep("customers-prod-run1", job(customers, prod, first))
    keep("customers-prod-run1-rescheduled", job(customers, prod, first))
    redeployed = prod.model_copy(update={"updated": DEPLOYED + timedelta(days=1)})
    keep("customers-prod-run2-redeployed", job(customers, redeployed, flow_run(customers, prod)))
    keep("customers-staging-run1", job(customers, staging, flow_run(customers, staging)))
    for number in (1, 2):
        keep(f"orders-prod-run{number}", job(orders, orders_prod, flow_run(orders, orders_prod)))

    dated = deployment(orders, "nightly")
    for number in (1, 2):
        keep(f"orders-dated-run{number}", job(orders, dated, flow_run(orders, dated, f"orders-2026-11-2{number}")))
        keep(
            f"orders-named-job-run{number}", job(orders, orders_prod, flow_run(orders, orders_prod), name="orders-job")
        )
        keep(f"no-deployment-run{number}", job(orders, None, flow_run(orders)))

    shouting, asking = flow("Export Orders!"), flow("Export Orders?")
    by, other = deployment(shouting, "Every Night (EU)"), deployment(asking, "Every Night (EU)")
    for number in (1, 2):
        keep(f"odd-name-run{number}", job(shouting, by, flow_run(shouting, by)))
    keep("odd-name-same-slug", job(asking, other, flow_run(asking, other)))


if __name__ == "__main__":
    common.main(run)
