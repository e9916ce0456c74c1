"""Row 15: the line between one of three workers and the PostgreSQL server is cut without a word, or slow."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from faults.account import AT_ONCE, WEBHOOKS, Kill, settle
from faults.crew import AGAIN, NAMES, Crew, a_crew, a_server, again, receivers_of
from faults.crew_paced import (
    ASKED,
    SYNCS,
    Busy,
    must_have_kept_pace,
    start_paced,
    wait_until_all_are_there,
)
from faults.line import Line
from faults.row import Figures, Row, Size, must, say
from notifier.model.part import EVERYTHING
from notifier.store.attendance import LEASE
from tests.acceptance.story import Story

LATE = 5.0
"""Seconds in which one whose line is whole again may still send what it had begun."""
WRITTEN = "SELECT id, written FROM replicas WHERE name = %s"
APPENDING = (
    "SELECT 1 FROM pg_stat_activity JOIN pg_locks USING (pid) JOIN pg_class ON pg_class.oid = relation "
    "WHERE application_name = %s AND relname = 'deliveries_id_seq'"
)
"""Whether a worker's transaction has given numbers to what is to be sent."""
COMMITS_LATE = 2.5
"""Seconds for which it holds them; PostgreSQL ends what is idle for 5 s."""
PATIENCE = 60.0
ANSWERED = 5.0
"""Seconds after which the answer to a COMMIT comes, where it comes late."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How the line is cut."""

    seconds: float
    at_commit: bool = False
    """Before that for 5 s, behind a COMMIT, whose answer comes then; and nothing that the worker says arrives."""
    lost: bool = False
    """For so long that the connections of then end."""


@dataclass(slots=True)
class Scene:
    """What is counted over all cuts."""

    crew: Crew
    busy: Busy
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)
    """After how long what a worker had was others', if it was."""
    cut: int = 0
    slow: list[str] = field(default_factory=list)
    overtaken: int = 0


SHORT = ((0.05, 2.0), (0.5, 3.0)), (Cut(12, at_commit=True),)
LONG = (
    ((0.05, 20.0), (0.5, 20.0)),
    (Cut(5), Cut(12), Cut(12, at_commit=True), Cut(5, at_commit=True), Cut(40, lost=True), Cut(12, lost=True), Cut(40)),
)


def cuts(size: Size) -> Figures:
    """One cut in the short form; in the long one several of each length, at random moments."""
    delays, wanted = size.pick(SHORT, LONG)
    with ExitStack() as stack:
        server = stack.enter_context(a_server())
        crew = stack.enter_context(a_crew(server, ASKED))
        crew.again = again(size)
        crew.lines = {name: stack.enter_context(Line(server.port)) for name in NAMES}
        start_paced(crew)
        story = Story(crew.simulator, SYNCS, size.chance(1), pause=(0.1, 0.6))
        scene = Scene(crew, Busy(crew, story), size.chance())
        with story.told():
            for _ in range(size.pick(1, 3)):
                for delay, seconds in delays:
                    _slow(scene, delay, seconds)
                for _ in range(size.pick(1, 5)):
                    _be_overtaken(scene)
                for cut in wanted:
                    last = _cut_one(scene, cut)
            _must_work(crew, last)
        crew.wait_until(partial(crew.has_told_all, story), timeout=size.pick(240, 600))
        crew.must_stop_well()
        figures = settle(crew.recorded(), crew.simulator, story, scene.kills)
        paces = must_have_kept_pace(crew, size)
    return {
        **{name: value for name, value in figures.items() if name != "kills"},
        "cut": f"{scene.cut} times",
        "replaced after": f"{max(scene.gone):.1f} s at most, {len(scene.gone)} times",
        "slow": "; ".join(scene.slow),
        "a COMMIT was late": f"{scene.overtaken} times",
        **paces,
    }


def _cut_one(scene: Scene, cut: Cut) -> str:
    """Cuts the line of one that watches; its name, when it is there again."""
    crew = scene.crew
    wait_until_all_are_there(crew)
    scene.busy.until_so()
    time.sleep(scene.chance.uniform(0, 1))
    name = scene.chance.choice(crew.workers_with("workspace"))
    life = dict(crew.lives())[name]
    began, left = _cut(crew, name, at_commit=cut.at_commit)
    gone: float | None = None
    for took in _while_cut(crew, began):
        if cut.at_commit and took >= ANSWERED:
            crew.lines[name].cut(but_answers=True)
        if gone is None and (name, life) not in crew.lives() and crew.all_owned():
            gone = took
        lasts = took < cut.seconds + ANSWERED * cut.at_commit or (cut.seconds > LEASE and gone is None)
        if not lasts:
            break
        must(gone is not None or took < crew.again, f"{took:.1f} s after a cut a part that {name} had has nobody")
    crew.lines[name].mend(lost=cut.lost)
    crew.away.discard(name)
    scene.kills.append(Kill(began, time.monotonic() + LATE, left))
    scene.cut += 1
    scene.gone += [gone] if gone is not None else []
    _must_be_back(crew, name, life if gone is not None else None)
    say(f"{cut}: {name} was {'not ' if gone is None else ''}replaced{f' after {gone:.1f} s' if gone else ''}")
    return name


def _cut(crew: Crew, name: str, *, at_commit: bool) -> tuple[float, dict[str, set[str]]]:
    """Since when it is cut, and what is unsettled of what the worker had."""
    line, began = crew.lines[name], time.monotonic()
    if at_commit:
        _cut_behind_a_write(crew, name)
    else:
        line.cut()
    crew.away.add(name)
    return began, crew.left_by(crew.workers[name].pid)


def _cut_behind_a_write(crew: Crew, name: str) -> None:
    """Behind a COMMIT of what it keeps; one that is a mere sign of life would not do."""
    written = crew.look(WRITTEN, name)
    while crew.look(WRITTEN, name) == written:
        crew.lines[name].mend()
        crew.lines[name].cut_at_commit()
        crew.wait_until(lambda: crew.lines[name].is_cut)


def _while_cut(crew: Crew, began: float) -> Iterator[float]:
    """How long it has been, again and again."""
    while True:
        crew.must_live()
        yield time.monotonic() - began
        time.sleep(0.05)


def _must_be_back(crew: Crew, name: str, replaced: str | None) -> None:
    """It has a place, another one if it was replaced; and, where the work is in parts, one of these."""
    crew.wait_until(lambda: dict(crew.lives()).get(name, replaced) != replaced)
    owned = crew.wait_until_owned()
    if EVERYTHING not in owned:
        crew.wait_until(lambda: name in crew.all_owned().values())
    crew.wait_until_polled()


def _must_work(crew: Crew, name: str) -> None:
    """When all others have gone, whoever was cut off has all that there is, and asks."""
    for other in NAMES:
        if other != name:
            worker = crew.workers.pop(other)
            worker.send_signal(signal.SIGTERM)
            code = worker.wait(timeout=30)
            must(code == 0, f"after SIGTERM {other} ended with {code}; its log:\n{crew.told(other)}")
    crew.wait_until_owned()
    crew.wait_until_polled()


def _slow(scene: Scene, delay: float, seconds: float) -> None:
    """What is said on one's line comes so much later, in each direction. It may be replaced for that, or not."""
    crew = scene.crew
    wait_until_all_are_there(crew)
    scene.busy.until_so()
    name = scene.chance.choice(crew.workers_with("workspace"))
    life, pid = dict(crew.lives())[name], crew.workers[name].pid
    began, left = time.monotonic(), crew.left_by(pid)
    crew.lines[name].delay(delay)
    for took in _while_cut(crew, began):
        for receiver, waiting in crew.unsettled(receivers_of(crew.parts_of(pid))).items():
            left.setdefault(receiver, set()).update(waiting)
        if took >= seconds:
            break
    crew.lines[name].delay(0)
    wait_until_all_are_there(crew)
    _must_be_sent(crew)
    replaced = (name, life) not in crew.lives()
    if replaced:
        scene.kills.append(Kill(began, time.monotonic() + LATE, left))
    crew.wait_until_polled()
    scene.slow.append(f"{seconds:g} s by {delay * 1000:g} ms{', replaced' if replaced else ''}")
    say(scene.slow[-1])


def _be_overtaken(scene: Scene) -> None:
    """One has recorded what is to be sent, and its COMMIT is late, while others record more.

    Its messages have the places before theirs, and come after them. All are sent, though no part changes hands."""
    crew = scene.crew
    wait_until_all_are_there(crew)
    name = scene.chance.choice(crew.workers_with("workspace"))
    line, end = crew.lines[name], time.monotonic() + PATIENCE
    more_at = 0.0
    while True:
        if time.monotonic() >= more_at:
            scene.busy.more()
            more_at = time.monotonic() + 2
        line.cut_at_commit(before=True)
        crew.wait_until(lambda: line.is_cut)
        if crew.look(APPENDING, name):
            break
        line.mend()
        must(time.monotonic() < end, f"in {PATIENCE:g} s {name} recorded nothing that is to be sent")
    scene.busy.more()
    time.sleep(COMMITS_LATE)
    line.mend()
    _must_be_sent(crew)
    scene.overtaken += 1


def _must_be_sent(crew: Crew) -> None:
    """What waits now for the webhooks is sent, though nobody takes their parts anew."""
    waiting = crew.unsettled(WEBHOOKS)
    end = time.monotonic() + AGAIN
    while left := {to: ids & crew.unsettled(WEBHOOKS).get(to, set()) for to, ids in waiting.items()}:
        if not any(left.values()):
            return
        must(time.monotonic() < end, f"for {AGAIN:g} s nobody sends what was recorded beside others': {left}")
        time.sleep(0.1)


ROW = Row(
    number=15,
    title="the line of one of three workers to PostgreSQL is cut without a word, or slow",
    criterion=(
        f"as in row 12, at most {AT_ONCE} of a webhook come again after a cut and nothing to Slack; what is recorded "
        "beside what others record is sent with no part in other hands; what the worker "
        f"had is others' within {AGAIN:g} s, and it joins anew and works when its line is whole; at no moment is a "
        "workspace's budget exceeded or Slack's pace"
    ),
    run=cuts,
    limits=(300, 2400),
)
