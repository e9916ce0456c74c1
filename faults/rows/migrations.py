"""Row 3: kill -9 at each statement of a migration, from each revision there ever was."""

import shutil
import signal
from pathlib import Path

from faults import old_database
from faults.database import must_be_sound, post_mortem
from faults.old_database import RUN, SYNC, WAITING
from faults.place import a_workplace
from faults.row import Figures, Row, Size, must, say
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

INSIDE = Path(__file__).parents[1] / "inside"
WORKSPACE = "production"


def migrations(size: Size) -> Figures:
    """From no database, and from each revision with its rows: every statement, or some of them in the short form."""
    known = old_database.revisions()
    killed = statements = 0
    with a_workplace() as (workplace, simulator):
        simulator.add_run(simulator.add_sync(id=SYNC)["id"], id=RUN, status="failed", error_code="BROKE")
        for start in (None, *known[:-1]):
            old = workplace.directory / "old.db"
            old.unlink(missing_ok=True)
            old_database.make(old, start, WORKSPACE)
            script = _statements(workplace, old, known[-1])
            statements += len(script)
            numbers = range(1, len(script) + 1)
            some = sorted(size.chance(len(script)).sample(numbers, min(2, len(script))))
            for number in size.pick(some, list(numbers)):
                _kill(workplace, old, number, known[-1], script[number - 1])
                killed += 1
            say(f"from {start or 'nothing'}: {len(script)} statements")
            if start is not None:
                _go_on(workplace, simulator, old)
    return {
        "from": ", ".join(["nothing", *known[:-1]]),
        "to": known[-1],
        "statements": statements,
        "kills": killed,
    }


def _begin(workplace: Workplace, old: Path) -> Path:
    database = workplace.directory / "n.db"
    for left in workplace.directory.glob("n.db*"):
        left.unlink()
    if old.exists():
        shutil.copyfile(old, database)
    return database


def _migrate(workplace: Workplace, die_at: int | None = None) -> int:
    """`notifier migrate`, and its exit code; it notes its statements where it is to die (0: at none)."""
    plain = dict(workplace.environment)
    if die_at is not None:
        workplace.environment |= {
            "PYTHONPATH": str(INSIDE),
            "FAULTS_DIE_AT": str(die_at),
            "FAULTS_NOTE": str(_note(workplace)),
        }
    try:
        return workplace.run("migrate").returncode
    finally:
        workplace.environment = plain


def _note(workplace: Workplace) -> Path:
    return workplace.directory / "statements"


def _statements(workplace: Workplace, old: Path, head: str) -> list[str]:
    """What a migration that nobody disturbs runs."""
    database = _begin(workplace, old)
    must(_migrate(workplace, 0) == 0, "a migration that nobody disturbs fails")
    _must_be_whole(database, old, head, "undisturbed")
    return _note(workplace).read_text().splitlines()


def _kill(workplace: Workplace, old: Path, number: int, head: str, statement: str) -> None:
    database = _begin(workplace, old)
    code = _migrate(workplace, number)
    must(code == -signal.SIGKILL, f"statement {number}: the command ended with {code}")
    where = f"killed at statement {number}, {statement}"
    must(_note(workplace).read_text().splitlines()[-1] == statement, f"{where}: another one this time")
    if database.exists():
        must_be_sound(database)
        _must_have_kept(database, old, where)
    must(_migrate(workplace) == 0, f"{where}: the next start fails")
    _must_be_whole(database, old, head, where)


def _must_be_whole(database: Path, old: Path, head: str, where: str) -> None:
    must_be_sound(database)
    _must_have_kept(database, old, where)
    with post_mortem(database) as connection:
        stamped = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    must(stamped == [(head,)], f"{where}: the database is at {stamped}, not at {head}")


def _must_have_kept(database: Path, old: Path, where: str) -> None:
    if not old.exists():
        return
    with post_mortem(old) as connection:
        before = old_database.content(connection)
    with post_mortem(database) as connection:
        after = old_database.content(connection, like=before)
    for table, rows in before.items():
        must(after.get(table) == rows, f"{where}: {table} has {after.get(table)}, not {rows}")


def _go_on(workplace: Workplace, simulator: SimulatorThread, old: Path) -> None:
    """A worker on the old database delivers what waited there, and takes nothing that was known for news."""
    database = _begin(workplace, old)
    simulator.sink.reset()
    ended = workplace.run("run", "--once")
    must(ended.returncode == 0, f"a round on the old database: {ended.stderr}")
    got = [webhook.headers["webhook-id"] for webhook in simulator.sink.received]
    must(got == [WAITING], f"a round on the old database sends {got}")
    must_be_sound(database)


ROW = Row(
    number=3,
    title="kill -9 at each statement of the migrations, from no database and from each revision",
    criterion=(
        "what a kill leaves is sound and has all rows; the next start completes; all rows are there as they were; what "
        "waited is delivered, once, and nothing that was known is news"
    ),
    run=migrations,
    limits=(900, 1800),
)
