"""From a change in Census to the message, with the watchlist's defaults: 60 s, 10 s, 10 requests a second.

Random syncs change at random moments; each change is a run that has completed. Measured from the moment from which on
an answer shows it to the receiver's request. What a user would script has the same budget and a webhook too. All sides
run at once, because they mostly wait.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import hinted
from benchmarks.peers import PYTHON, airflow_triggers
from benchmarks.processes import Process, Workspace, plain, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure, percentile

RATE: Final = 10  # requests a second
PATIENCE: Final = 300  # seconds after the last change until nothing more is waited for
MOST_AWAITED: Final = 2_000  # polls; of more syncs, changes begin while they are in their first round
OURS: Final = "the notifier, "


@dataclass(frozen=True, slots=True)
class _Side:
    """Something that watches so many syncs, of which so many change."""

    name: str
    syncs: int
    changes: int
    start: Callable[[Path, Workspace], Process]
    is_trusting: bool = False
    announces: bool = True
    by_run: bool = False
    """It looks at runs that are under way, until they end."""
    middle: float | None = None
    late: float | None = None
    """Seconds that p50 and p99 may be."""

    @property
    def is_ours(self) -> bool:
        return self.name.startswith(OURS)


class _Scene:
    """A side, its workspace, and what it took."""

    def __init__(self, side: _Side, workspace: Workspace, directory: Path) -> None:
        self.side = side
        self.workspace = workspace
        self._directory = directory
        self.began = (0.0, 0)
        self.requests = 0.0

    def prepare(self) -> None:
        """Has the notifier know all syncs, and trust the list where it is to."""
        if self.side.is_trusting:
            hinted.learn(self._directory, self.workspace, self.side.syncs)
        if self.side.is_ours:
            hinted.know(self._directory, self.workspace, self.side.syncs)

    def start(self) -> Process:
        self.workspace.set_up(happened={}, changed={}, posts=[])
        self._asked = self.workspace.count("polls")
        return self.side.start(self._directory, self.workspace)

    def has_begun(self) -> bool:
        """It has looked at all of its syncs since its start, or at so many."""
        return self.workspace.count("polls") - self._asked >= min(self.side.syncs, MOST_AWAITED)

    def count(self) -> None:
        """From now on, requests count."""
        self.began = (time.monotonic(), self.workspace.count("requests"))

    def counted(self) -> None:
        """Up to now, requests have counted."""
        at, before = self.began
        self.requests = 60 * (self.workspace.count("requests") - before) / (time.monotonic() - at)

    def change(self, sync_id: int) -> None:
        self.workspace.tell("end_runs" if self.side.by_run else "add_runs", [sync_id])

    def is_over(self) -> bool:
        return self.workspace.count("posts") >= self.side.changes

    def figure(self) -> Figure:
        seen = self.workspace.seen()
        took = [seen["told"][run] - at for run, at in seen["happened"].items() if run in seen["told"]]
        missed = len(seen["happened"]) - len(took)
        what = f"change to message, {self.side.name}"
        if len(took) < 2:
            return Figure(what, f"{len(took)} of {missed + len(took)} told of", "", None)
        middle, late = percentile(took, 50), percentile(took, 99)
        lost = f", {missed} not told within {PATIENCE} s" if missed else ""
        to_reach, reached = "", None
        if self.side.middle is not None and self.side.late is not None:
            to_reach = f"p50 {self.side.middle:g} s, p99 {self.side.late:g} s"
            reached = middle <= self.side.middle and late <= self.side.late and not missed
        return Figure(
            what,
            f"p50 {middle:.1f} s, p99 {late:.1f} s of {len(took)}{lost}; {self.requests:.0f} requests a minute",
            to_reach,
            reached,
        )


def measure(scene: Scene) -> list[Figure]:
    over = scene.size(150, 6)
    with ExitStack() as stack:
        scenes = []
        for number, side in enumerate(_sides(scene)):
            options = {"announces": side.announces, "running": side.by_run}
            workspace = stack.enter_context(scene.api.workspace(f"news-{number}", side.syncs, **options))
            scenes.append(_Scene(side, workspace, scene.directory / str(number)))
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(_Scene.prepare, scenes))
        for each in scenes:
            stack.enter_context(each.start())
        _wait(scenes, _Scene.has_begun, 600)
        for each in scenes:
            each.count()
        _make_changes(scenes, over)
        for each in scenes:
            each.counted()
        _wait(scenes, _Scene.is_over, PATIENCE)
        return [each.figure() for each in scenes]


def _wait(scenes: list[_Scene], condition: Callable[[_Scene], bool], within: float) -> None:
    """Until it holds for all, or for so many seconds."""
    give_up = time.monotonic() + within
    while time.monotonic() < give_up and not all(condition(each) for each in scenes):
        time.sleep(1)


def _make_changes(scenes: list[_Scene], over: float) -> None:
    """Of each so many syncs change once, at moments that are random and the same in each run."""
    chance = random.Random(17)
    changes = []
    for each in scenes:
        chosen = chance.sample(range(1, each.side.syncs + 1), each.side.changes)
        changes += [(chance.uniform(0, over), each, sync_id) for sync_id in chosen]
    begun = time.monotonic()
    for at, each, sync_id in sorted(changes, key=lambda change: change[0]):
        time.sleep(max(begun + at - time.monotonic(), 0))
        each.change(sync_id)


def _sides(scene: Scene) -> list[_Side]:
    few, many, most = (100, 2_000, 10_000) if not scene.smoke else (10, 20, 30)
    changes, fewer = scene.size(150, 6), scene.size(100, 6)  # the latter where it takes minutes
    rest, active = f"{scene.size(60, 3)}s", f"{scene.size(10, 1)}s"
    defaults = partial(worker, poll_interval=rest, active_poll_interval=active, rate=RATE)
    unhinted = partial(defaults, hints=False)
    sides = [
        _Side(f"{OURS}{few:,} syncs, hints trusted", few, fewer, defaults, is_trusting=True),
        _Side(f"{OURS}{many:,} syncs, hints trusted", many, changes, defaults, is_trusting=True, middle=6, late=12),
        _Side(f"{OURS}{most:,} syncs, hints trusted", most, changes, defaults, is_trusting=True),
        _Side(f"{OURS}{many:,} syncs, hints off", many, fewer, unhinted),
        _Side(f"{OURS}{many:,} syncs, nothing announced", many, fewer, defaults, announces=False),
        *(
            _Side(f"a plain poller, {syncs:,} syncs", syncs, fewer, partial(plain, syncs=syncs, rate=RATE))
            for syncs in (few, many)
        ),
    ]
    if scene.smoke:
        sides = [side for side in sides if side.syncs == many]  # the others are these, with fewer syncs or more
    if PYTHON.exists():
        sides.append(_Side(f"airflow's triggers, {many:,} runs", many, fewer, partial(_airflow, many), by_run=True))
    return sides


def _airflow(syncs: int, directory: Path, workspace: Workspace) -> Process:
    return airflow_triggers(directory, workspace, syncs, syncs / RATE, workspace.hook)
