"""A workspace at rest: the worker's CPU per poll beside the leanest loop's, its memory, and new connections.

The leanest loop stands there twice: it spreads its polls evenly, as the obvious one does, and it begins those of a tick
together, as the worker does. All processes run at once and are looked at in the same spans of time, so that what else
the machine does is the same for all sides of a ratio.
"""

import time
from contextlib import ExitStack
from statistics import median

from benchmarks.processes import Process, Workspace, lean, worker_at_rest
from benchmarks.scene import Scene
from benchmarks.table import Figure, spread

SPANS = 5
TICK = 0.25  # seconds, as the worker's


def measure(scene: Scene) -> list[Figure]:
    interval = scene.size(60, 2)
    sizes = (1_000, 10_000) if not scene.smoke else (20,)
    with ExitStack() as stack:
        sides = [_sides(scene, stack, syncs, interval) for syncs in sizes]
        time.sleep(1)  # the lean loops have begun
        connections = sides[0].of_worker.count("connections")
        for _ in range(SPANS):
            for each in sides:
                each.begin()
            time.sleep(interval / SPANS)
            for each in sides:
                each.end()
        figures = [figure for each in sides for figure in each.figures()]
        peak, first_peak = sides[-1].worker.memory("VmHWM") / 1e6, sides[-1].first_peak / 1e6
        new = sides[0].of_worker.count("connections") - connections
    return [
        *figures,
        Figure(
            f"peak memory, {sizes[-1]:,} syncs at rest",
            f"{peak:.0f} MB (the very first start {first_peak:.0f} MB)",
            "<= 110 MB",
            peak <= 110,
        ),
        Figure(f"new connections in a round, {sizes[0]:,} syncs", str(new), "none", new == 0),
    ]


class _Sides:
    """The worker and the lean loops, each with as many syncs and as many polls a second."""

    def __init__(self, syncs: int, sides: list[tuple[Process, Workspace]], first_peak: int) -> None:
        self.syncs = syncs
        self.first_peak = first_peak
        self.worker, self.of_worker = sides[0]
        self._sides = sides
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

    def figures(self) -> list[Figure]:
        ours, *others = (list(costs) for costs in zip(*self._costs, strict=True))
        return [
            self._figure(ours, theirs, *beside)
            for theirs, beside in zip(
                others,
                (("spread evenly", "the leanest loop", 0.5), ("in ticks", "the same loop in ticks", 1.6)),
                strict=True,
            )
        ]

    def _figure(self, ours: list[float], theirs: list[float], how: str, beside: str, most: float) -> Figure:
        ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
        return Figure(
            f"CPU per poll at rest, {self.syncs:,} syncs, beside polls {how}",
            f"{spread(ratios)} x: {median(ours):.0f} us beside {median(theirs):.0f} us",
            f"<= {most:g} x {beside}",
            median(ratios) <= most,
        )


def _sides(scene: Scene, stack: ExitStack, syncs: int, interval: int) -> _Sides:
    names = ("worker", "even", "ticks")
    ours, even, ticks = (stack.enter_context(scene.api.workspace(f"rest-{name}-{syncs}", syncs)) for name in names)
    directory = scene.directory / str(syncs)
    worker, peak = stack.enter_context(worker_at_rest(directory / "worker", ours, syncs, poll_interval=f"{interval}s"))
    sides = [(worker, ours)]
    for workspace, name, tick in ((even, "even", 0.0), (ticks, "ticks", TICK)):
        loop = lean(directory / name, workspace, syncs, interval=interval, tick=tick)
        sides.append((stack.enter_context(loop), workspace))
    return _Sides(syncs, sides, peak)
