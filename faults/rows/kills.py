"""Row 1: kill -9 at any moment, and at each moment that has a name."""

import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

from faults.account import (
    AT_ONCE,
    CHANNEL,
    POST,
    WEBHOOKS,
    Kill,
    arrivals,
    has_told_all,
    kill_now,
    settle_accounts,
    watch_for_three,
    work_for_a_moment,
)
from faults.database import post_mortem
from faults.place import a_workplace, must_stop_well
from faults.row import Figures, Row, Size, must, say
from faults.shim import Point, Shim
from notifier.simulator import Hang, SimulatorThread
from tests.acceptance.story import Story
from tests.acceptance.workplace import Workplace

SYNCS = (51, 52, 53, 54, 55, 56)
CHANGES_A_KILL = 5
QUIET = 1.2
"""Seconds without a write after which a worker that polls each second is at rest."""


def kills(size: Size) -> Figures:
    """Both kinds, and their figures."""
    named = at_named_points(size)
    return {**at_random_moments(size), "named points": named}


# --- at random moments ---


def at_random_moments(size: Size) -> Figures:
    """1,000 changes in the long form, a kill to every five."""
    wanted, chance = size.pick(12, 200), size.chance()
    with a_workplace() as (workplace, simulator):
        simulator.sink.answer(delay=0.08)  # so that a kill meets messages under way
        watch_for_three(workplace, simulator, SYNCS)
        story = Story(simulator, SYNCS, size.chance(1), pause=(0, 0.3))
        kills = []
        for number in range(wanted):
            with story.told(CHANGES_A_KILL):
                work_for_a_moment(workplace, simulator, chance)
                kills.append(kill_now(workplace, simulator))
            if number % 20 == 19:
                say(f"{number + 1} kills, {story.changes} changes, {len(simulator.sink.received)} webhooks")
        workplace.start()
        workplace.wait_until(partial(has_told_all, workplace, simulator, story), timeout=size.pick(240, 600))
        must_stop_well(workplace)
        return settle_accounts(workplace, simulator, story, kills)


# --- at named points ---


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a point is met: all three receivers wait for a run that fails."""

    workplace: Workplace
    simulator: SimulatorThread
    shim: Shim
    story: Story

    def fail_a_run(self) -> None:
        number = len(self.story.runs)
        run = self.simulator.add_run(SYNCS[0], status="failed", error_code="BROKE", error_message=f"the {number}th")
        self.story.runs.append(run["id"])
        self.story.changes += 1

    def rest(self) -> None:
        """Waits for a moment in which the worker's next commit is of what happens next: not while it writes, and not
        long after, for it tries a database that it has not written for 5 seconds."""
        wal = self.workplace.directory / "n.db-wal"
        written = None
        while written != (written := wal.stat().st_mtime_ns):
            time.sleep(QUIET)

    def die_at(self, point: Point) -> Kill:
        """Waits until the shim has killed the worker there."""
        code = None if self.workplace.worker is None else self.workplace.worker.wait(timeout=30)
        must(code == -signal.SIGKILL and self.shim.has_killed(point), f"{point}: the worker ended with {code}")
        return kill_now(self.workplace, self.simulator)

    @contextmanager
    def all_asked(self) -> Iterator[None]:
        """A run fails; inside, each receiver has been sent the message and has not answered. Afterwards they do."""
        hooks, posts = len(self.simulator.sink.received), self._posts()
        hanging = (self.simulator.sink.hang(), self.simulator.slack.fault(Hang(), method=POST))
        try:
            self.fail_a_run()
            self.workplace.wait_until(
                lambda: len(self.simulator.sink.received) == hooks + len(WEBHOOKS) and self._posts() == posts + 1
            )
            yield
        finally:
            for fault in hanging:
                fault.clear()

    def all_have_said_yes(self) -> bool:
        return all(a.accepted for a in self.simulator.sink.received[-len(WEBHOOKS) :]) and all(
            request.accepted for request in self.simulator.slack.requests[-1:]
        )

    def _posts(self) -> int:
        return sum(request.method == POST for request in self.simulator.slack.requests)


def before_the_commit(scene: Scene) -> Kill:
    scene.shim.kill_at("wal-write")
    scene.fail_a_run()
    return scene.die_at("wal-write")


def in_the_commit(scene: Scene) -> Kill:
    scene.shim.kill_at("wal-sync")
    scene.fail_a_run()
    return scene.die_at("wal-sync")


def after_the_commit(scene: Scene) -> Kill:
    scene.shim.kill_at("wal-synced")
    scene.fail_a_run()
    return scene.die_at("wal-synced")


def in_mid_send(scene: Scene) -> Kill:
    with scene.all_asked():
        return kill_now(scene.workplace, scene.simulator)


def after_the_yes(scene: Scene) -> Kill:
    """Another process holds the write lock, so that the outcomes can't be kept."""
    with closing(sqlite3.connect(scene.workplace.directory / "n.db", isolation_level=None)) as lock:
        with scene.all_asked():
            lock.execute("BEGIN IMMEDIATE")
        scene.workplace.wait_until(scene.all_have_said_yes)
        return kill_now(scene.workplace, scene.simulator)


def while_recording_it(scene: Scene) -> Kill:
    with scene.all_asked():
        scene.shim.kill_at("wal-sync")
    return scene.die_at("wal-sync")


def after_recording_it(scene: Scene) -> Kill:
    with scene.all_asked():
        scene.shim.kill_at("wal-synced")
    return scene.die_at("wal-synced")


EVERYONE = {*WEBHOOKS, CHANNEL}


@dataclass(frozen=True, slots=True)
class Left:
    """What a kill at a point must have left, which shows that it hit: whether the event is recorded, how many of its
    outcomes are not, at least and at most, and who got the message."""

    recorded: bool
    unsettled: tuple[int, int]
    received: set[str]


POINTS: Mapping[Callable[[Scene], Kill], Left] = {
    before_the_commit: Left(False, (0, 0), set()),
    in_the_commit: Left(True, (3, 3), set()),
    after_the_commit: Left(True, (3, 3), set()),
    in_mid_send: Left(True, (3, 3), {*WEBHOOKS}),
    after_the_yes: Left(True, (3, 3), EVERYONE),
    while_recording_it: Left(True, (0, 2), EVERYONE),
    after_recording_it: Left(True, (0, 2), EVERYONE),
}


def at_named_points(size: Size) -> str:
    """At each point: a run fails, the worker dies there; what that left; and the next worker does the rest."""
    with a_workplace() as (workplace, simulator):
        scene = Scene(workplace, simulator, Shim(workplace), Story(simulator, SYNCS, size.chance()))
        watch_for_three(workplace, simulator, SYNCS)
        scene.rest()
        kills: list[Kill] = []
        for point, left in POINTS.items():
            before = _received(simulator)
            kills.append(point(scene))
            _must_have_left(scene, point.__name__, kills[-1], left, _received(simulator) - before)
            workplace.start()
            workplace.wait_until(partial(has_told_all, workplace, simulator, scene.story))
            scene.rest()
        must_stop_well(workplace)
        settle_accounts(workplace, simulator, scene.story, kills)
    return ", ".join(point.__name__ for point in POINTS)


def _received(simulator: SimulatorThread) -> Counter[str]:
    return Counter({name: len(came) for name, came in arrivals(simulator).items()})


def _must_have_left(scene: Scene, name: str, kill: Kill, left: Left, came: Counter[str]) -> None:
    run = scene.story.runs[-1]
    with post_mortem(scene.workplace.directory / "n.db") as connection:
        [(events,)] = connection.execute("SELECT count(*) FROM events WHERE run_id = ?", (run,))
    must(events == left.recorded, f"{name}: {events} events are recorded")
    least, most = left.unsettled
    must(least <= sum(map(len, kill.pending.values())) <= most, f"{name}: unsettled are {kill.pending}")
    must(came.keys() == left.received and set(came.values()) <= {1}, f"{name}: received were {came}")


ROW = Row(
    number=1,
    title="kill -9 at random moments of a story told to two webhooks and a Slack channel, and at each named point",
    criterion=(
        "each change is told to each receiver, in order by sync, under one ID and in the same bytes; what came again "
        f"was on its way at a kill, at most {AT_ONCE} of a receiver, and nothing to Slack, which can be asked"
    ),
    run=kills,
    limits=(900, 1800),
)
