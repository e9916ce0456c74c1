"""For how long nobody asks and nobody sends when one of three workers on PostgreSQL ends, dies, freezes or is cut off.

Each time it is somebody who watches and sends. All syncs change all the time, so the longest time between two requests
to a workspace that was this worker's, and between two messages to a receiver that was, is the gap. Without a fault it
is what the interval, here a second at most, and the story's pauses make it.
"""

import random
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.scene import Scene
from benchmarks.table import Figure
from faults.account import WEBHOOKS
from faults.crew import NAMES, Crew, a_crew, a_server
from faults.line import Line
from faults.paces import longest_gap
from notifier.model.part import workspace_part
from tests.acceptance.story import Story
from tests.postgres.programs import REMEDY, programs

SYNCS: Final = tuple(range(51, 67))
AWAY: Final = 20.0
"""Seconds for which one is frozen or cut off."""
SEEN: Final = 18.0
"""Seconds after a fault within which what one had must be another's."""
BEFORE: Final = 5.0
"""Seconds without a fault, to compare with."""


@dataclass(slots=True)
class _Gaps:
    """Seconds, of one kind of fault."""

    polling: list[float] = field(default_factory=list)
    delivery: list[float] = field(default_factory=list)
    undisturbed: list[float] = field(default_factory=list)


def measure(scene: Scene) -> list[Figure]:
    if programs() is None:
        return [Figure("seconds without a worker", f"not measured: {REMEDY}")]
    times = scene.size(3, 1)
    found = {what: _Gaps() for what in FAULTS}
    with a_server() as server, a_crew(server) as crew, ExitStack() as lines:
        crew.lines = {name: lines.enter_context(Line(server.port)) for name in NAMES}
        crew.start_watching(NAMES, SYNCS)
        crew.wait_until_settled()
        story = Story(crew.simulator, SYNCS, random.Random(1), pause=(0.02, 0.06))
        with story.told():
            for what in tuple(FAULTS)[: scene.size(len(FAULTS), 1)]:
                for _ in range(times):
                    _once(crew, FAULTS[what], found[what])
    return [_figure(what, gaps) for what, gaps in found.items() if gaps.polling]


def _once(crew: Crew, fault: Callable[[Crew, str], None], gaps: _Gaps) -> None:
    crew.wait_until_settled()
    time.sleep(BEFORE)
    owned = crew.wait_until_owned()
    name = next(owner for part, owner in owned.items() if part == f"webhook:{WEBHOOKS[0]}")
    parts = [part for part, owner in owned.items() if owner == name]
    began = time.monotonic()
    fault(crew, name)
    time.sleep(max(0.0, began + SEEN - time.monotonic()))
    asked = {workspace_part(each): [request.at for request in all_] for each, all_ in crew.simulator.asked().items()}
    sent = {
        f"webhook:{each}": [got.at for got in crew.simulator.sink.accepted if got.path == f"/{each}"]
        for each in WEBHOOKS
    }
    gaps.polling.append(_longest(parts, asked, began, began + SEEN))
    gaps.delivery.append(_longest(parts, sent, began, began + SEEN))
    gaps.undisturbed.append(_longest(owned, {**asked, **sent}, began - BEFORE, began - 1))


def _longest(parts: Iterable[str], times: dict[str, list[float]], begin: float, end: float) -> float:
    return max((longest_gap(times[part], begin, end) for part in parts if part in times), default=0.0)


def _told_to_stop(crew: Crew, name: str) -> None:
    worker = crew.workers.pop(name)
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=30)
    time.sleep(SEEN)
    crew.start(name)


def _killed(crew: Crew, name: str) -> None:
    crew.kill(name)
    time.sleep(SEEN)
    crew.start(name)


def _frozen(crew: Crew, name: str) -> None:
    crew.freeze(name)
    time.sleep(AWAY)
    crew.thaw(name)


def _cut_off(crew: Crew, name: str) -> None:
    crew.lines[name].cut()
    crew.away.add(name)
    time.sleep(AWAY)
    crew.lines[name].mend()
    crew.away.discard(name)


FAULTS: Final[dict[str, Callable[[Crew, str], None]]] = {
    "SIGTERM": _told_to_stop,
    "kill -9": _killed,
    f"SIGSTOP for {AWAY:g} s": _frozen,
    f"its line cut for {AWAY:g} s": _cut_off,
}


def _figure(what: str, gaps: _Gaps) -> Figure:
    def said(values: list[float]) -> str:
        return f"{median(values):.1f} s ({max(values):.1f} s at most)"

    measured = f"no poll for {said(gaps.polling)}, no message for {said(gaps.delivery)}"
    return Figure(
        f"one of three workers: {what}", f"{measured}; undisturbed {said(gaps.undisturbed)}, of {len(gaps.polling)}"
    )
