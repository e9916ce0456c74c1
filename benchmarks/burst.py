"""10,000 working runs complete at the same moment; one webhook receiver is to be told of all of them.

With the default intervals: each run is looked at every ten seconds, so that the last of them is first seen about that
much later. The worker is confined to one core.
"""

import os
import time

from benchmarks.processes import worker
from benchmarks.scene import Scene
from benchmarks.table import Figure


def measure(scene: Scene) -> list[Figure]:
    syncs = scene.size(10_000, 30)
    active = scene.size(10, 1)
    core = {min(os.sched_getaffinity(0))}
    with (
        scene.api.workspace("burst", syncs, running=True) as workspace,
        worker(
            scene.directory / "worker", workspace, active_poll_interval=f"{active}s", rate=5_000, cores=core
        ) as process,
    ):
        workspace.wait_for("polls", 2 * syncs)
        time.sleep(active)
        cpu, at = process.cpu, time.monotonic()
        workspace.tell("finish_runs")
        workspace.wait_for("posts", syncs, 180)
        cpu = process.cpu - cpu
        seen = workspace.seen()
    assert len(seen["told"]) == syncs
    took = max(seen["told"].values()) - at
    first_seen = max(seen["changed"].values()) - at
    return [
        Figure(
            f"burst: {syncs:,} runs change at once, one webhook",
            f"{took:.1f} s (the last seen after {first_seen:.1f} s); CPU {1e3 * cpu / syncs:.2f} ms a change",
            "all told within 10 s, one core",
            took <= 10,
        )
    ]
