"""Row 2: the power fails. What was written and not synced is gone, or any part of it."""

import random
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from faults.account import (
    Kill,
    arrivals,
    has_told_all,
    kill_now,
    settle_accounts,
    watch_for_three,
    work_for_a_moment,
)
from faults.database import must_be_sound, pending, post_mortem
from faults.place import a_workplace, must_stop_well
from faults.row import Figures, Row, Size, must, say
from faults.shim import Point, Shim
from notifier.simulator import SimulatorThread
from tests.acceptance.story import Story
from tests.acceptance.workplace import Workplace

SYNCS = (51, 52, 53, 54, 55, 56)
CHANGES_A_LOSS = 5
POINTS: tuple[Point, ...] = ("wal-write", "wal-sync", "wal-synced", "db-write", "db-sync", "db-synced")
HEAVY = 60
"""So many runs with long errors fill the WAL, so that a checkpoint follows."""


def power(size: Size) -> Figures:
    """Each point once or more, the other times at random moments; every second time some of the unsynced survives."""
    chance = size.chance()
    moments: list[Point | None] = [*POINTS, *[None] * 6] * size.pick(1, 8)
    chance.shuffle(moments)
    checkpointed = hit = 0
    with a_workplace() as (workplace, simulator):
        shim = Shim(workplace)
        shim.keep_what_is_synced()
        simulator.sink.answer(delay=0.02)
        watch_for_three(workplace, simulator, SYNCS)
        story = Story(simulator, SYNCS, size.chance(1), pause=(0, 0.3))
        losses: list[Kill] = []
        wanted = sum(point is not None for point in moments)
        again = size.pick(4, 8)
        for number, point in enumerate(moments):  # which grows: a point that the worker did not come by is tried again
            torn = chance if number % 2 else None
            with story.told(CHANGES_A_LOSS):
                was_there = work_until(point, workplace, simulator, shim, story, chance)
                if was_there:
                    hit += 1
                elif point is not None and again:
                    again -= 1
                    moments.append(point)
                loss, after_checkpoint = lose_power(workplace, simulator, shim, torn)
            losses.append(loss)
            checkpointed += after_checkpoint
            if number % 12 == 11:
                say(f"power lost {number + 1} times, {story.changes} changes")
        workplace.start()
        workplace.wait_until(partial(has_told_all, workplace, simulator, story), timeout=size.pick(240, 600))
        must_stop_well(workplace)
        figures = dict(settle_accounts(workplace, simulator, story, losses))
    must(hit == wanted, f"of {wanted} named points only {hit} were reached")
    figures["power losses"] = figures.pop("kills")
    figures["of them at a named point"] = hit
    figures["after a checkpoint since the last"] = checkpointed
    figures["in the first start"] = in_the_first_start(size)
    return figures


def in_the_first_start(size: Size) -> str:
    """While the database is made: the next start makes it, or goes on with it."""
    points = size.chance(2).sample(POINTS, size.pick(2, len(POINTS)))
    with a_workplace() as (workplace, simulator):
        shim = Shim(workplace)
        simulator.add_run(simulator.add_sync(id=SYNCS[0])["id"], status="failed")
        for number, point in enumerate(points):
            for left in workplace.directory.glob("n.db*"):
                left.unlink()
            shim.keep_what_is_synced()
            shim.kill_at(point)
            ended = workplace.run("run", "--once")
            must(ended.returncode == -signal.SIGKILL, f"{point}: the first start ends with {ended.returncode}")
            shim.lose_power(size.chance(number) if number % 2 else None)
            again = workplace.run("run", "--once")
            must(again.returncode == 0, f"{point}: the start after that: {again}")
            must_be_sound(workplace.directory / "n.db")
        must(not simulator.sink.received, "a baseline is no news")
    return ", ".join(points)


def work_until(
    point: Point | None,
    workplace: Workplace,
    simulator: SimulatorThread,
    shim: Shim,
    story: Story,
    chance: random.Random,
) -> bool:
    """Lets the worker work for a moment, or until it is at a point; whether it was killed there."""
    work_for_a_moment(workplace, simulator, chance)
    if point is None or workplace.worker is None:
        return False
    shim.kill_at(point)
    if point.startswith("db"):
        story.runs += (
            simulator.add_run(chance.choice(SYNCS), status="completed", error_detail="x" * 40_000)["id"]
            for _ in range(HEAVY)
        )
        story.changes += HEAVY
    with suppress(subprocess.TimeoutExpired):
        workplace.worker.wait(timeout=30)
    return shim.has_killed(point)


def lose_power(
    workplace: Workplace, simulator: SimulatorThread, shim: Shim, torn: random.Random | None
) -> tuple[Kill, bool]:
    """The end, with what is unsettled in what survived; and whether there was a checkpoint before."""
    kill = kill_now(workplace, simulator)
    after_checkpoint = shim.lose_power(torn)
    must_hold(workplace, simulator)
    return replace(kill, pending=pending(workplace.directory / "n.db")), after_checkpoint


def must_hold(workplace: Workplace, simulator: SimulatorThread) -> None:
    """The database opens and is whole; what was said to be kept is kept: each event that a receiver got, and each
    delivery that the log calls done."""
    database = workplace.directory / "n.db"
    must_be_sound(database)
    with post_mortem(database) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'deliveries'").fetchall()
        must(tables == [(1,)], "the database has lost its tables")
        states = {
            (receiver, event_id): state
            for receiver, event_id, state in connection.execute("SELECT receiver, event_id, state FROM deliveries")
        }
    got = {(name, arrival.event_id) for name, came in arrivals(simulator).items() for arrival in came}
    _must_be_empty("receivers got events that the database has lost", got - states.keys())
    done = {(line["receiver"], line["event_id"]) for line in workplace.logged() if line["event"] == "event delivered"}
    _must_be_empty(
        "outcomes that were kept are lost", {delivery for delivery in done if states.get(delivery) != "delivered"}
    )


def _must_be_empty(what: str, lost: Iterable[tuple[str, str]]) -> None:
    listed = sorted(lost)
    must(not listed, f"{what}: {len(listed)}, {listed[:3]}")


ROW = Row(
    number=2,
    title="the power fails at random moments and in commits and checkpoints: only what was synced survives, or more",
    criterion=(
        "the database opens and is sound; no event that a receiver got and no outcome that was kept is lost; and in "
        "the end the same as after kills"
    ),
    run=power,
    limits=(900, 1200),
)
