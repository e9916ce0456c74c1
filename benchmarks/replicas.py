"""What 2, 3 and 5 replicas do to ten workspaces on one PostgreSQL, beside one: the same load, one count after another.

Each workspace has 2,000 syncs and a webhook of its own, so that what one replica finds is mostly told by another. Each
count begins with new processes on the same database. When no part moves any more and the first round is over, there is
a span at rest, and then one with changes that are made at its beginning. In the end one replica runs again, which shows
how much the machine itself has changed meanwhile. Replicas, server and simulator share its cores: this shows what
sharing the work out costs, not what more machines bear.
"""

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.database import Database, Done
from benchmarks.engines import DURABLE
from benchmarks.processes import NOTIFIER, Process, Workspace, cpu_of, wait_until
from benchmarks.scene import Scene
from benchmarks.table import Figure, percentile
from tests.postgres.programs import REMEDY, programs
from tests.postgres.server import own_server

STAYS: Final = 3.0
"""Seconds in which no part changes hands once all have what they are to have."""
MOST_AWAITED: Final = 120.0
"""Seconds until they must have."""
AT_ONCE: Final = 5
"""Changes."""
EVERY: Final = 0.5
"""Seconds between two looks: a look at all workspaces costs the simulator something."""


@dataclass(frozen=True, slots=True)
class _Size:
    """How much, and for how many seconds."""

    counts: tuple[int, ...]
    workspaces: int
    syncs: int
    interval: int
    rest: int
    changes: int
    making: int
    """How long changes are made for."""

    @property
    def wanted(self) -> float:
        """Polls a second."""
        return self.workspaces * self.syncs / self.interval


FULL: Final = _Size((1, 2, 3, 5, 1), workspaces=10, syncs=2_000, interval=20, rest=10, changes=2_000, making=8)
SMOKE: Final = _Size((1, 2), workspaces=2, syncs=20, interval=1, rest=2, changes=10, making=1)


@dataclass(frozen=True, slots=True)
class _Look:
    """What all have used and done so far, or between two looks."""

    workers: float
    api: float
    polls: int
    server: Done

    def since(self, before: "_Look") -> "_Look":
        """Between the two."""
        return _Look(
            self.workers - before.workers,
            self.api - before.api,
            self.polls - before.polls,
            self.server.since(before.server),
        )


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a number of replicas came to."""

    count: int
    shares: list[int]
    rest: _Look
    changing: _Look
    told: int
    late: list[float]
    """By how many milliseconds a poll came later than the interval after the one before of its sync."""
    memory: list[float]
    waits: list[float]
    """Seconds from a change to its message."""
    lags: list[float]
    """Milliseconds from the answer that shows it."""

    def a_second(self, used: Callable[[_Look], float]) -> float:
        """At rest."""
        return used(self.rest) / self.rest.server.at

    def a_change(self, used: Callable[[_Look], float]) -> float:
        """Of what changes took beside polls at rest."""
        return (used(self.changing) - self.a_second(used) * self.changing.server.at) / self.told

    def transactions(self) -> float:
        """Committed a second while changes were found. The server adds those of a silent connection up late."""
        return self.changing.server.transactions / self.changing.server.at


class _Stage:
    """The workspaces, the database, and the directories of the workers."""

    def __init__(self, scene: Scene, size: _Size, spaces: Sequence[Workspace], database: Database) -> None:
        self._size = size
        self._spaces = spaces
        self._database = database
        self._api = scene.api.pid
        self._directory = scene.directory
        self._watchlist = _watchlist(size, spaces, database.url)
        self._chance = random.Random(17)

    def begin(self) -> None:
        """Makes the tables and all baselines, with one worker that ends again."""
        with self._replica(0):
            wait_until(lambda: self._polls() >= self._size.workspaces * self._size.syncs, 300, EVERY)

    def measure(self, count: int) -> _Measured:
        """Starts so many, waits until they have settled, looks, makes changes, waits for the messages."""
        for space in self._spaces:
            space.set_up(asked=[], happened={}, changed={}, posts=[], recording=True)
        polls = self._polls()
        with ExitStack() as stack:
            replicas = [stack.enter_context(self._replica(number)) for number in range(count)]
            wait_until(lambda: self._polls() >= polls + self._size.workspaces * self._size.syncs, 300, EVERY)
            shares = self._settled(count)
            started = self._look(replicas)
            time.sleep(self._size.rest)
            rested = self._look(replicas)
            self._make_changes()
            time.sleep(max(rested.server.at + self._size.making + self._size.interval + 1 - time.monotonic(), 0))
            wait_until(lambda: sum(space.count("posts") for space in self._spaces) >= self._size.changes, 120, EVERY)
            ended = self._look(replicas)
            memory = [replica.memory("VmRSS") / 1e6 for replica in replicas]
            seen = [space.seen() for space in self._spaces]
        told = sum(len(each["told"]) for each in seen)
        assert told == self._size.changes, f"{told} of {self._size.changes} changes were told"
        return _Measured(
            count,
            shares,
            rested.since(started),
            ended.since(rested),
            told,
            [late for each in seen for late in _late(each["asked"], started.server.at, self._size.interval)],
            memory,
            [each["told"][run] - at for each in seen for run, at in each["happened"].items()],
            [1e3 * (each["told"][run] - at) for each in seen for run, at in each["changed"].items()],
        )

    def _replica(self, number: int) -> Process:
        directory = self._directory / str(number)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "watchlist.yaml").write_text(self._watchlist)
        return Process([NOTIFIER, "run"], directory)

    def _settled(self, count: int) -> list[int]:
        """How many parts each has, once that stays and polls come at their pace, or can't within a minute."""
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < MOST_AWAITED:
            shares, polls, at = self._database.shares(), self._polls(), time.monotonic()
            time.sleep(STAYS)
            pace = (self._polls() - polls) / (time.monotonic() - at) / self._size.wanted
            stays = len(shares) == count and shares == self._database.shares()
            if stays and (abs(pace - 1) < 0.1 or waited > MOST_AWAITED / 2):
                return shares
        raise TimeoutError(f"{count} replicas do not come to rest: {shares}")

    def _make_changes(self) -> None:
        """At even distances, each of another sync: some of one workspace at a time, in turns."""
        begun, size, spaces = time.monotonic(), self._size, self._spaces
        chosen = [self._chance.sample(range(1, size.syncs + 1), size.changes // len(spaces)) for _ in spaces]
        steps = [(at, which) for at in range(0, size.changes // len(spaces), AT_ONCE) for which in range(len(spaces))]
        for number, (at, which) in enumerate(steps):
            time.sleep(max(begun + number * size.making / len(steps) - time.monotonic(), 0))
            spaces[which].tell("add_runs", chosen[which][at : at + AT_ONCE])

    def _polls(self) -> int:
        return sum(space.count("polls") for space in self._spaces)

    def _look(self, replicas: Sequence[Process]) -> _Look:
        workers = sum(replica.cpu for replica in replicas)
        return _Look(workers, cpu_of(self._api), self._polls(), self._database.done())


def measure(scene: Scene) -> list[Figure]:
    if programs() is None:
        return [Figure("several replicas", f"not measured: {REMEDY}")]
    size = SMOKE if scene.smoke else FULL
    with ExitStack() as stack:
        server = stack.enter_context(own_server(DURABLE))
        url = stack.enter_context(server.database())
        database = stack.enter_context(Database(server, url))
        spaces = [
            stack.enter_context(scene.api.workspace(f"replicas-{number}", size.syncs))
            for number in range(size.workspaces)
        ]
        stage = _Stage(scene, size, spaces, database)
        stage.begin()
        return _figures(size, [stage.measure(count) for count in size.counts])


def _watchlist(size: _Size, spaces: Sequence[Workspace], url: str) -> str:
    pace = f"poll_interval: {size.interval}s, max_requests_per_second: 5000, hints: false"
    lines = ["version: 1", f"database: '{url}'", "workspaces:"]
    lines += [f"  w{number}: {{api_key: key, base_url: {space.url}, {pace}}}" for number, space in enumerate(spaces)]
    lines += ["watches:", *(f"  - {{workspace: w{number}, syncs: all}}" for number in range(len(spaces)))]
    lines += ["receivers:"]
    lines += [f"  hook{number}: {{type: webhook, url: '{space.hook}'}}" for number, space in enumerate(spaces)]
    lines += ["routes:", *(f"  - {{workspaces: [w{n}], receivers: [hook{n}]}}" for n in range(len(spaces)))]
    return "\n".join([*lines, ""])


def _late(asked: Sequence[tuple[float, float, int]], begun: float, interval: float) -> list[float]:
    """Of each two polls of a sync that follow one another: how many milliseconds too late the second came."""
    times: defaultdict[int, list[float]] = defaultdict(list)
    for came, _, sync_id in asked:
        if came >= begun:
            times[sync_id].append(came)
    return [1e3 * (later - at - interval) for of in times.values() for at, later in itertools.pairwise(of)]


def _figures(size: _Size, measured: Sequence[_Measured]) -> list[Figure]:
    """A row for each of what was looked at; in it each count in turn."""

    def row(what: str, say: Callable[[_Measured], str]) -> Figure:
        counts = ", ".join(str(each.count) for each in measured)
        return Figure(f"{counts} replicas: {what}", "; ".join(map(say, measured)), "shown")

    def ratio(what: str, form: str, value: Callable[[_Measured], float]) -> Figure:
        first = value(measured[0]) or 1.0
        return row(what, lambda each: f"{value(each):{form}} ({value(each) / first:.2f} x)")

    def two(what: str, form: str, values: Callable[[_Measured], list[float]]) -> Figure:
        return row(what, lambda each: " and ".join(f"{percentile(values(each), at):{form}}" for at in (50, 99)))

    return [
        row("parts of each", lambda each: ", ".join(map(str, each.shares))),
        ratio(f"polls a second at rest, of {size.wanted:,.0f} wanted", ",.0f", lambda each: each.a_second(_polls)),
        two("a poll later than its interval, p50 and p99, ms", ".0f", lambda each: each.late),
        ratio("CPU of all workers at rest, s a second", ".3f", lambda each: each.a_second(_workers)),
        ratio("CPU of their connections at the server at rest, s a second", ".3f", lambda each: each.a_second(_server)),
        row("CPU of the simulator at rest, s a second", lambda each: f"{each.a_second(_api):.3f}"),
        ratio(
            "CPU of all workers, us a poll at rest", ".0f", lambda each: 1e6 * _workers(each.rest) / _polls(each.rest)
        ),
        ratio("CPU of all workers, ms a change", ".2f", lambda each: 1e3 * each.a_change(_workers)),
        ratio("CPU of their connections at the server, ms a change", ".2f", lambda each: 1e3 * each.a_change(_server)),
        ratio("writing transactions a second at rest", ".2f", lambda each: each.a_second(_writes)),
        ratio("transactions a second with changes, also of looks", ".0f", _Measured.transactions),
        ratio("writing transactions a change", ".2f", lambda each: each.a_change(_writes)),
        row("memory of each, MB", lambda each: f"{median(each.memory):.0f} (to {max(each.memory):.0f})"),
        two("change to message, p50 and p99, s", ".1f", lambda each: each.waits),
        two("seen to told, p50 and p99, ms", ".0f", lambda each: each.lags),
    ]


def _polls(look: _Look) -> float:
    return look.polls


def _workers(look: _Look) -> float:
    return look.workers


def _server(look: _Look) -> float:
    return look.server.cpu


def _api(look: _Look) -> float:
    return look.api


def _writes(look: _Look) -> float:
    return look.server.writes
