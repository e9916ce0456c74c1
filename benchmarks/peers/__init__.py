"""What the clients cost that a user would otherwise script with, beside the worker: same API, same spans of time.

They look at one run by its ID until it ends, keep nothing and tell nobody; the worker looks at a sync's newest five
runs. All of the runs are working, and go on.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

from benchmarks.api import FIRST_RUN, LISTED
from benchmarks.processes import ROOT, Process, Workspace, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure

PYTHON: Final = ROOT / ".venv-peers" / "bin" / "python"
HERE: Final = Path(__file__).parent
SPANS: Final = 4
RATE: Final = 100  # polls a second
NEWEST: Final = str(FIRST_RUN + 1_000 + LISTED - 1)  # run of the first sync; those of the others are a thousand apart

Side: TypeAlias = tuple[str, Callable[[Path, Workspace], Process]]
"""A name for people, and what starts it."""


def measure(scene: Scene) -> list[Figure]:
    if not PYTHON.exists():
        return [Figure("peers", "not run: .venv-peers could not be made (benchmarks/peers/requirements.txt)")]
    syncs = scene.size(600, 20)
    interval = syncs / RATE

    def notifier(directory: Path, workspace: Workspace) -> Process:
        return worker(directory, workspace, active_poll_interval=f"{1_000 * interval:.0f}ms")

    def airflow(directory: Path, workspace: Workspace) -> Process:
        return airflow_triggers(directory, workspace, syncs, interval)

    def dagster(directory: Path, workspace: Workspace) -> Process:
        return Process([PYTHON, HERE / "dagster_polls.py", workspace.url, NEWEST, str(1 / RATE)], directory)

    sides: list[Side] = [
        ("the notifier", notifier),
        ("airflow-provider-census' triggers", airflow),
        ("dagster-census' poll_sync_run", dagster),
    ]
    with ExitStack() as stack:
        running: list[tuple[Process, Workspace]] = []
        for _, start in sides:
            workspace = stack.enter_context(scene.api.workspace(start.__name__, syncs, running=True))
            process = stack.enter_context(start(scene.directory / start.__name__, workspace))
            running.append((process, workspace))
        for _, workspace in running:
            workspace.wait_for("polls", 2 * syncs + RATE)
        costs, connections = _spans(scene, running)
        memory = [process.memory("VmRSS") / 1e6 for process, _ in running]
    ours, *others = zip(*costs, strict=True)
    ahead = min(median(their / our for our, their in zip(ours, theirs, strict=True)) for theirs in others)
    return [
        Figure("peers: CPU a poll at the same pace, beside the nearest", f"{ahead:.1f} x", ">= 3 x ahead", ahead >= 3),
        *_figures(sides, costs, connections, memory),
    ]


def _figures(
    sides: list[Side], costs: list[list[float]], connections: list[tuple[int, int]], memory: list[float]
) -> list[Figure]:
    return [
        Figure(
            f"peers: {name}",
            f"{median(values):.0f} us CPU a poll, {opened / polls:.2f} connections a poll, {used:.0f} MB",
        )
        for (name, _), values, (opened, polls), used in zip(
            sides, zip(*costs, strict=True), connections, memory, strict=True
        )
    ]


def airflow_triggers(directory: Path, workspace: Workspace, syncs: int, interval: float, *more: str) -> Process:
    """Looks at the newest run of each sync. `more`: a webhook to tell of those that have ended."""
    numbers = [NEWEST, "1000", str(syncs), str(interval)]
    return Process([PYTHON, HERE / "airflow_triggers.py", workspace.url, *numbers, *more], directory)


def _spans(scene: Scene, running: list[tuple[Process, Workspace]]) -> tuple[list[list[float]], list[tuple[int, int]]]:
    """For each span each side's CPU in us a poll; and each side's new connections and polls over all spans."""
    costs: list[list[float]] = []
    first = [(of.count("connections"), of.count("polls")) for _, of in running]
    for _ in range(SPANS):
        before = [(process.cpu, of.count("polls")) for process, of in running]
        time.sleep(scene.size(8, 1))
        after = [(process.cpu, of.count("polls")) for process, of in running]
        costs.append([1e6 * (a[0] - b[0]) / max(a[1] - b[1], 1) for a, b in zip(after, before, strict=True)])
    last = [(of.count("connections"), of.count("polls")) for _, of in running]
    return costs, [(b[0] - a[0], max(b[1] - a[1], 1)) for a, b in zip(first, last, strict=True)]
