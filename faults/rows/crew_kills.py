"""Row 12: kill -9 of one of three workers on one PostgreSQL server, whatever parts it has."""

import random
import time
from functools import partial

from faults.account import AT_ONCE, Kill, settle
from faults.crew import AGAIN, NAMES, Crew, a_crew, a_server, again
from faults.row import Figures, Row, Size, must, say
from tests.acceptance.story import Story

SYNCS = (51, 52, 53, 54, 55, 56)
CHANGES_A_KILL = 5


def kills(size: Size) -> Figures:
    """1,000 changes in the long form, a kill to every five; each second one of somebody who has parts."""
    wanted, chance = size.pick(4, 200), size.chance()
    with a_server() as server, a_crew(server) as crew:
        crew.again = again(size)
        crew.simulator.sink.answer(delay=0.08)  # so that a kill meets messages under way
        crew.start_watching(NAMES, SYNCS)
        story = Story(crew.simulator, SYNCS, size.chance(1), pause=(0, 0.3))
        done: list[Kill] = []
        gaps: list[float] = []
        while len(done) < wanted:
            with story.told(CHANGES_A_KILL):
                time.sleep(chance.uniform(0, 1.2))
                victim = chance.choice(crew.workers_with() if len(done) % 2 == 0 else NAMES)
                done.append(crew.kill(victim))
                time.sleep(chance.uniform(0, 0.5))
                crew.start(victim)
            if chance.random() < 0.25 and len(done) < wanted:  # and another, who may be about to take over
                done.append(_kill_another(crew, chance, victim, story))
            gaps.append(_owned_again(crew, done[-1]))
            if len(done) % 20 < 2:
                say(f"{len(done)} kills, {story.changes} changes, owned again after {max(gaps):.1f} s at most")
        crew.wait_until(partial(crew.has_told_all, story), timeout=size.pick(240, 600))
        crew.must_stop_well()
        figures = settle(crew.recorded(), crew.simulator, story, done)
    return {**figures, "owned again after, at most": f"{max(gaps):.1f} s"}


def _kill_another(crew: Crew, chance: random.Random, victim: str, story: Story) -> Kill:
    with story.told(CHANGES_A_KILL):
        time.sleep(chance.uniform(4, 12))
        other = chance.choice([name for name in NAMES if name != victim])
        kill = crew.kill(other)
        crew.start(other)
    return kill


def _owned_again(crew: Crew, kill: Kill) -> float:
    """Waits until all parts are owned by those who live; how long after the kill that was."""
    crew.wait_until_owned()
    took = time.monotonic() - kill.began
    logs = "\n".join(crew.told(name) for name in NAMES) if took > crew.again else ""
    must(took <= crew.again, f"{took:.1f} s after a kill a part had nobody; the logs:\n{logs}")
    crew.wait_until_polled()
    return took


ROW = Row(
    number=12,
    title="kill -9 at random moments of one of three workers on one PostgreSQL",
    criterion=(
        "as in row 1: each change is told to each receiver, in order by sync; what came again was on its way at a "
        f"kill of whoever sent to it, at most {AT_ONCE} of a receiver, and nothing to Slack; all parts are others' "
        f"within {AGAIN:g} s"
    ),
    run=kills,
    limits=(400, 4200),
)
