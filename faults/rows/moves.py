"""Row 20: `migrate --from` is killed at each step of a move, there and back; and workers come on either side."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from faults import old_database
from faults.crew import a_server
from faults.old_database import RUN, SYNC, WAITING
from faults.place import a_workplace, must_stop_well
from faults.row import Figures, Row, Size, must, say
from notifier.simulator import SimulatorThread
from notifier.store.sql.schema import metadata
from tests.acceptance.workplace import COMMAND, Workplace
from tests.postgres.server import OwnPostgres, name_of

INSIDE: Final = Path(__file__).parents[1] / "inside"
FILE: Final = "sqlite:///n.db"
NOTED: Final = "steps"
WANTED: Final = (
    "SELECT (SELECT count(*) FROM replicas) + "
    "(SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation')"
)
CONNECTED: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"

Content = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A file in the workplace and a database on the server; all that is done moves from one to the other."""

    workplace: Workplace
    simulator: SimulatorThread
    server: OwnPostgres
    url: str

    @property
    def file(self) -> Path:
        return self.workplace.directory / "n.db"

    def environment(self, target: str, **more: object) -> dict[str, str]:
        """Of a command that moves to that."""
        old = FILE if target == self.url else self.url
        inside = {"PYTHONPATH": str(INSIDE), "FAULTS_STEPS": str(self.workplace.directory / NOTED)} if more else {}
        given = {name: str(value) for name, value in more.items()}
        return {**self.workplace.environment, "DATABASE_URL": target, "OLD_URL": old, **inside, **given}

    def move(self, target: str, **more: object) -> tuple[int, str]:
        """Its exit code, and what it says."""
        command = [str(COMMAND), "migrate", "--from", "${OLD_URL}"]
        around = self.environment(target, **more)
        ended = subprocess.run(
            command, cwd=self.workplace.directory, env=around, capture_output=True, text=True, check=False
        )
        said = ended.stdout + ended.stderr
        must("Traceback" not in said and self.server.password not in said, f"migrate --from says: {said}")
        return ended.returncode, said

    def must_move(self, target: str, where: str) -> None:
        code, said = self.move(target)
        must(code == 0, f"{where}: the move ends with {code}: {said}")

    def steps(self) -> list[str]:
        return (self.workplace.directory / NOTED).read_text().splitlines()

    def clear(self, target: str) -> None:
        """Neither of it is there; the source stays as it is."""
        if target != self.url:
            for left in self.workplace.directory.glob("n.db*"):
                left.unlink()
            return
        with self.server.admin(name_of(self.url)) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public AUTHORIZATION notifier")

    def until_alone(self) -> None:
        """Whatever a killed command began at the server is over."""
        with self.server.admin() as connection:
            self.workplace.wait_until(
                lambda: connection.execute(CONNECTED, [name_of(self.url)]).fetchone() == (0,), timeout=30
            )


def content(stage: Stage, place: str) -> Content | None:
    """All rows, as words; None where there is no database."""
    found: Content = {}
    if place != stage.url:
        if not stage.file.exists():
            return None
        with closing(sqlite3.connect(stage.file)) as connection:
            made = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
            connection.row_factory = sqlite3.Row
            for name in metadata.tables if made else ():
                found[name] = _words(dict(row) for row in connection.execute(f"SELECT * FROM {name}"))  # noqa: S608
        return found or None
    with psycopg.connect(stage.url, row_factory=dict_row) as server:
        if not server.execute("SELECT FROM pg_tables WHERE tablename = 'events'").rowcount:
            return None
        for name in metadata.tables:
            found[name] = _words(server.execute(f"SELECT * FROM {name}".encode()))  # noqa: S608
    return found


def _words(rows: Any) -> list[str]:
    plain = ({key: int(value) if isinstance(value, bool) else value for key, value in row.items()} for row in rows)
    return sorted(repr(sorted(row.items())) for row in plain)


def moves(size: Size) -> Figures:
    """There and back, each at all steps or at some; then with workers, and at last with a story."""
    with a_server() as server, a_workplace() as (workplace, simulator), server.database() as url:
        workplace.database = "${DATABASE_URL}"
        workplace.write_watchlist()
        workplace.environment |= {"NOTIFIER_REPLICA": "worker-1", "DATABASE_URL": FILE}
        simulator.add_run(simulator.add_sync(id=SYNC)["id"], id=RUN, status="failed", error_code="BROKE")
        stage = Stage(workplace, simulator, server, url)
        source = workplace.directory / "source.db"
        old_database.make(source, old_database.revisions()[-1], "production")
        figures: dict[str, object] = {}
        for target, name in ((url, "there"), (FILE, "back")):
            steps, killed = _killed(stage, source, target, size)
            figures[f"{name}: steps, kills, and targets that were full already"] = f"{steps}, {killed[0]}, {killed[1]}"
            figures[f"{name}: workers that came meanwhile"] = _beside_workers(stage, source, target, size)
        figures["a story across moves"] = _a_story(stage, size)
        return figures


def _ready(stage: Stage, source: Path, target: str, *, anew: bool = True) -> Content:
    """The source is full, the target is not there; what the source holds. `anew`: whatever it holds already."""
    stage.clear(FILE)
    if anew:
        stage.clear(stage.url)
        shutil.copyfile(source, stage.file)
    if anew and target != stage.url:
        stage.must_move(stage.url, "the first move")
        stage.clear(FILE)
    found = content(stage, FILE if target == stage.url else stage.url)
    must(found, "the source is empty")
    return found or {}


# --- kills ---


def _killed(stage: Stage, source: Path, target: str, size: Size) -> tuple[int, tuple[int, int]]:
    _ready(stage, source, target)
    code, said = stage.move(target, FAULTS_DIE_AT=0)
    must(code == 0, f"a move that nobody disturbs ends with {code}: {said}")
    steps = stage.steps()
    numbers = list(range(1, len(steps) + 1))
    end = _commit(steps, stage, target)
    amid = _last(steps, "write_row" if target == stage.url else "INSERT INTO")
    some = sorted({*size.chance(len(steps)).sample(numbers, 1), amid, end, end + 1, len(steps)})
    full = sum(_kill(stage, source, target, number) for number in size.pick(some, numbers))
    say(f"to {'PostgreSQL' if target == stage.url else 'SQLite'}: {len(steps)} steps")
    return len(steps), (len(size.pick(some, numbers)), full)


def _commit(steps: Sequence[str], stage: Stage, target: str) -> int:
    """The step by which the target keeps all."""
    if target != stage.url:
        return _last(steps, "COMMIT")
    analyzed = _last(steps, "ANALYZE")
    return analyzed + 1 + next(number for number, step in enumerate(steps[analyzed:]) if step.strip() == "commit")


def _last(steps: Sequence[str], word: str) -> int:
    return max(number for number, step in enumerate(steps, 1) if word in step)


def _kill(stage: Stage, source: Path, target: str, number: int) -> bool:
    """Whether the target was full already."""
    before = _ready(stage, source, target, anew=target == stage.url)  # a move leaves a server as it is
    code, said = stage.move(target, FAULTS_DIE_AT=number)
    if code == 0 and len(stage.steps()) < number:  # something that is tried again came about at once this time
        return _kill(stage, source, target, len(stage.steps()))
    where = f"killed at step {number}, {stage.steps()[-1]!r}"
    must(code == -signal.SIGKILL, f"{where}: it ended with {code}: {said}")
    stage.until_alone()
    left, arrived = content(stage, FILE if target == stage.url else stage.url), content(stage, target)
    must(left == before, f"{where}: the source holds {left}, not {before}")
    is_full = arrived == before
    must(is_full or not any((arrived or {}).values()), f"{where}: the target holds {arrived}")
    stage.must_move(target, where)
    must(content(stage, target) == before, f"{where}, and done again: the target holds {content(stage, target)}")
    if target == stage.url:
        names = sorted(file.name for file in stage.workplace.directory.glob("n.db*"))
        must(names == ["n.db.lock", "n.db.moved"], f"{where}, and done again: there are {names}")
    return is_full


# --- workers ---


def _beside_workers(stage: Stage, source: Path, target: str, size: Size) -> str:
    """The move is frozen at a step, while workers start on both sides: behind its locks, and before a server that is
    left has been asked for the last time whether anybody waits there."""
    steps = stage.steps()
    begins = next(number for number, step in enumerate(steps) if "LOCK TABLE replicas" in step) + 2
    end = _commit(steps, stage, target) if target == stage.url else _last(steps, "pg_locks")
    numbers = range(begins, end + 1)
    came: Counter[str] = Counter()
    for number in size.pick(sorted({begins + 2, end}), numbers[:: max(1, len(numbers) // 12)]):
        came[_beside(stage, source, target, number)] += 1
    return ", ".join(f"{times} x {what}" for what, times in sorted(came.items()))


def _beside(stage: Stage, source: Path, target: str, number: int) -> str:
    before = _ready(stage, source, target)
    stage.simulator.sink.reset()
    workplace = stage.workplace
    with _frozen(stage, target, number) as mover:
        where = f"frozen at step {number}, {stage.steps()[-1]!r}"
        workplace.environment["DATABASE_URL"] = FILE
        ended = workplace.run("run", "--once")
        refused = ended.returncode == 1 and "is in use by" in ended.stderr
        must(refused, f"{where}: a worker on the file ended with {ended.returncode}: {ended.stderr}")
        workplace.environment["DATABASE_URL"] = stage.url
        workplace.start()
        with stage.server.admin(name_of(stage.url)) as connection:
            workplace.wait_until(lambda: (connection.execute(WANTED).fetchone() or (0,))[0] > 0)
        os.kill(mover.pid, signal.SIGCONT)
        said = mover.communicate(timeout=60)[0].decode()
    is_moved = mover.returncode == 0
    must(is_moved == (target == stage.url), f"{where}: the move ended with {mover.returncode}: {said}")
    if not is_moved:
        must("is wanted by a worker" in said, f"{where}: {said}")
        must(not any((content(stage, FILE) or {}).values()), f"{where}: it moved something")
        must((content(stage, stage.url) or {}).keys() == before.keys(), f"{where}: the server has other tables")
    workplace.wait_until(lambda: stage.simulator.sink.received)  # by the one who waited, wherever all is
    must_stop_well(workplace)
    got = [webhook.headers["webhook-id"] for webhook in stage.simulator.sink.received]
    must(got == [WAITING], f"{where}: {got} were sent; {said}")
    return "the move went on, and the worker after it" if is_moved else "the move was refused, and the worker went on"


@contextmanager
def _frozen(stage: Stage, target: str, number: int) -> Iterator["subprocess.Popen[bytes]"]:
    command = [str(COMMAND), "migrate", "--from", "${OLD_URL}"]
    around = stage.environment(target, FAULTS_STOP_AT=number)
    with subprocess.Popen(
        command, cwd=stage.workplace.directory, env=around, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as mover:
        _, status = os.waitpid(mover.pid, os.WUNTRACED)
        must(os.WIFSTOPPED(status), f"the move was not stopped at step {number}")
        try:
            yield mover
        finally:
            if mover.poll() is None:
                mover.kill()


# --- a story ---


def _a_story(stage: Stage, size: Size) -> str:
    """Runs fail before, between and after moves, each killed once on its way: each is told once."""
    stage.clear(FILE)
    stage.clear(stage.url)
    workplace, simulator, chance = stage.workplace, stage.simulator, size.chance(20)
    simulator.sink.reset()
    told = 0
    place = FILE
    workplace.environment["DATABASE_URL"] = FILE
    workplace.start()
    workplace.wait_until(lambda: workplace.has_baseline() if place == FILE else True)
    turns = size.pick(2, 10)
    for turn in range(turns + 1):
        for _ in range(5):
            simulator.add_run(SYNC, status="failed", error_code="BROKE", error_message=f"in turn {turn}")
            told += 1
            time.sleep(chance.uniform(0, 0.2))
        workplace.wait_until(partial(_has_been_told, simulator, told))
        must_stop_well(workplace)
        if turn == turns:
            break
        simulator.add_run(SYNC, status="failed", error_code="BROKE", error_message="while nobody looked")
        told += 1
        place = stage.url if place == FILE else FILE
        stage.clear(place)
        code, said = stage.move(place, FAULTS_DIE_AT=chance.randrange(20, 120))
        must(code in (0, -signal.SIGKILL), f"the move in turn {turn} ended with {code}: {said}")
        stage.until_alone()
        if code:
            stage.must_move(place, f"turn {turn}")
        workplace.environment["DATABASE_URL"] = place
        workplace.start()
    counted = Counter(webhook.headers["webhook-id"] for webhook in simulator.sink.received)
    again = [event for event, times in counted.items() if times > 1]
    must(not again and len(counted) == told, f"of {told} events {len(counted)} were told, again: {again}")
    return f"{turns} moves, {told} events, none twice"


def _has_been_told(simulator: SimulatorThread, events: int) -> bool:
    return len(simulator.sink.received) >= events


ROW = Row(
    number=20,
    title="kill -9 at each step of `migrate --from`, from SQLite to PostgreSQL and back; workers meanwhile",
    criterion=(
        "the target is empty and the source as it was, or all is there; the next move ends it, and the file is "
        "renamed; a worker that comes meanwhile is refused, or waits and goes on with what was moved, or the move is "
        "refused and moves nothing; each event is told once"
    ),
    run=moves,
    limits=(600, 3600),
)
