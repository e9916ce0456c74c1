"""A workspace at rest: the worker's CPU per poll beside the leanest loop's, its memory, and new connections.

All processes run at once and are looked at in the same spans of time, so that what else the machine does is the same
for both sides of a ratio.
"""

import time
from contextlib import ExitStack
from statistics import median

from benchmarks.processes import Process, Workspace, lean, worker_at_rest
from benchmarks.scene import Scene
from benchmarks.table import Figure, spread

SPANS = 5


def measure(scene: Scene) -> list[Figure]:
    interval = scene.size(60, 2)
    sizes = (1_000, 10_000) if not scene.smoke else (20, 40)
    with ExitStack() as stack:
        pairs = [_pair(scene, stack, syncs, interval) for syncs in sizes]
        time.sleep(1)  # the lean loops have begun
        connections = pairs[0].of_worker.count("connections")
        for _ in range(SPANS):
            for pair in pairs:
                pair.begin()
            time.sleep(interval / SPANS)
            for pair in pairs:
                pair.end()
        figures = [pair.figure() for pair in pairs]
        peak, first_peak = pairs[-1].worker.memory("VmHWM") / 1e6, pairs[-1].first_peak / 1e6
        new = pairs[0].of_worker.count("connections") - connections
    return [
        *figures,
        Figure(
            f"peak memory, {sizes[-1]:,} syncs at rest",
            f"{peak:.0f} MB (the very first start {first_peak:.0f} MB)",
            "<= 120 MB",
            peak <= 120,
        ),
        Figure(f"new connections in a round, {sizes[0]:,} syncs", str(new), "none", new == 0),
    ]


class _Pair:
    """The worker and the lean loop, each with as many syncs and as many polls a second."""

    def __init__(
        self,
        syncs: int,
        worker: Process,
        of_worker: Workspace,
        lean: Process,
        of_lean: Workspace,
        first_peak: int,
    ) -> None:
        self.syncs = syncs
        self.first_peak = first_peak
        self.worker = worker
        self.of_worker = of_worker
        self._sides = ((worker, of_worker), (lean, of_lean))
        self._before: list[tuple[float, int]] = []
        self._costs: list[list[float]] = []

    def begin(self) -> None:
        self._before = self._now()

    def end(self) -> None:
        while any(polls == old for (_, old), (_, polls) in zip(self._before, self._now(), strict=True)):
            time.sleep(0.05)  # a smoke is short, and the machine may be busy
        spent = zip(self._before, self._now(), strict=True)
        self._costs.append([1e6 * (cpu - before) / (polls - old) for (before, old), (cpu, polls) in spent])

    def _now(self) -> list[tuple[float, int]]:
        return [(process.cpu, workspace.count("polls")) for process, workspace in self._sides]

    def figure(self) -> Figure:
        ratios = [ours / theirs for ours, theirs in self._costs]
        ours, theirs = (median(costs) for costs in zip(*self._costs, strict=True))
        return Figure(
            f"CPU per poll at rest, {self.syncs:,} syncs",
            f"{spread(ratios)} x: {ours:.0f} us beside {theirs:.0f} us",
            "<= 1.5 x the leanest loop",
            median(ratios) <= 1.5,
        )


def _pair(scene: Scene, stack: ExitStack, syncs: int, interval: int) -> _Pair:
    of_worker = stack.enter_context(scene.api.workspace(f"rest-{syncs}", syncs))
    of_lean = stack.enter_context(scene.api.workspace(f"lean-{syncs}", syncs))
    directory = scene.directory / str(syncs)
    ours, peak = stack.enter_context(
        worker_at_rest(directory / "worker", of_worker, syncs, poll_interval=f"{interval}s")
    )
    theirs = stack.enter_context(lean(directory / "lean", of_lean, syncs, interval=interval))
    return _Pair(syncs, ours, of_worker, theirs, of_lean, peak)
