"""Row 17: a newer program takes over from three workers on one PostgreSQL server, and each gets another watchlist."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from faults.account import settle
from faults.crew import AGAIN, NAMES, Asked, Crew, a_crew, a_server, again
from faults.crew_files import (
    ADDED,
    GOING_BY,
    RECEIVERS,
    SILENT,
    Files,
    forgotten_too_early,
    left_of_the_old,
    log_forgetting,
    parts_of,
)
from faults.crew_upgrade import (
    MIGRATING,
    NEWEST,
    OF_AMBER,
    SCHEMA,
    WAITS,
    Scene,
    is_done,
    must_have_taken_all,
    must_stand_by,
    older_went_on,
    replace_each,
    start_amid_work,
    start_newer,
    stop,
    take_over,
    wait_for_a_turn,
    watch,
)
from faults.doors import PATHS, Doors
from faults.paces import longest_gap
from faults.revisions import SETTINGS, log_revisions, must_have_been_one_version
from faults.row import Figures, Row, Size, must
from faults.writers import log_writers, must_have_written_alone
from notifier.store.sql.revision import revisions
from tests.acceptance.story import Story
from tests.postgres.newer import REVISION, make_newer
from tests.postgres.server import OwnPostgres

SYNCS = (51, 52, 53, 54, 55, 56, 57)
OF_GONE = 54
"""The sync of the workspace that the new watchlist does not name: no story is told of it."""
MANY = (*NAMES, NEWEST)
LONGEST = 8.0
"""Seconds that a migration takes at most. PostgreSQL ends one that does nothing for ten."""
EVENTS_OF = "SELECT count(*) FROM events WHERE sync_id = %s"
TO = "SELECT event_id FROM deliveries WHERE receiver = %s"
FROZEN = 20.0
FROZEN_AGAIN = 25.0
"""Seconds after which others go on when one is frozen in its migration: ten until PostgreSQL ends that, and a lease."""
LOOKS = 1.0
"""Seconds in which something that is about to be forgotten would be."""


Fault = Callable[[Scene], None]


# --- the newer one ends early ---


def killed_before(scene: Scene) -> None:
    """As soon as it has a place, and the older ones are about to give their parts away."""
    wait_for_a_turn(scene)
    start_newer(scene, NEWEST, scene.chance.uniform(2, LONGEST))
    scene.crew.wait_until(lambda: NEWEST in dict(scene.crew.lives()))
    began = _kill(scene)
    _older_must_go_on(scene, "killed before its migration", began, scene.crew.again)


def killed_within(scene: Scene) -> None:
    """In the transaction of its migration."""
    _start_migrating(scene, scene.chance.uniform(3, LONGEST))
    time.sleep(scene.chance.uniform(0, 2))
    must(scene.crew.look(MIGRATING, NEWEST), "the migration was over before the kill")
    began = _kill(scene)
    _older_must_go_on(scene, "killed in its migration", began, scene.crew.again)


def frozen_within(scene: Scene) -> None:
    """In the transaction of its migration; and it goes on when others have gone on."""
    _start_migrating(scene, LONGEST)
    began = scene.crew.freeze(NEWEST).began
    _older_must_go_on(scene, "frozen in its migration", began, FROZEN_AGAIN)
    time.sleep(max(0.0, began + FROZEN - time.monotonic()))
    scene.crew.thaw(NEWEST)
    wait_for_a_turn(scene)
    must_have_taken_all(scene, time.monotonic(), "took all after it was frozen")


def killed_after(scene: Scene) -> None:
    """The database is the newer version's, and it has no part yet: who claims one is held up until the kill."""
    _start_migrating(scene, 2.0)
    with scene.crew.server.admin(scene.crew.database) as connection:
        connection.autocommit = False
        connection.execute("SELECT FROM parts FOR UPDATE")
        scene.crew.wait_until(lambda: scene.crew.look(SCHEMA) == [(REVISION,)] and scene.crew.look(WAITS, NEWEST))
        _kill(scene)
        connection.rollback()
    must_stand_by(scene, NAMES)
    owners = scene.crew.owners()
    must(not any(owners.values()), f"nobody is there of the database's version, and these have parts: {owners}")


def _start_migrating(scene: Scene, takes: float) -> None:
    start_amid_work(scene, takes)
    scene.crew.wait_until(lambda: scene.crew.look(MIGRATING, NEWEST))


def _kill(scene: Scene) -> float:
    began = time.monotonic()
    worker = scene.crew.workers.pop(NEWEST)
    worker.kill()
    worker.wait(timeout=15)
    return began


def _older_must_go_on(scene: Scene, what: str, began: float, limit: float) -> None:
    """The newer one's place is taken, and all parts are the older ones', at a database that is as it was."""
    crew = scene.crew
    crew.wait_until(lambda: NEWEST not in dict(crew.lives()) and crew.all_owned())
    took = time.monotonic() - began
    logs = "\n".join(crew.told(name) for name in NAMES) if took > limit else ""
    must(took <= limit, f"{what}: {took:.1f} s later a part had nobody; the logs:\n{logs}")
    must(crew.look(SCHEMA) == [(revisions()[-1],)], f"{what}: the schema is {crew.look(SCHEMA)}")
    older_went_on(scene)
    crew.wait_until_polled()
    is_done(scene, what, took)


# --- another watchlist, for one after the other ---


def _change_the_watchlist(scene: Scene, run: int) -> None:
    """The second one restarts with the old file when the first has the new one, and is corrected."""
    crew, files = scene.crew, scene.files
    one, two, *others = scene.chance.sample(MANY, len(MANY))
    left = left_of_the_old(crew)
    must(all(left.values()), f"of what the new file does not name there is {left}")
    files.give(one, files.new)
    _wait_until_they_go_by(scene, files.new, [one])
    crew.simulator.update_run(run, status="failed", error_code="BROKE", error_message="while nobody watched")
    _must_be_left(scene, left)
    events = crew.look(EVENTS_OF, str(OF_GONE))
    stop(scene, two)
    crew.start(two)
    _wait_until_they_go_by(scene, files.old, [two, *others])
    _must_be_left(scene, left)
    crew.wait_until(lambda: crew.look(EVENTS_OF, str(OF_GONE)) > events)
    files.give(two, files.new)
    for number in range(len(others) + 1):
        _wait_until_they_go_by(scene, files.new, [one, two, *others[:number]])
        if number < len(others):
            _must_be_left(scene, left)
            files.give(others[number], files.new)
    began = time.monotonic()
    crew.wait_until(lambda: not any(left_of_the_old(crew).values()))
    is_done(scene, "forgotten once all agreed", time.monotonic() - began)


def _wait_until_they_go_by(scene: Scene, watchlist: dict[str, Any], names: Sequence[str]) -> None:
    """That watchlist is in force, these go by it, and have all that is to be done."""
    wanted = parts_of(watchlist)

    def so() -> bool:
        owners = scene.crew.owners()
        mine = {part for part, owner in owners.items() if owner in names}
        going_by = {name for (name,) in scene.crew.look(GOING_BY)}
        return going_by == set(names) and mine == wanted and not any(owners[part] for part in owners.keys() - mine)

    scene.crew.wait_until(so)


def _must_be_left(scene: Scene, left: dict[str, int]) -> None:
    time.sleep(LOOKS)
    now = left_of_the_old(scene.crew)
    must(all(now[table] >= rows for table, rows in left.items()), f"of {left} there is {now} while files differ")


# --- the story of all of it ---


def upgrades(size: Size) -> Figures:
    """One story in the short form; in the long one five, each with other faults."""
    plans: Sequence[Sequence[Fault]] = size.pick(
        [(killed_within, killed_after)],
        [
            (),
            (killed_before, killed_within),
            (killed_before, killed_within, killed_after),
            (frozen_within,),
            (killed_within, killed_before, killed_after),
        ],
    )
    told: list[Figures] = []
    done: dict[str, list[float]] = defaultdict(list)
    with a_server(SETTINGS) as server, tempfile.TemporaryDirectory(prefix="faults.") as place:
        newer = make_newer(Path(place) / "migrations")
        for number, plan in enumerate(plans):
            told.append(_one_story(server, newer, size, number, plan, done))
    counted = ("changes", "runs", "events", "delivered")
    return {
        **{name: sum(int(str(figures[name])) for figures in told) for name in counted},
        **{name: "; ".join(str(figures[name]) for figures in told) for name in told[0] if name not in counted},
        **{what: f"{max(times):.1f} s at most, {len(times)} times" for what, times in done.items()},
    }


def _one_story(
    server: OwnPostgres, newer: Path, size: Size, number: int, plan: Sequence[Fault], done: dict[str, list[float]]
) -> Figures:
    with _a_scene(server, newer, size, number, done) as scene:
        crew, story = scene.crew, scene.story
        going_on = _begin(scene)
        with story.told():
            for fault in plan:
                fault(scene)
            began = time.monotonic()
            if NEWEST not in crew.workers:
                take_over(scene)
            must_stand_by(scene, NAMES)
            replace_each(scene)
            gaps = _longest_gaps(crew, began, time.monotonic())
            well = scene.doors.must_have_been_well(PATHS, began)
            _change_the_watchlist(scene, going_on)
        story.runs.append(crew.simulator.add_run(OF_AMBER, status="completed")["id"])
        crew.wait_until(partial(crew.has_told_all, story), timeout=size.pick(240, 600))
        scene.doors.must_have_been_well(PATHS[:1])  # all the time
        for name in MANY:
            scene.doors.leave(name)
        crew.must_stop_well()
        return {
            **_settled(scene),
            "from the start of the newer one to the last, not asked for": gaps,
            "well, whenever asked": well,
        }


@contextmanager
def _a_scene(
    server: OwnPostgres, newer: Path, size: Size, number: int, done: dict[str, list[float]]
) -> Iterator[Scene]:
    with a_crew(server, Asked()) as crew, closing(Files(crew, MANY)) as files, Doors(files.ports) as doors:
        crew.again = again(size)
        crew.simulator.sink.answer(delay=0.08)
        syncs = [each for each in SYNCS if each != OF_GONE]
        story = Story(crew.simulator, syncs, size.chance(number), size.pick((0.2, 0.8), (0.05, 0.3)))
        yield Scene(crew, files, doors, newer, size.chance(100 + number), story, done)


def _begin(scene: Scene) -> int:
    """Three work, all is logged, and of what the new file does not name there is something; a run of it, under way."""
    crew = scene.crew
    crew.start_watching(NAMES, SYNCS)
    crew.wait_until_settled()
    log_writers(crew, RECEIVERS)
    log_revisions(crew)
    log_forgetting(crew)
    run, going_on = (crew.simulator.add_run(OF_GONE, status=status)["id"] for status in ("failed", "working"))
    scene.story.runs += [run, going_on]
    crew.wait_until(lambda: all(left_of_the_old(crew).values()))
    for name in NAMES:
        watch(scene, name)
    return int(going_on)


def _settled(scene: Scene) -> Figures:
    crew = scene.crew
    recorded = [row for row in crew.recorded() if row[1] not in (SILENT, ADDED)]
    figures = settle(recorded, crew.simulator, scene.story, [])  # nobody was killed who had a part
    due = [event_id for (event_id,) in crew.look(TO, ADDED)]
    came = [each.headers["webhook-id"] for each in crew.simulator.sink.received if each.path == f"/{ADDED}"]
    must(due and sorted(came) == sorted(due), f"{ADDED} was to get {len(due)} messages, and got {len(came)}")
    too_early = forgotten_too_early(crew)
    must(not too_early, f"forgotten while workers went by different watchlists: {too_early}")
    return {
        **{name: figures[name] for name in ("changes", "runs", "events", "delivered", "repeated")},
        "of one version at each moment": must_have_been_one_version(crew, [REVISION]),
        "written by the owner of the part alone": must_have_written_alone(crew),
    }


def _longest_gaps(crew: Crew, began: float, ended: float) -> str:
    asked = {name: [request.at for request in each] for name, each in crew.simulator.asked().items()}
    return ", ".join(f"{name} {longest_gap(times, began, ended):.1f} s" for name, times in asked.items())


ROW = Row(
    number=17,
    title="a newer program takes over from three workers on one PostgreSQL; then each gets another watchlist",
    criterion=(
        "as in row 12, and nothing comes again; never do two versions have parts, nor does one write at the schema of "
        f"another; where the newer one ends before it has migrated, the older ones go on within {AGAIN:g} s; they "
        "stand by, say so and are well; nothing is forgotten while watchlists differ"
    ),
    run=upgrades,
    limits=(400, 2000),
)
