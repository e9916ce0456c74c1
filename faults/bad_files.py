"""Files that are no database to work on: the worker refuses each at its start, says why, and leaves it as it is."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from faults.row import must
from notifier.store.migrate import migrate
from tests.acceptance.workplace import Workplace


def _change(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def a_text(database: Path) -> None:
    database.write_text("version: 1\n" * 1000)


def half_a_file(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])


def noise_in_a_table(database: Path) -> None:
    """The root page of `syncs` is overwritten: the schema is readable, the rows are not.

    Damage is seen where it is read, and this table is at every start: to read a whole database would take too long.
    """
    with closing(sqlite3.connect(database)) as connection:
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'syncs'").fetchall()
    content = bytearray(database.read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    database.write_bytes(content)


def newer(database: Path) -> None:
    _change(database, "UPDATE alembic_version SET version_num = '9999'")


def a_strangers(database: Path) -> None:
    database.unlink()
    _change(database, "CREATE TABLE photos (id INTEGER)")


def empty_beside_a_wal(database: Path) -> None:
    database.write_bytes(b"")
    database.with_name("n.db-wal").write_bytes(b"\x37\x7f\x06\x82" + b"\x00" * 4092)


def a_directory(database: Path) -> None:
    database.unlink()
    database.mkdir()


REFUSED: Mapping[Callable[[Path], None], str] = {
    a_text: "the file is not an SQLite database",
    half_a_file: "the file is damaged; restore a backup",
    noise_in_a_table: "the file is damaged; restore a backup",
    newer: "is from a newer version of the notifier (schema 9999)",
    a_strangers: "is another program's database",
    empty_beside_a_wal: "is empty or gone but n.db-wal is not: restore both, or remove n.db-wal",
    a_directory: "is a directory; `database` must name a file",
}


def must_refuse_all(workplace: Workplace, commands: Iterable[tuple[str, ...]]) -> str:
    """Each command on each; what was refused."""
    database = workplace.directory / "n.db"
    for spoil, reason in REFUSED.items():
        _clear(workplace.directory)
        migrate(database)
        spoil(database)
        before = _content(workplace.directory)
        for command in commands:
            ended = workplace.run(*command)
            case = f"{spoil.__name__}, {' '.join(command)}"
            must(ended.returncode == 1 and reason in ended.stderr, f"{case}: {ended.returncode}, {ended.stderr}")
            if spoil is not noise_in_a_table:  # seen only when that table is read: others may be written by then
                must(_content(workplace.directory) == before, f"{case}: the file is not as it was")
    _clear(workplace.directory)
    must(workplace.run("run", "--once").returncode == 0, "without a file, none is made")
    return ", ".join(spoil.__name__ for spoil in REFUSED)


def _clear(directory: Path) -> None:
    for left in directory.glob("n.db*"):
        left.rmdir() if left.is_dir() else left.unlink()


def _content(directory: Path) -> dict[str, bytes]:
    """What holds data: the lock is ours to make, the shared memory only an index of the WAL."""
    kept = (path for path in directory.glob("n.db*") if path.is_file() and path.suffix not in (".lock", ".db-shm"))
    return {path.name: path.read_bytes() for path in kept if path.stat().st_size or path.name == "n.db"}
