"""Requests a minute of a workspace at rest, as far as its list of syncs is trusted; with the default intervals.

Once with a budget that no interval is stretched for, and once with the default one. Beside them a plain poller of the
newest run. All sides run at once and are counted in the same minutes.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from benchmarks import hinted
from benchmarks.processes import Process, plain, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure

UNBOUND: Final = 5_000  # requests a second, more than anything here asks for
DEFAULT: Final = 10
SIDES: Final = ("trusted", "learning", "off", "a plain poller")


def measure(scene: Scene) -> list[Figure]:
    """A row for each size and budget."""
    few, many = scene.size(1_000, 20), 10_000
    interval = scene.size(60, 2)
    rows = [(few, UNBOUND), (many, UNBOUND), (few, DEFAULT)]
    if scene.smoke:
        rows.remove((many, UNBOUND))  # the first, with more syncs
    with ExitStack() as stack:
        sides = [_Side(scene, stack, name, syncs, rate, interval) for syncs, rate in rows for name in SIDES]
        with ThreadPoolExecutor(len(rows)) as threads:
            list(threads.map(_Side.learn, sides))
        for side in sides:
            stack.enter_context(side.start())
        for side in sides:
            side.workspace.wait_for("polls", side.polls)
        time.sleep(interval)  # each that is polled seldom has left its old place
        before, at = [side.workspace.count("requests") for side in sides], time.monotonic()
        time.sleep(2 * interval)
        minutes = (time.monotonic() - at) / 60
        counts = [(side.workspace.count("requests") - old) / minutes for side, old in zip(sides, before, strict=True)]
    return [
        _figure(syncs, rate, counts[number * len(SIDES) : (number + 1) * len(SIDES)])
        for number, (syncs, rate) in enumerate(rows)
    ]


class _Side:
    """Something that watches a workspace of its own, with so many syncs and requests a second."""

    def __init__(self, scene: Scene, stack: ExitStack, name: str, syncs: int, rate: int, interval: int) -> None:
        called = f"{name.replace(' ', '-')}-{syncs}-{rate}"
        self.workspace = stack.enter_context(scene.api.workspace(f"requests-{called}", syncs, announces=True))
        self.polls = 0  # that there will have been once each sync was polled
        self._directory = scene.directory / called
        self._name, self._syncs, self._rate, self._interval = name, syncs, rate, interval

    def learn(self) -> None:
        if self._name == "trusted":
            hinted.learn(self._directory, self.workspace, self._syncs)

    def start(self) -> Process:
        self.polls = self.workspace.count("polls") + self._syncs
        if self._name == "a plain poller":
            return plain(self._directory, self.workspace, self._syncs, min(self._syncs / self._interval, self._rate))
        return worker(
            self._directory,
            self.workspace,
            poll_interval=f"{self._interval}s",
            active_poll_interval=f"{1_000 * self._interval // 6}ms",
            rate=self._rate,
            hints=self._name != "off",
        )


def _figure(syncs: int, rate: int, counts: list[float]) -> Figure:
    of = dict(zip(SIDES, counts, strict=True))
    part = of["trusted"] / of["off"]
    beside = ", ".join(f"{count:,.0f} {name}" for name, count in of.items())
    is_bound = rate == DEFAULT
    return Figure(
        f"requests a minute at rest, {syncs:,} syncs{', at most 10 a second' if is_bound else ''}",
        f"{part:.2f} x hints off: {beside}",
        "" if is_bound else "trusted <= 0.2 x off",
        None if is_bound else part <= 0.2,
    )
