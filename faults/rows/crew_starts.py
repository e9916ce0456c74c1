"""Row 16: several workers start at once, on a database that is not made yet, made, or newer; and a round beside."""

from faults.crew import NAMES, Crew, a_crew, a_server
from faults.row import Figures, Row, Size, must, say
from notifier.store.sql.revision import revisions
from tests.postgres.server import OwnPostgres

SYNCS = (51, 52)
MANY = (*NAMES, "fourth", "fifth")
NEWER = "9999"
MADE = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
NOBODY = "SELECT count(*) = 0 FROM replicas"


def starts(size: Size) -> Figures:
    """By two and by five; in the short form each start by one of these."""
    done: list[str] = []
    with a_server() as server:
        for names, newer in size.pick(((MANY, MANY[:2]),), ((MANY[:2], MANY), (MANY, MANY[:2]))):
            done += _on_one_database(server, names, newer, times=size.pick(1, 10))
        alone = _a_round_beside(server)
    return {"starts at once": ", ".join(done), "a round beside them": alone}


def _on_one_database(server: OwnPostgres, names: tuple[str, ...], newer: tuple[str, ...], times: int) -> list[str]:
    for _ in range(times):
        with a_crew(server) as crew:
            crew.start_watching(names, SYNCS)
            tables = _must_be_one(crew, names)
            say(f"{len(names)} have started on nothing")
            crew.must_stop_well()
            _start_again(crew, names[:2])
            must(_must_be_one(crew, names[:2]) == tables, "the second start made tables")
            crew.must_stop_well()
            crew.look("UPDATE alembic_version SET version_num = '9999' RETURNING 1")
            _must_refuse(crew, newer)
            say(f"{len(newer)} were refused by a newer one")
            must(crew.look("SELECT version_num FROM alembic_version") == [(NEWER,)], "a newer database was changed")
    return [f"{len(names)} on nothing", f"{len(names[:2])} on what those made", f"{len(newer)} on a newer one"]


def _start_again(crew: Crew, names: tuple[str, ...]) -> None:
    asked = crew.simulator.request_count
    crew.start(*names)
    crew.wait_until(lambda: len(crew.lives()) == len(names) and crew.simulator.request_count > asked)


def _must_be_one(crew: Crew, names: tuple[str, ...]) -> int:
    """All have a place, each part has one of them, and has him still after a while; how many tables there are."""
    crew.wait_until_settled()
    lives = crew.lives()
    must(sorted(name for name, _ in lives) == sorted(names), f"of {names} there are {lives}")
    versions = crew.look("SELECT version_num FROM alembic_version")
    must(versions == [(revisions()[-1],)], f"alembic_version holds {versions}")
    counters = crew.look("SELECT name FROM counters ORDER BY name")
    must(counters == [("appended",), ("commanded",), ("hinted",)], f"there are these counters: {counters}")
    crew.must_live()
    return int(crew.look(MADE)[0][0])


def _must_refuse(crew: Crew, names: tuple[str, ...]) -> None:
    crew.start(*names)
    for name in names:
        code = crew.workers.pop(name).wait(timeout=60)
        must(code == 1 and "is from a newer version" in crew.told(name), f"{name} ended with {code}: {crew.told(name)}")


def _a_round_beside(server: OwnPostgres) -> str:
    """It exits 1 and names who lives; alone it does its round."""
    with a_crew(server) as crew:
        crew.start_watching(NAMES[:2], SYNCS)
        refused = crew.workplace.run("run", "--once")
        named = [name for name in NAMES if name in refused.stderr]
        must(refused.returncode == 1 and named, f"beside two it ended with {refused.returncode}: {refused.stderr}")
        crew.must_stop_well()
        alone = crew.workplace.run("run", "--once")
        must(alone.returncode == 0, f"alone it ended with {alone.returncode}: {alone.stderr}")
        must(crew.look(NOBODY) == [(True,)], f"a round has ended, and in the database are {crew.lives()}")
    return f"exit code 1 beside two, and it names {named[0]}; 0 by itself"


ROW = Row(
    number=16,
    title="two and five workers start at once on no database, on a made, on a newer one; a round beside them",
    criterion=(
        "the tables are made once, all have a place and each part has one of them; on a newer database all exit 1 with "
        "a sentence and change nothing; `run --once` beside them exits 1 and names one that lives"
    ),
    run=starts,
    limits=(300, 1200),
)
