"""From one database into another, of each engine into each: all, or nothing."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Table

from faults import old_database
from notifier.model.errors import DatabaseUnusable
from notifier.store.migrate import check_current, migrate
from notifier.store.move import Moved, move
from notifier.store.postgres.database import PostgresDatabase
from notifier.store.postgres.moving import PostgresRows
from notifier.store.sql.moving import Batches
from notifier.store.sql.revision import revisions, scripts_directory
from notifier.store.sql.schema import metadata
from notifier.store.sqlite.lock import worker_lock
from notifier.store.sqlite.moving import SqliteRows
from notifier.watchlist.database import DatabasePlace, ServerUrl
from tests.integration.store.postgres.kit import change_at, rows_at
from tests.postgres.server import Postgres

ODD = 'a\0NUL, a \ue000 mark, \\N, a \t tab, a \r\n line, "quotes", \\.\n, ☃ 𝄞 \u202e'
BYTES = bytes(range(256))
LARGE = 2**62
JOIN = (
    "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
    "VALUES ('life', 'worker-1', 1, '0', '0012', '', 0, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - %s)"
)
DIRECTIONS = [(one, other) for one in ("sqlite", "postgresql") for other in ("sqlite", "postgresql")]
on_each_way = pytest.mark.parametrize(("one", "other"), DIRECTIONS)
pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

Content = dict[str, list[dict[str, Any]]]


class Places:
    """Databases of each engine, made as they are wanted."""

    def __init__(self, directory: Path, server: Postgres, stack: ExitStack) -> None:
        self._directory = directory
        self._server = server
        self._stack = stack
        self._number = 0

    def empty(self, engine: str) -> DatabasePlace:
        """Not even made."""
        self._number += 1
        if engine == "sqlite":
            return self._directory / f"{self._number}.db"
        return ServerUrl(self._stack.enter_context(self._server.database()))

    def full(self, engine: str) -> DatabasePlace:
        """With a past, and with what is hard to move."""
        path = self.file()
        if engine == "sqlite":
            return path
        place = self.empty(engine)
        move(path, place, keep=True)
        return place

    def file(self, revision: str | None = None) -> Path:
        """Of the newest revision, or of that one."""
        self._number += 1
        path = self._directory / f"full-{self._number}.db"
        old_database.make(path, revision or revisions()[-1], "production")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE events SET body = ?, seen_at = ? WHERE id = 'evt_dead'", (BYTES, LARGE))
            connection.execute("UPDATE syncs SET label = ?, watched = 0", (ODD,))
            connection.execute("UPDATE workspaces SET last_error = ''")
            connection.commit()
        return path


@pytest.fixture
def places(tmp_path: Path, postgres_server: Postgres) -> Iterator[Places]:
    with ExitStack() as stack:
        yield Places(tmp_path, postgres_server, stack)


def content(place: DatabasePlace) -> Content:
    """By plain means; truths as SQLite has them."""
    found: Content = {}
    for name in metadata.tables:
        if isinstance(place, Path):
            with closing(sqlite3.connect(place)) as connection:
                connection.row_factory = sqlite3.Row
                rows = [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608
        else:
            with psycopg.connect(place.url, row_factory=dict_row) as server:
                rows = server.execute(f"SELECT * FROM {name}".encode()).fetchall()  # noqa: S608
        written = [{key: _plain(value) for key, value in row.items()} for row in rows]
        found[name] = sorted(written, key=lambda row: repr(sorted(row.items())))
    return found


def _plain(value: Any) -> Any:
    """NUL in text is written otherwise where it can't be written."""
    if isinstance(value, str):
        return value.replace("\ue000", "\ue0001").replace("\0", "\ue0000") if "\0" in value else value
    return int(value) if isinstance(value, bool) else value


def execute(place: DatabasePlace, statement: Any) -> None:
    if isinstance(place, ServerUrl):
        change_at(place.url, statement)
        return
    with closing(sqlite3.connect(place)) as connection:
        connection.execute(statement)
        connection.commit()


def is_empty(place: DatabasePlace) -> bool:
    if isinstance(place, Path) and not place.exists():
        return True
    return not any(content(place).values())


def refused(source: DatabasePlace, target: DatabasePlace, *, keep: bool = False) -> str:
    with pytest.raises(DatabaseUnusable) as raised:
        move(source, target, keep=keep)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@on_each_way
def test_all_that_is_stored_arrives_as_it_was(places: Places, one: str, other: str) -> None:
    source, target = places.full(one), places.empty(other)
    before = content(source)
    moved = move(source, target, keep=True)
    assert content(target) == content(source) == before
    assert {name: number for name, number in moved.rows.items() if name in before} == {
        name: len(rows) for name, rows in before.items()
    }
    assert before["syncs"][0]["label"] == _plain(ODD)
    check_current(target)


@on_each_way
def test_numbers_go_on_behind_the_last_that_was_ever_given(places: Places, one: str, other: str) -> None:
    source, target = places.full(one), places.empty(other)
    execute(source, "DELETE FROM deliveries WHERE event_id = 'evt_waiting'")
    execute(source, "DELETE FROM events WHERE id = 'evt_waiting'")
    move(source, target, keep=False)
    for table, columns in (
        ("events", "id, type, workspace, sync_id, run_id, seen_at, body"),
        ("deliveries", "event_id, event_type, receiver, workspace, sync_id, state, created_at, clock_started_at"),
    ):
        values = {"events": "'new', '', '', '', '', 0, ''", "deliveries": "'new', '', '', '', '', 'dead', 0, 0"}
        execute(target, f"INSERT INTO {table} ({columns}) VALUES ({values[table]})")  # noqa: S608
    found = content(target)
    assert max(row["seq"] for row in found["events"]) == 4
    assert max(row["id"] for row in found["deliveries"]) == 4


@on_each_way
def test_a_target_that_holds_something_else_is_refused_and_stays_as_it_is(places: Places, one: str, other: str) -> None:
    source, target = places.full(one), places.full(other)
    execute(target, "DELETE FROM posted")
    before = content(target), content(source)
    assert "is not empty, and what it holds is not what" in refused(source, target)
    assert (content(target), content(source)) == before


@on_each_way
def test_what_fails_at_any_table_moves_nothing_and_the_next_move_moves_all(
    places: Places, one: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places.full(one), places.empty(other)
    before = content(source)
    rows: type[SqliteRows | PostgresRows] = SqliteRows if other == "sqlite" else PostgresRows
    for method, times in (("add", len(metadata.tables)), ("count_on_from", 4), ("commit", 1)):
        for number in range(times):
            with monkeypatch.context() as patch:
                patch.setattr(rows, method, _failing(getattr(rows, method), number))
                with pytest.raises(RuntimeError, match="enough"):
                    move(source, target, keep=False)
            assert is_empty(target), (method, number)
            assert content(source) == before
    move(source, target, keep=False)
    assert content(target) == before


@on_each_way
def test_where_not_all_rows_arrive_nothing_is_moved(
    places: Places, one: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places.full(one), places.empty(other)
    before = content(source)
    rows: type[SqliteRows | PostgresRows] = SqliteRows if other == "sqlite" else PostgresRows
    add: Callable[..., None] = rows.add

    def add_some(target_rows: Any, table: Table, batches: Batches) -> None:
        add(target_rows, table, iter(()) if table.name == "posted" else batches)

    monkeypatch.setattr(rows, "add", add_some)
    assert f"not all rows of {source} arrived" in refused(source, target)
    assert is_empty(target)
    assert content(source) == before


def _failing(method: Callable[..., None], number: int) -> Callable[..., None]:
    """Does its work that often, and then half of it."""
    calls: list[object] = []

    def failing(rows: Any, *given: Any) -> None:
        calls.append(given)
        if len(calls) > number:
            raise RuntimeError("enough")
        method(rows, *given)

    return failing


@on_each_way
def test_a_move_that_was_not_ended_is_ended_by_the_next(places: Places, one: str, other: str) -> None:
    source, target = places.full(one), places.empty(other)
    assert move(source, target, keep=True).was_there is False
    moved = move(source, target, keep=False)
    assert moved.was_there is True
    assert moved.rows["events"] == 3
    assert str(source) in moved.left


@pytest.mark.parametrize("other", ["sqlite", "postgresql"])
def test_an_older_source_is_brought_to_the_newest_schema(places: Places, other: str) -> None:
    source, target = places.file("0004"), places.empty(other)
    move(source, target, keep=True)
    check_current(source)
    assert content(target) == content(source)
    assert len(content(source)["deliveries"]) == 3


def test_an_older_server_is_brought_to_the_newest_schema(places: Places) -> None:
    source, target = places.empty("postgresql"), places.empty("sqlite")
    assert isinstance(source, ServerUrl)
    with psycopg.connect(source.url) as connection:
        connection.execute((scripts_directory() / "postgresql.sql").read_bytes())
    change_at(source.url, "INSERT INTO worker VALUES (1, 'old', 0, 0)")
    move(source, target, keep=True)
    check_current(source)
    assert [row["version"] for row in content(target)["worker"]] == ["old"]


def test_a_file_becomes_one_of_another_name_and_nothing_is_left_beside_it(places: Places, tmp_path: Path) -> None:
    source, target = places.file(), places.empty("postgresql")
    with closing(sqlite3.connect(source)) as connection:  # the WAL holds some of it
        connection.execute("UPDATE worker SET version = 'in the WAL'")
        connection.commit()
        reader = sqlite3.connect(source)
    reader.execute("SELECT count(*) FROM worker").fetchall()
    reader.close()
    before = content(source)
    moved = move(source, target, keep=False)
    assert moved.left == f"{source} is {source}.moved now, so that no worker goes on with it"
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"{source.name}.lock", f"{source.name}.moved"]
    assert content(source.with_name(f"{source.name}.moved")) == before
    assert f"{source}.moved is what an earlier move left of it" in refused(source, target)


def test_a_link_stays_and_the_file_behind_it_is_renamed(places: Places, tmp_path: Path) -> None:
    source = places.file()
    link = tmp_path / "link.db"
    link.symlink_to(source)
    assert "the very database" in refused(link, source)
    move(link, places.empty("postgresql"), keep=False)
    assert not source.exists()
    assert source.with_name(f"{source.name}.moved").exists()


def test_a_file_that_someone_reads_for_long_is_moved_and_the_next_move_renames_it(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.store.sqlite.moving.PATIENCE", 0.0)
    source, target = places.file(), places.empty("postgresql")
    with closing(sqlite3.connect(source)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM events").fetchone()
        said = refused(source, target)
        assert f"{target} holds all of {source} now, but {source}: another process holds the write lock" in said
        assert source.exists()
    assert move(source, target, keep=False).was_there is True
    assert not source.exists()


def test_what_would_be_overwritten_is_refused_before_anything_is_moved(places: Places) -> None:
    source, target = places.file(), places.empty("postgresql")
    source.with_name(f"{source.name}.moved").touch()
    assert "is there already; put that elsewhere, or say --keep" in refused(source, target)
    migrate(target)
    assert is_empty(target)
    move(source, target, keep=True)
    assert source.exists()


@pytest.mark.parametrize("one", ["sqlite", "postgresql"])
def test_where_nothing_is_there_nothing_is_moved_nor_made(places: Places, tmp_path: Path, one: str) -> None:
    source, target = places.empty(one), places.empty("sqlite")
    assert "there is no database to move" in refused(source, target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", ["sqlite", "postgresql"])
def test_an_older_source_stays_as_it_is_where_the_target_is_not_empty(places: Places, other: str) -> None:
    source, target = places.file("0011"), places.full(other)
    before = source.read_bytes()
    assert "is not empty, and what it holds is not what" in refused(source, target)
    assert source.read_bytes() == before


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_directory_is_refused(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in (Path(), Path("/"), tmp_path):
        one, other = (directory, places.empty("sqlite")) if which == "source" else (places.file(), directory)
        assert f"{directory} is a directory; `database` must name a file" in refused(one, other)


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_file_with_a_worker_is_refused(places: Places, which: str) -> None:
    source, target = places.file(), places.empty("sqlite")
    held = source if which == "source" else target
    assert isinstance(held, Path)
    with worker_lock(held):
        said = refused(source, target)
    assert said.startswith(f"{held} is in use by the worker with PID ")
    assert said.endswith("; stop it before anything is moved")
    assert is_empty(target)


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_server_with_a_living_replica_is_refused(places: Places, which: str) -> None:
    source, target = places.full("postgresql"), places.empty("postgresql")
    migrate(target)
    held = source if which == "source" else target
    assert isinstance(held, ServerUrl)
    change_at(held.url, JOIN, 0)
    assert refused(source, target).startswith(f"{held} is in use by the replica worker-1; stop all of them before")
    assert is_empty(target)


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_server_that_a_newer_version_has_upgraded_meanwhile_is_refused(
    places: Places, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places.full("postgresql"), places.empty("postgresql")
    overtaken = source if which == "source" else target
    assert isinstance(overtaken, ServerUrl)
    migrated = PostgresDatabase.migrate

    def and_then(database: PostgresDatabase) -> bool:
        done = migrated(database)
        if str(database) == str(overtaken):
            change_at(overtaken.url, "UPDATE alembic_version SET version_num = '9001'")
        return done

    monkeypatch.setattr(PostgresDatabase, "migrate", and_then)
    assert "is from a newer version" in refused(source, target)
    if which == "source":
        assert is_empty(target)
    else:
        assert rows_at(overtaken.url, "SELECT FROM events") == []


def test_a_replica_that_is_long_silent_has_no_place_at_what_was_moved(places: Places) -> None:
    source, target = places.full("postgresql"), places.empty("postgresql")
    migrate(target)
    assert isinstance(source, ServerUrl)
    assert isinstance(target, ServerUrl)
    for place in (source, target):
        change_at(place.url, JOIN, 60_000_000)
    change_at(target.url, "INSERT INTO parts VALUES ('upkeep', 'life', 0)")
    move(source, target, keep=False)
    assert rows_at(target.url, "SELECT id FROM replicas") == []
    assert rows_at(target.url, "SELECT name FROM parts") == []
    assert len(rows_at(source.url, "SELECT id FROM replicas")) == 1


def test_who_comes_to_a_server_that_is_being_left_is_waited_for_and_nothing_is_moved(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places.full("postgresql"), places.empty("sqlite")
    assert isinstance(source, ServerUrl)
    waits = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND relation = 'replicas'::regclass"
    add = SqliteRows.add
    with ThreadPoolExecutor() as threads:

        def add_while_someone_comes(rows: SqliteRows, *given: Any) -> None:
            if not rows_at(source.url, waits):
                threads.submit(change_at, source.url, JOIN, 0)
                while not rows_at(source.url, waits):
                    time.sleep(0.01)
            add(rows, *given)

        monkeypatch.setattr(SqliteRows, "add", add_while_someone_comes)
        assert "is wanted by a worker or a command that came meanwhile" in refused(source, target)
    assert is_empty(target)
    assert rows_at(source.url, "SELECT name FROM replicas") == [("worker-1",)]


def test_what_only_servers_have_goes_from_one_to_another(places: Places) -> None:
    source, target = places.full("postgresql"), places.empty("postgresql")
    assert isinstance(source, ServerUrl)
    assert isinstance(target, ServerUrl)
    hint = "INSERT INTO hints (workspace, sync_id, kind, alert) VALUES ('production', '52', 'alert', '\\x00ff')"
    change_at(source.url, hint)
    moved = move(source, target, keep=False)
    assert moved.rows["hints"] == 1
    assert rows_at(target.url, "SELECT id, alert FROM hints") == [(1, b"\x00\xff")]
    there: Moved = move(source, target, keep=False)
    assert there.was_there is True
    change_at(target.url, "DELETE FROM hints")
    assert "is not empty" in refused(source, target)


def test_another_url_of_the_same_database_is_found_out(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.store.postgres.moving.PATIENCE", 0.0)
    source = places.full("postgresql")
    assert isinstance(source, ServerUrl)
    before = content(source)
    said = refused(source, ServerUrl(f"{source.url}?application_name=another"))
    assert "is the very database that `--from` names" in said
    assert content(source) == before
    assert "canary" not in said
