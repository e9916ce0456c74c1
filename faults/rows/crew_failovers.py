"""Row 19: the PostgreSQL server of three workers dies, and its standby goes on, which has all of it or not quite."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle

from faults.account import AT_ONCE, CHANNEL, WEBHOOKS, Kill, settle
from faults.crew import AGAIN, NAMES, PENDING, Asked, Crew, a_crew, a_server, again
from faults.line import Line
from faults.lost import Loss, has_told_the_truth, ids, set_apart
from faults.row import Figures, Row, Size, must, say
from faults.standby import Pair
from notifier.model.part import workspace_part
from tests.acceptance.story import Story

SYNCS = (51, 52, 53, 54, 55, 56)
EACH = (*WEBHOOKS, CHANNEL)
SIGNS = "SELECT name, id, written FROM replicas"
HAVING = "SELECT DISTINCT owner FROM parts"
WENT_BACK = "the database went back in time"
COUNT_RECORDED = "SELECT count(DISTINCT run_id) FROM events WHERE run_id = ANY(%s)"
MANY = 40
"""Runs that end at once: of so many deliveries that the numbers of those that were lost are given again."""
SEEN = 0.5
"""Seconds in which the others have read what one has recorded."""
AWAY = 25.0
"""Seconds for which a synchronous standby is not heard of; longer than any time-out of a statement or a lock."""
FROZEN = 3.0
"""Seconds after which one that is frozen is shot, while the other works already."""
LATE = 1.0
"""Seconds in which what was sent when the last worker had noticed has arrived."""


@dataclass(slots=True)
class Scene:
    """Three workers who know both servers, and what is counted over all fail-overs."""

    crew: Crew
    pair: Pair
    story: Story
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    lost: int = 0
    """Transactions."""
    kept: list[float] = field(default_factory=list)
    """After how long all went on, where nothing was lost."""
    owned: list[float] = field(default_factory=list)
    """After how long all was owned again, where something was."""
    after_death: Callable[[], None] = lambda: None
    """What is to be done when the server is dead."""


def as_by_a_crash(scene: Scene) -> Callable[[], None]:
    """Its processes end at once; what is to be done when the other one works: nothing."""
    scene.pair.primary.stop("immediate")
    return lambda: None


def by_sigkill(scene: Scene) -> Callable[[], None]:
    scene.pair.primary.stop("kill")
    return lambda: None


def frozen(scene: Scene) -> Callable[[], None]:
    """Nobody is told; it is shot when the other one has worked for a while."""
    old = scene.pair.primary
    scene.pair.freeze()

    def shoot() -> None:
        time.sleep(FROZEN)
        scene.pair.shoot(old)

    return shoot


Death = Callable[[Scene], Callable[[], None]]
DEATHS: tuple[Death, ...] = (as_by_a_crash, by_sigkill, frozen)


def failovers(size: Size) -> Figures:
    """One that loses nothing and two that do in the short form; in the long one ten times that, by all deaths."""
    with ExitStack() as stack:
        servers = stack.enter_context(a_server()), stack.enter_context(a_server())
        lines = stack.enter_context(Line(servers[0].port)), stack.enter_context(Line(servers[1].port))
        pair = Pair(servers, lines)
        crew = stack.enter_context(a_crew(servers[0], Asked((servers[0].port, servers[1].port))))
        crew.again = again(size)
        crew.simulator.sink.answer(delay=0.08)
        crew.start_watching(NAMES, SYNCS)
        story = Story(crew.simulator, SYNCS, size.chance(1), pause=(0.05, 0.3))
        scene = Scene(crew, pair, story, size.chance())
        for number in range(size.pick(1, 10)):
            with story.told():
                _keep_all(scene, DEATHS[(number + size.seed) % len(DEATHS)])
                _lose_some(scene, scene.chance.choice(DEATHS), whatever_comes)
                _must_go_on(crew)
            if not size.short and number == 0:
                _wait_for_the_standby(scene)
            _until_all_is_told(scene)
            _lose_some(scene, scene.chance.choice(DEATHS), only_seen)
            _until_all_is_told(scene)
        crew.must_stop_well()
        return _settled(scene)


def _keep_all(scene: Scene, death: Death) -> None:
    """Each commit is at the standby before the worker hears of it: so it is the same database, elsewhere."""
    crew, pair = scene.crew, scene.pair
    pair.follow(synchronous=True)
    crew.wait_until_settled()
    time.sleep(scene.chance.uniform(0, 1.5))
    lives, owners = crew.lives(), crew.look(HAVING)
    began = time.monotonic()
    finish = death(scene)
    pair.wait_until_all_is_read()
    crew.moved(pair.standby)
    left = crew.unsettled(EACH)
    pair.promote()
    finish()
    _must_go_on(crew)
    scene.kept.append(time.monotonic() - began)
    scene.kills.append(Kill(began, time.monotonic(), left))
    logs = "\n".join(crew.told(name) for name in NAMES)
    must(crew.lives() == lives, f"{death.__name__}: the lives were {lives}, and are {crew.lives()}; the logs:\n{logs}")
    must(crew.look(HAVING) == owners, f"{death.__name__}: parts are in other hands; the logs:\n{logs}")
    say(f"{death.__name__}: nothing lost, all go on after {scene.kept[-1]:.1f} s")


Work = Callable[[Scene], None]


def whatever_comes(scene: Scene) -> None:
    """All write."""
    time.sleep(scene.chance.uniform(0.5, 3))


def only_seen(scene: Scene) -> None:
    """What one has recorded another has read, and has begun to send, and has written nothing of it."""
    crew = scene.crew
    hanging = crew.simulator.sink.hang()
    came, sender = len(crew.simulator.sink.received), crew.wait_until_owned()[f"webhook:{WEBHOOKS[0]}"]
    others = [sync for sync, workspace in _workspaces(crew) if crew.all_owned()[workspace_part(workspace)] != sender]
    sync = scene.chance.choice(others)
    scene.story.runs += [crew.simulator.add_run(sync, status="completed")["id"] for _ in range(MANY)]
    crew.wait_until(lambda: crew.look(COUNT_RECORDED, list(map(str, scene.story.runs[-MANY:]))) == [(MANY,)])
    crew.wait_until(lambda: len(crew.simulator.sink.received) >= came + len(WEBHOOKS))
    time.sleep(SEEN)
    scene.after_death = hanging.clear


def _workspaces(crew: Crew) -> Iterator[tuple[int, str]]:
    """Each sync, and where it is."""
    return zip(SYNCS, cycle(crew.simulator.each), strict=False)


def _wait_for_the_standby(scene: Scene) -> None:
    """Nothing is committed while a synchronous standby is not heard of, and nobody is replaced for that."""
    crew, pair = scene.crew, scene.pair
    pair.follow(synchronous=True)
    crew.wait_until_settled()
    lives = crew.lives()
    with scene.story.told():
        pair.line.cut()
        time.sleep(AWAY)
        pair.line.mend()
        _must_go_on(crew)
    must(crew.lives() == lives, f"without the standby the lives were {lives}, and are {crew.lives()}")


def _lose_some(scene: Scene, death: Death, work: Work) -> None:
    """What the standby follows by is cut, and what is committed from then on is lost."""
    crew, pair = scene.crew, scene.pair
    pair.follow(synchronous=False)
    crew.wait_until_settled()
    time.sleep(scene.chance.uniform(0, 1.5))
    began = time.monotonic()
    pair.line.cut()
    work(scene)
    looked_at = time.monotonic()
    signs, recorded, noticed = _signs(crew), crew.recorded(), _noticed(crew)
    finish = death(scene)
    pair.wait_until_all_is_read()
    scene.after_death()
    scene.after_death = lambda: None
    crew.moved(pair.standby)
    left, held = crew.unsettled(EACH), _signs(crew)
    pair.promote()
    finish()
    gone_at = time.monotonic()
    gone = {life for life, written in signs.items() if held.get(life, -1) < written}
    must(gone, f"nothing was lost: {signs}, {held}")
    crew.wait_until(lambda: _is_owned_but_by(crew, gone), timeout=crew.again + 60)
    scene.owned.append(time.monotonic() - gone_at)
    scene.lost += sum(signs.values()) - sum(held.values())
    for name in {name for name, _ in gone}:
        must(_noticed(crew)[name] > noticed[name], f"{name} has not noticed; its log:\n{crew.told(name)}")
    kill = Kill(began, time.monotonic() + LATE, left, forgot=True)
    scene.kills.append(kill)
    scene.losses.append(Loss(kill, looked_at, frozenset(ids(recorded))))
    must(scene.owned[-1] <= crew.again, f"{death.__name__}: {scene.owned[-1]:.1f} s after it a part had nobody")
    say(
        f"{death.__name__}, {work.__name__}: {scene.lost} transactions lost by now, owned again after "
        f"{scene.owned[-1]:.1f} s"
    )


def _signs(crew: Crew) -> dict[tuple[str, str], int]:
    """By name and life, how many transactions it has written."""
    return {(str(name), str(life)): int(written) for name, life, written in crew.look(SIGNS)}


def _is_owned_but_by(crew: Crew, gone: set[tuple[str, str]]) -> bool:
    """Whether all parts are owned, and by none of those lives."""
    having = {life for (life,) in crew.look(HAVING)}
    return bool(crew.all_owned()) and not having & {life for _, life in gone}


def _noticed(crew: Crew) -> dict[str, int]:
    """By name, how often it has."""
    return {name: crew.log(name).read_text().count(WENT_BACK) for name in NAMES}


def _must_go_on(crew: Crew) -> None:
    """News come, and each workspace is asked."""
    sent = len(crew.simulator.sink.accepted)
    crew.wait_until(lambda: len(crew.simulator.sink.accepted) > sent)
    crew.wait_until_polled()


def _until_all_is_told(scene: Scene) -> None:
    """Until both webhooks know how each run is now, and nothing waits."""
    crew = scene.crew

    def is_told() -> bool:
        return not crew.look(PENDING) and has_told_the_truth(crew.simulator, scene.story, crew.recorded())

    crew.wait_until(is_told, timeout=240)


def _settled(scene: Scene) -> Figures:
    crew, recorded = scene.crew, scene.crew.recorded()
    whole, beside = set_apart(crew.simulator, recorded, scene.losses)
    figures = settle(recorded, crew.simulator, scene.story, scene.kills, came=whole)
    return {
        **{name: value for name, value in figures.items() if name != "kills"},
        "fail-overs": f"{len(scene.kept)} that lost nothing, {len(scene.losses)} that lost {scene.lost} transactions",
        "told of what was lost": ", ".join(f"{name} {count}" for name, count in beside.items()),
        "all went on after": f"{max(scene.kept):.1f} s at most",
        "owned again where something was lost, after": f"{max(scene.owned):.1f} s at most",
    }


ROW = Row(
    number=19,
    title="the PostgreSQL server of three workers dies, and its standby goes on, synchronous or not",
    criterion=(
        "synchronous: as in row 12, and nobody is replaced; else whoever wrote what is lost notices, the stories that "
        "the new server holds are told whole and in order, and beside them nothing but what the lost commits had "
        f"recorded; what comes again was unsettled at the new server, at most {AT_ONCE} of a receiver and nothing to "
        f"Slack where nothing was lost; all parts are owned within {AGAIN:g} s"
    ),
    run=failovers,
    limits=(400, 2400),
)
