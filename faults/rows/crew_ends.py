"""Row 18: three workers on one PostgreSQL server are told to stop, one after the other, under load."""

import random
import signal
import time
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from faults.account import settle
from faults.crew import NAMES, Crew, a_crew, a_server
from faults.crew_paced import (
    ASKED,
    SYNCS,
    Busy,
    must_have_kept_pace,
    start_paced,
    wait_until_all_are_there,
)
from faults.paces import longest_gap
from faults.row import Figures, Row, Size, must, say
from notifier.model.part import EVERYTHING, workspace_part
from tests.acceptance.story import Story

OWNED = 2.0
"""Seconds within which what a worker had is others' (interface, section 12); of most times."""
GAP = 3.0
"""Seconds for which a workspace is not asked at most; of most times."""
NEAR = 6.0
"""Seconds after a signal in which a gap is its own."""


@dataclass(frozen=True, slots=True)
class End:
    """Of one worker: when it was told to stop, the workspaces that it had, and when all that it had was others'."""

    began: float
    workspaces: tuple[str, ...]
    owned: float


@dataclass(slots=True)
class Scene:
    """What is counted over all ends."""

    crew: Crew
    busy: Busy
    chance: random.Random
    ends: list[End] = field(default_factory=list)


def ends(size: Size) -> Figures:
    """Twice round in the short form, ten times in the long one."""
    with a_server() as server, a_crew(server, ASKED) as crew:
        start_paced(crew)
        story = Story(crew.simulator, SYNCS, size.chance(1), pause=(0.1, 0.6))
        scene = Scene(crew, Busy(crew, story), size.chance())
        with story.told():
            for number in range(size.pick(2, 10)):
                _once_round(scene)
                say(f"{number + 1} times round, owned again after {max(end.owned for end in scene.ends):.1f} s at most")
        crew.wait_until(partial(crew.has_told_all, story), timeout=size.pick(240, 600))
        crew.must_stop_well()
        figures = settle(crew.recorded(), crew.simulator, story, [])
        paces = must_have_kept_pace(crew, size)
        gaps = _must_have_been_asked(scene, size)
    kept = ("changes", "runs", "events", "delivered", "repeated")
    return {**{name: figures[name] for name in kept}, **gaps, **paces}


def _once_round(scene: Scene) -> None:
    """The second is told as soon as others have begun with what the first had; the third when all are there again."""
    left = list(NAMES)
    for pause in (scene.chance.uniform(0, 1), 0.0, scene.chance.uniform(0, 1)):
        if pause:
            wait_until_all_are_there(scene.crew)
            scene.busy.until_so()
        time.sleep(pause)
        name = _busiest(scene.crew, left)
        left.remove(name)
        scene.ends.append(_end(scene.crew, name))
        scene.crew.start(name)
        scene.crew.wait_until_polled()


def _busiest(crew: Crew, left: list[str]) -> str:
    """Of these, the one with most parts."""
    having = list(crew.wait_until_owned().values())
    return max(left, key=having.count)


def _end(crew: Crew, name: str) -> End:
    """SIGTERM, and exit code 0; then it is gone, and what it had is others'."""
    had = {part for part, owner in crew.wait_until_owned().items() if owner == name}
    began = time.monotonic()
    worker = crew.workers.pop(name)
    worker.send_signal(signal.SIGTERM)
    crew.wait_until_owned()
    owned = time.monotonic() - began
    code = worker.wait(timeout=30)
    must(code == 0, f"after SIGTERM {name} ended with {code}; its log:\n{crew.told(name)}")
    must(not crew.look("SELECT FROM replicas WHERE pid = %s", worker.pid), f"{name} has ended, and is in the database")
    workspaces = tuple(each for each in crew.simulator.each if had & {EVERYTHING, workspace_part(each)})
    return End(began, workspaces, owned if had else 0.0)


def _must_have_been_asked(scene: Scene, size: Size) -> Figures:
    """Half of the ends keep to the limits; the worst one may be so many times as long, for the machine does more."""
    worst = size.pick(6, 2)
    asked = {name: [request.at for request in each] for name, each in scene.crew.simulator.asked().items()}
    gaps = [longest_gap(asked[name], end.began, end.began + NEAR) for end in scene.ends for name in end.workspaces]
    first, last = scene.ends[0].began, scene.ends[-1].began + NEAR
    gaps.append(max(longest_gap(times, first, last) for times in asked.values()))  # also where a part moved to one anew
    owned = [end.owned for end in scene.ends if end.owned]
    for what, found, limit in (("a part had nobody", owned, OWNED), ("a workspace was not asked", gaps, GAP)):
        evidence = f"{what} for {median(found):.1f} s in the middle, and {max(found):.1f} s at most"
        must(median(found) <= limit and max(found) <= worst * limit, evidence)
    return {
        "told to stop": f"{len(scene.ends)} times, {len(owned)} of them with parts",
        "owned again after": f"{median(owned):.2f} s, {max(owned):.2f} s at most",
        "a workspace was not asked for": f"{median(gaps):.2f} s, {max(gaps):.2f} s at most",
    }


ROW = Row(
    number=18,
    title="SIGTERM of all of three workers on one PostgreSQL, one after the other, under load",
    criterion=(
        "each ends with 0; nothing is lost and nothing repeated, in order by sync; what one had is others' within "
        f"{OWNED:g} s, no workspace is left unasked for {GAP:g} s; no budget and no pace is exceeded"
    ),
    run=ends,
    limits=(300, 1500),
)
