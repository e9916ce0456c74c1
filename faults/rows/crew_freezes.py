"""Row 13: one of three workers on one PostgreSQL server is frozen for longer than its lease, and goes on."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from faults.account import AT_ONCE, POST, WEBHOOKS, Kill, settle
from faults.crew import NAMES, OWNERS, Crew, a_crew, a_server, again
from faults.line import Line
from faults.row import Figures, Row, Size, must, say
from faults.writers import log_writers, must_have_written_alone
from notifier.simulator import Hang
from tests.acceptance.story import Story

SYNCS = (51, 52, 53, 54, 55, 56)
STILL = 6.0
"""Seconds in which a worker that is not frozen must have moved its row."""
LATE = 5.0
"""Seconds in which one that goes on may still send what it had begun."""
AT_THE_SERVER = (
    "SELECT application_name, state, wait_event_type, wait_event, (now() - state_change)::text, left(query, 80) "
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
UNDER_WAY = 1.0
"""Seconds in which a worker that has an answer begins to keep it."""
SIGNS = "SELECT name, id, beats, written FROM replicas"
BLOCKED = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
INSIDE = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND state LIKE 'idle in transaction%%'"


@dataclass(slots=True)
class Frozen:
    """What is counted over all freezes."""

    kills: list[Kill] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)
    """After how long the frozen one's place was taken, and what it had was others'."""
    still: float = 0.0
    inside: int = 0
    """Freezes that held a transaction open at the server."""


Moment = Callable[[Crew, str, Story], Kill]


def at_any_moment(crew: Crew, name: str, _: Story) -> Kill:
    return crew.freeze(name)


def in_mid_send(crew: Crew, name: str, story: Story) -> Kill:
    """Each receiver was asked and has not answered; it does so when the worker is frozen."""
    hooks, posts = len(crew.simulator.sink.received), _posts(crew)
    hanging = (crew.simulator.sink.hang(), crew.simulator.slack.fault(Hang(), method=POST))
    try:
        run = crew.simulator.add_run(SYNCS[0], status="failed", error_code="BROKE", error_message="in mid-send")
        story.runs.append(run["id"])
        crew.wait_until(lambda: len(crew.simulator.sink.received) >= hooks + len(WEBHOOKS) and _posts(crew) > posts)
        return crew.freeze(name)
    finally:
        for fault in hanging:
            fault.clear()


def in_a_transaction(crew: Crew, name: str, story: Story) -> Kill:
    """It records two events of a sync, and is frozen before its COMMIT.

    Two are sent by psycopg's pipeline, behind which no time-out of the server's ends a transaction that is idle."""

    def tell_two_of_each() -> None:
        story.runs += [crew.simulator.add_run(sync, status="completed")["id"] for sync in SYNCS for _ in range(2)]

    with _blocked(crew, name, "LOCK TABLE events IN SHARE MODE", tell_two_of_each):
        return crew.freeze(name)


def in_a_beat(crew: Crew, name: str, _: Story) -> Kill:
    """It says that it is alive, or writes, and is frozen before its COMMIT."""
    with _blocked(crew, name, f"SELECT FROM replicas WHERE name = '{name}' FOR UPDATE"):
        return crew.freeze(name)


def on_its_way_to_the_server(crew: Crew, name: str, story: Story) -> Kill:
    """It has begun to keep outcomes, and what it said arrives only when it goes on: by then its place is another's."""
    hooks, hanging = len(crew.simulator.sink.received), crew.simulator.sink.hang()
    story.runs.append(crew.simulator.add_run(SYNCS[0], status="completed")["id"])
    crew.wait_until(lambda: len(crew.simulator.sink.received) >= hooks + len(WEBHOOKS))
    line = crew.lines[name]
    line.cut()
    hanging.clear()
    time.sleep(UNDER_WAY)
    must(line.held, "nothing is on the line")
    return crew.freeze(name)


@contextmanager
def _blocked(crew: Crew, name: str, lock: str, then: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Inside, the worker waits in a transaction; afterwards the server goes on with it, as far as it was told."""
    with crew.server.admin(crew.database) as connection:
        connection.autocommit = False
        connection.execute(lock.encode())
        then()
        crew.wait_until(lambda: crew.look(BLOCKED, name))
        yield
        connection.rollback()


def _posts(crew: Crew) -> int:
    return sum(request.method == POST for request in crew.simulator.slack.requests)


Choice = tuple[Moment, str | None]
"""When one is frozen, and of which kind it must have a part; None where it is better one that has none."""
SHORT: tuple[Choice, ...] = (
    (in_a_transaction, "workspace"),
    (in_a_beat, None),
    (on_its_way_to_the_server, "webhook"),
)


def freezes(size: Size) -> Figures:
    """Three in the short form, one after the other, under a story that goes on."""
    chance, frozen = size.chance(), Frozen()
    with ExitStack() as stack:
        server = stack.enter_context(a_server())
        crew = stack.enter_context(a_crew(server))
        crew.again = again(size)
        crew.lines = {name: stack.enter_context(Line(server.port)) for name in NAMES}
        crew.simulator.sink.answer(delay=0.08)
        crew.start_watching(NAMES, SYNCS)
        crew.wait_until_settled()
        log_writers(crew)
        story = Story(crew.simulator, SYNCS, size.chance(1), pause=(0.1, 0.6))
        with story.told():
            for number in range(size.pick(len(SHORT), 30)):
                moment, kind = SHORT[number] if number < len(SHORT) else _any(chance)
                name = _one_with(crew, chance, kind)
                time.sleep(chance.uniform(0, 1.5))
                seconds = size.pick(0 if kind is None else 12, chance.uniform(12, 20))
                _freeze(crew, story, moment, name, seconds, frozen)
                say(f"{number + 1} freezes, {moment.__name__}, replaced after {frozen.gone[-1]:.1f} s")
        crew.wait_until(partial(crew.has_told_all, story), timeout=size.pick(240, 600))
        crew.must_stop_well()
        figures = settle(crew.recorded(), crew.simulator, story, frozen.kills, to_the_channel=1)
        written = must_have_written_alone(crew)
    return {
        **{name: value for name, value in figures.items() if name != "kills"},
        "freezes": len(frozen.kills),
        "of them inside a transaction": frozen.inside,
        "replaced after, at most": f"{max(frozen.gone):.1f} s",
        "the longest that another stood still": f"{frozen.still:.1f} s",
        "written by the owner of the part alone": written,
    }


def _any(chance: random.Random) -> Choice:
    if chance.random() >= 0.7:
        return chance.choice((at_any_moment, in_a_beat)), None
    return chance.choice(
        (
            (at_any_moment, "workspace"),
            (in_a_beat, "slack"),
            (in_a_transaction, "workspace"),
            (on_its_way_to_the_server, "webhook"),
            (in_mid_send, "webhook"),
        )
    )


def _one_with(crew: Crew, chance: random.Random, kind: str | None) -> str:
    if kind is None:
        working = crew.workers_with()
        return chance.choice([name for name in NAMES if name not in working] or NAMES)
    return chance.choice(crew.workers_with(kind))


def _freeze(crew: Crew, story: Story, moment: Moment, name: str, seconds: float, frozen: Frozen) -> None:
    """Freezes one until others have what it had, and so many seconds at least; then it begins anew."""
    lives = _lives(crew)
    kill = moment(crew, name, story)
    time.sleep(0.1)
    frozen.inside += bool(
        crew.look(f"SELECT FROM pg_stat_activity WHERE application_name = '{name}' AND state LIKE 'idle in%'")
    )
    gone: float | None = None
    signs: dict[str, tuple[tuple[int, int], float]] = {}
    while gone is None or time.monotonic() < kill.began + seconds:
        frozen.still = max(frozen.still, _longest_still(crew, name, signs))
        if gone is None and lives[name] not in _lives(crew).values() and crew.all_owned():
            gone = time.monotonic() - kill.began
        took = time.monotonic() - kill.began
        must(
            gone is not None or took < crew.again,
            f"{took:.1f} s after a freeze {moment.__name__} a part that {name} had has nobody: {crew.look(OWNERS)}; "
            f"at the server: {crew.look(AT_THE_SERVER)}; the logs: "
            + "\n".join(f"{other}: {crew.told(other)}" for other in NAMES if other != name),
        )
        crew.must_live()
        time.sleep(0.1)
    others = {other: life for other, life in lives.items() if other != name}
    must(others.items() <= _lives(crew).items(), "another was replaced too, though it was not frozen")
    crew.thaw(name)
    frozen.kills.append(replace(kill, ended=time.monotonic() + LATE))
    frozen.gone.append(gone)
    crew.wait_until(lambda: _lives(crew).get(name, lives[name]) != lives[name])


def _lives(crew: Crew) -> dict[str, str]:
    return dict(crew.lives())


def _longest_still(crew: Crew, frozen: str, signs: dict[str, tuple[tuple[int, int], float]]) -> float:
    """For how long the row of another has not moved, at most; `signs` remembers since when each is as it is."""
    now, longest = time.monotonic(), 0.0
    for name, life, beats, written in crew.look(SIGNS):
        if name == frozen:
            continue
        sign, since = signs.get(life, ((beats, written), now))
        if sign != (beats, written):
            since = now
        signs[life] = (beats, written), since
        longest = max(longest, now - since)
        must(
            now - since <= STILL,
            f"{name} stood still for {now - since:.1f} s while {frozen} was frozen; its log:\n{crew.told(name)}\n"
            f"at the server: {crew.look(AT_THE_SERVER)}",
        )
    return longest


ROW = Row(
    number=13,
    title="SIGSTOP of one of three workers on one PostgreSQL, for longer than its lease, and SIGCONT",
    criterion=(
        f"as in row 12; after SIGCONT comes at most what was on its way, {AT_ONCE} of a webhook and one of Slack; all "
        "is written by the life that has the part then, none of it by one that was replaced; no other stands still "
        f"for more than {STILL:g} s, also where a transaction is frozen"
    ),
    run=freezes,
    limits=(400, 2400),
)
