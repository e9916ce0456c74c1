"""For .ci/metrics: `metrics` prints an exposition in which everything occurs, `queries` the dashboard's as rules."""

import asyncio
import json
import sys
from pathlib import Path

from notifier.model.api_version import RETIRES_ON, ApiVersion
from notifier.model.delivery import Backlog
from notifier.model.meters import DeliveryOutcome, PollOutcome
from notifier.service.metrics import Metrics, Sources, WorkspaceGauges

ROOT = Path(__file__).parents[1]


async def metrics() -> str:
    async def backlog() -> Backlog:
        return Backlog({}, {}, {}, {})

    told = Metrics("0")
    workspace, receiver = told.workspace("production"), told.receiver("hook")
    workspace.poll_ended(PollOutcome.OK, 0.1)
    workspace.request_ended(429)
    receiver.attempt_ended(DeliveryOutcome.DELIVERED, 1.0)
    gauges = {"production": WorkspaceGauges(True, 1, retires_on=RETIRES_ON[ApiVersion.V1])}
    await told.refresh(Sources(lambda: gauges, lambda: {"hook": True}, backlog))
    return told.exposition()[0].decode()


def queries() -> str:
    panels = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    rules = [
        {"record": f"dashboard:query{place}", "expr": expr.replace("$__rate_interval", "5m")}
        for place, expr in enumerate(asked)
    ]
    return json.dumps({"groups": [{"name": "dashboard", "rules": rules}]})


sys.stdout.write(queries() if sys.argv[1] == "queries" else asyncio.run(metrics()))
