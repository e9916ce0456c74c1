"""The cost of a poll from 100 to 20,000 syncs, at the same number of polls a second and in the same spans of time."""

import time
from contextlib import ExitStack
from statistics import median

from benchmarks.processes import worker_at_rest
from benchmarks.scene import Scene
from benchmarks.table import Figure

SPANS = 4
SPAN = 8.0  # seconds
RATE = 330  # polls a second: 20,000 syncs in the default interval


def measure(scene: Scene) -> list[Figure]:
    sizes, rate = ((100, 1_000, 10_000, 20_000), RATE) if not scene.smoke else ((10, 20), 20)
    with ExitStack() as stack:
        workspaces = [stack.enter_context(scene.api.workspace(f"growth-{syncs}", syncs)) for syncs in sizes]
        workers = [
            stack.enter_context(
                worker_at_rest(
                    scene.directory / str(syncs), workspace, syncs, poll_interval=f"{1_000 * syncs // rate}ms"
                )
            )[0]
            for syncs, workspace in zip(sizes, workspaces, strict=True)
        ]
        costs: list[list[float]] = []
        for _ in range(SPANS):
            before = [(process.cpu, of.count("polls")) for process, of in zip(workers, workspaces, strict=True)]
            time.sleep(SPAN if not scene.smoke else 1)
            after = [(process.cpu, of.count("polls")) for process, of in zip(workers, workspaces, strict=True)]
            costs.append([1e6 * (a[0] - b[0]) / (a[1] - b[1]) for a, b in zip(after, before, strict=True)])
    of_size = [median(values) for values in zip(*costs, strict=True)]
    growth = max(of_size) / min(of_size) - 1
    return [
        Figure(
            f"growth: CPU per poll at {', '.join(f'{syncs:,}' for syncs in sizes)} syncs",
            f"{', '.join(f'{cost:.0f}' for cost in of_size)} us: {growth:.0%} from end to end",
            "straight: within 30 %",
            growth <= 0.3,
        )
    ]
