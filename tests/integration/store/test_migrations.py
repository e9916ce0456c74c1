"""Migrations: what they build is what the code expects, and each happens whole or not at all."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from faults import old_database
from notifier.model.errors import DatabaseUnusable
from notifier.model.event import run_story
from notifier.store.migrate import check_current, migrate
from notifier.store.sql.revision import revisions, scripts_directory
from notifier.store.sql.schema import metadata
from notifier.store.sql.upgrade import alembic_config
from tests.integration.store.builders import DeathAt, change, exit_code, processes, rows, run_to_its_end, schema_of

TABLES = {
    "worker",
    "workspaces",
    "syncs",
    "snapshots",
    "run_watches",
    "incidents",
    "events",
    "deliveries",
    "receivers",
    "posted",
    "census_alerts",
}
BUILT_ANEW = {"syncs", "snapshots", "run_watches", "incidents", "events", "deliveries"}  # by 0009


def shape(path: Path) -> dict[str, dict[str, Any]]:
    """All that makes a table what it is, in words that both ways of building it share."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        found = inspect(connection)
        return {
            table: {
                "columns": [
                    (name, kind, bool(not_null), default, in_key)
                    for _, name, kind, not_null, default, in_key in connection.exec_driver_sql(
                        f"PRAGMA table_info({table})"
                    )
                ],
                "unique": sorted((str(u["name"]), u["column_names"]) for u in found.get_unique_constraints(table)),
                "foreign keys": [
                    (key["constrained_columns"], key["referred_table"], key["referred_columns"], key["options"])
                    for key in found.get_foreign_keys(table)
                ],
                "indexes": sorted(indexes(path, table)),
                "autoincrement": "AUTOINCREMENT" in creation(path, table),
            }
            for table in found.get_table_names()
            if table != "alembic_version"
        }


def creation(path: Path, name: str) -> str:
    [(sql,)] = rows(path, "SELECT sql FROM sqlite_master WHERE name = ?", name)
    return " ".join(str(sql).split())


def indexes(path: Path, table: str) -> list[tuple[str, bool, tuple[str, ...], str]]:
    """Each index: its name, whether it is unique, its columns in order, and its WHERE."""
    found = []
    for _, name, unique, origin, _ in rows(path, f"PRAGMA index_list({table})"):
        columns = tuple(row[2] for row in rows(path, f"PRAGMA index_info({name})"))
        where = re.search(r" WHERE (.*)$", creation(path, name)) if origin == "c" else None
        # The schema names the column with its table or without; it is the same column.
        condition = where.group(1).replace(f"{table}.", "") if where else ""
        found.append((name, bool(unique), columns, condition))
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database that the migrations have made, here and now."""
    path = tmp_path / "notifier.db"
    migrate(path)
    return path


@pytest.fixture
def by_metadata(tmp_path: Path) -> Path:
    path = tmp_path / "by_metadata.db"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    metadata.create_all(engine)
    return path


def test_the_migrations_build_the_schema_that_the_code_knows(database: Path, by_metadata: Path) -> None:
    built, known = shape(database), shape(by_metadata)
    assert built.keys() == known.keys() == TABLES
    for table in TABLES:
        assert built[table] == known[table], table


def test_a_comparison_of_shapes_sees_each_kind_of_difference(database: Path) -> None:
    original = shape(database)
    for statement in (
        "ALTER TABLE worker ADD COLUMN host VARCHAR",
        "DROP INDEX ix_deliveries_dead",
        "CREATE UNIQUE INDEX one_label ON syncs (label)",
    ):
        change(database, statement)
        altered = shape(database)
        assert altered != original, statement
        original = altered


def test_pending_and_dead_deliveries_have_indexes_of_their_own(database: Path) -> None:
    partial = {name: where for name, _, _, where in indexes(database, "deliveries") if where}
    assert partial == {
        "ix_deliveries_pending": "state = 'pending'",
        "ix_deliveries_lane": "state = 'pending'",
        "ix_deliveries_dead": "state = 'dead'",
    }


def test_ids_of_events_deliveries_and_incidents_are_autoincremented(database: Path) -> None:
    assert {table for table, parts in shape(database).items() if parts["autoincrement"]} == {
        "events",
        "deliveries",
        "incidents",
    }


def test_a_new_database_is_in_wal_mode_and_sound(database: Path) -> None:
    assert rows(database, "PRAGMA journal_mode") == [("wal",)]
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]


def test_migrate_says_whether_it_changed_something(tmp_path: Path) -> None:
    assert migrate(tmp_path / "notifier.db") is True
    assert migrate(tmp_path / "notifier.db") is False


def test_a_second_migrate_leaves_what_is_there(database: Path) -> None:
    change(database, "INSERT INTO receivers (name) VALUES ('growth')")
    migrate(database)
    assert rows(database, "SELECT name FROM receivers") == [("growth",)]


def test_after_a_migration_no_file_is_left_beside_the_database(database: Path) -> None:
    assert [path.name for path in database.parent.iterdir()] == ["notifier.db"]


# --- each migration is one transaction ---


def migrate_and_die(path: str, number: int, note: str) -> None:
    """Runs in a process of its own."""
    death = DeathAt(number, Path(note))
    event.listen(Engine, "connect", lambda connection, _record: connection.set_trace_callback(death))
    migrate(Path(path))


def schemas_of_all_versions(tmp_path: Path) -> dict[str, Any]:
    """The schema that each migration leaves, by its version."""
    found = {}
    for script in reversed(list(ScriptDirectory.from_config(alembic_config()).walk_revisions())):
        path = tmp_path / f"version_{script.revision}.db"
        with create_engine(f"sqlite:///{path}", poolclass=NullPool).connect() as connection:
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, script.revision)
        found[script.revision] = schema_of(path)
    return found


def files_of(path: Path) -> tuple[Path, ...]:
    """All that the next process will find of a database."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal")


def left_in(path: Path) -> tuple[bytes, ...]:
    return tuple(file.read_bytes() if file.exists() else b"" for file in files_of(path))


def put(left: tuple[bytes, ...], path: Path) -> None:
    for file, content in zip(files_of(path), left, strict=True):
        if content:
            file.write_bytes(content)


def migrate_step_by_step(path: str, told: Connection) -> None:
    """Runs in a process of its own: says each statement before that runs, and waits to be told to go on."""

    def step(statement: str) -> None:
        told.send(" ".join(statement.split()))
        told.recv()

    event.listen(Engine, "connect", lambda connection, _record: connection.set_trace_callback(step))
    migrate(Path(path))


def steps_of_a_migration(path: Path) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Each statement of a migration, and what a kill before it leaves: what its files hold then for another process."""
    context = processes()
    ours, theirs = context.Pipe()
    process = context.Process(target=migrate_step_by_step, args=(str(path), theirs))
    process.start()
    theirs.close()
    with ours, suppress(EOFError):
        while ours.poll(60):
            yield ours.recv(), left_in(path)
            ours.send(None)
    process.join(60)
    assert exit_code(process) == 0


KILL_EVERY = 25


@pytest.mark.slow
@pytest.mark.parametrize("start", [None, "0008"], ids=["from nothing", "from 0008 with its rows"])
def test_a_migration_that_is_killed_at_any_statement_has_not_happened(
    tmp_path: Path, database: Path, start: str | None
) -> None:
    """The next start is tried wherever a kill leaves other bytes than those before it. Some kills are real, which shows
    that it is so with the others; row 3 of the fault suite kills at each."""
    head = schema_of(database)
    whole = schemas_of_all_versions(tmp_path)
    assert list(whole.values())[-1] == head
    old, path, note = tmp_path / "old.db", tmp_path / "stepped.db", tmp_path / "statement"
    old_database.make(old, start, "eu")

    def must_go_on(path: Path, statement: str) -> None:
        must_be_whole_or_as_before(path, old, whole)
        assert migrate(path) is True, statement
        assert schema_of(path) == head, statement
        assert rows_of(path, old) == rows_of(old, old), statement
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]

    if start is not None:
        shutil.copyfile(old, path)
    steps = list(steps_of_a_migration(path))
    assert schema_of(path) == head
    for number, left in enumerate(dict.fromkeys(left for _, left in steps)):
        stopped = tmp_path / f"stopped_{number}.db"
        put(left, stopped)
        must_go_on(stopped, next(statement for statement, found in steps if found == left))
    statements = [statement for statement, _ in steps]
    for number in range(1, len(statements) + 1, KILL_EVERY):
        killed = tmp_path / f"killed_{number}.db"
        if start is not None:
            shutil.copyfile(old, killed)
        assert run_to_its_end(migrate_and_die, str(killed), number, str(note)) == -signal.SIGKILL
        assert note.read_text() == statements[number - 1]
        must_go_on(killed, statements[number - 1])
    created = {
        statement.split()[2].removeprefix("new_") for statement in statements if statement.startswith("CREATE TABLE")
    }
    assert created == (TABLES | {"alembic_version"} if start is None else BUILT_ANEW)
    assert any(statement.startswith("UPDATE alembic_version") for statement in statements)
    assert "COMMIT" in statements


def must_be_whole_or_as_before(path: Path, old: Path, whole: dict[str, Any]) -> None:
    left = schema_of(path)
    stamped = [number for (number,) in rows(path, "SELECT version_num FROM alembic_version")] if left else []
    # An empty table of versions is Alembic's word for "nothing was done yet": as good as no table.
    versions = {entry for entry in whole["0001"] if entry[1] == "alembic_version"}
    assert left == whole[stamped[0]] if stamped else left in (set(), versions)
    assert rows_of(path, old) == rows_of(old, old)


def rows_of(path: Path, old: Path) -> dict[str, Any]:
    """All rows that the old database had, in its columns."""
    if not old.exists():
        return {}
    with closing(sqlite3.connect(old)) as connection:
        before = old_database.content(connection)
    with closing(sqlite3.connect(path)) as connection:
        return old_database.content(connection, like=before)


def test_a_statement_that_fails_takes_the_whole_migration_back(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE receivers (mine)")  # the last one that the migration makes
    connection.close()
    with pytest.raises(DatabaseUnusable, match=re.escape(str(path))):
        migrate(path)
    assert {name for kind, name, _ in schema_of(path) if kind == "table"} <= {"receivers", "alembic_version"}
    change(path, "DROP TABLE receivers")
    assert migrate(path) is True


def migrate_here(path: str, together: Any) -> None:
    together.wait(60)
    migrate(Path(path))


def test_processes_that_migrate_at_once_do_it_once(tmp_path: Path, database: Path) -> None:
    path = tmp_path / "shared.db"
    context = processes()
    together = context.Barrier(4)
    started = [context.Process(target=migrate_here, args=(str(path), together)) for _ in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0, 0, 0, 0]
    assert schema_of(path) == schema_of(database)


def leave_in_mid_transaction(path: Path) -> None:
    """What a kill leaves between the last sync of the file and the end of its journal.

    Our only transaction with a journal is the first of all, which switches to WAL.
    """
    whole = path.with_name("whole.db")
    with closing(sqlite3.connect(whole, isolation_level=None)) as connection:
        for statement in (
            "CREATE TABLE left_over (bytes)",
            "DROP TABLE left_over",
            "PRAGMA cache_size = 1",  # so that the file is written before the end
            "BEGIN",
            "CREATE TABLE left_over (bytes)",
            "INSERT INTO left_over VALUES (zeroblob(200000))",
        ):
            connection.execute(statement)
        for suffix in ("", "-journal"):
            shutil.copyfile(f"{whole}{suffix}", f"{path}{suffix}")


def test_a_database_that_was_left_in_mid_transaction_is_rolled_back_and_migrated(
    tmp_path: Path, database: Path
) -> None:
    path = tmp_path / "left.db"
    leave_in_mid_transaction(path)
    assert migrate(path) is True
    assert schema_of(path) == schema_of(database)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_command_that_only_looks_at_it_names_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "left.db"
    leave_in_mid_transaction(path)
    with pytest.raises(DatabaseUnusable, match=r"left in mid-transaction; `notifier run` or `notifier migrate`"):
        check_current(path)


def test_a_runs_message_is_known_by_workspace_and_sync_too_from_0006_on(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_database.make(path, "0005", "eu:west")
    columns = "event_id, event_type, receiver, workspace, sync_id, state, created_at, clock_started_at, story"
    change(path, "UPDATE deliveries SET story = 'run:93' WHERE state <> 'delivered'")
    change(
        path,
        f"INSERT INTO deliveries ({columns})"  # noqa: S608
        " VALUES ('evt_told', 'x', 'another', 'eu:west', 52, 'pending', 1, 1, 'inc_1')",
    )
    for story, event_id in (("run:93", "evt_dead"), ("run:92", "evt_dead"), ("run:91", "pruned")):
        change(path, "INSERT INTO posted VALUES ('growth', ?, 'C1:1.2', ?, 5)", story, event_id)
    migrate(path)
    known = run_story("eu:west", 52, 93)
    assert known == "run:93:52:eu:west"
    stories = rows(path, "SELECT state, story FROM deliveries WHERE story IS NOT NULL ORDER BY id")
    assert stories == [("dead", known), ("pending", known), ("pending", "inc_1")]
    posted = rows(path, "SELECT story FROM posted WHERE receiver = 'growth' ORDER BY story")
    assert posted == [("run:91",), ("run:92",), (known,)], "what is not known to be of that run is left alone"


def test_what_was_told_once_is_known_by_its_kind_from_0007_on_and_sentences_stay(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_database.make(path, "0006", "eu")
    change(path, "UPDATE incidents SET open = 1, summary = 'another error'")
    columns = "id, workspace, sync_id, 'check', open, opened_at, labels, runs, reminders, told, summary"
    change(
        path,
        f"INSERT INTO incidents ({columns})"  # noqa: S608
        " VALUES ('inc_slow', 'eu', 53, 'slow_run', 1, 1, '{}', 1, 0, '[]', 'running for more than 2 h')",
    )
    migrate(path)
    assert rows(path, "SELECT summary, measure FROM incidents ORDER BY seq") == [
        ("another error", '{"kind": "another_error"}'),
        ("running for more than 2 h", None),
    ]


def test_where_a_workspaces_pages_are_is_taken_from_what_was_last_told_of_its_incidents_from_0008_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "old.db"
    old_database.make(path, "0006", "main")
    change(path, "UPDATE incidents SET open = 1")
    change(path, "INSERT INTO workspaces (name, ok) VALUES ('silent', 1), ('unreachable', 1)")
    incident = 'INSERT INTO incidents (id, workspace, sync_id, "check", open, opened_at, labels, runs, reminders, told)'
    change(path, f"{incident} VALUES ('inc_down', 'unreachable', 0, 'unreachable', 1, 1, '{{}}', 0, 0, '{{}}')")
    event = "INSERT INTO events (id, type, workspace, sync_id, run_id, seen_at, body, incident_id)"
    for number, region in enumerate(("us", "eu")):
        body = json.dumps({"data": {"sync": {"url": f"https://app-{region}.getcensus.com/syncs/52/history"}}}).encode()
        change(path, f"{event} VALUES (?, 'incident.opened', 'main', 52, 0, 1, ?, 'inc_over')", f"evt_{number}", body)
    body = json.dumps({"data": {"sync": None}}).encode()
    change(path, f"{event} VALUES ('evt_down', 'incident.opened', 'unreachable', 0, 0, 1, ?, 'inc_down')", body)
    migrate(path)
    known = dict(rows(path, "SELECT name, app_url FROM workspaces"))
    assert known == {"main": "https://app-eu.getcensus.com", "silent": None, "unreachable": None}


def test_ids_are_text_from_0009_on_and_what_stood_for_none_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_database.make(path, "0008", "eu")
    event = (
        "INSERT INTO events (id, type, workspace, sync_id, run_id, seen_at, body) VALUES (?, 'x', 'eu', ?, ?, 1, '')"
    )
    largest = 2**63 - 1
    for name, sync_id, run_id in (("evt_of_none", 0, 0), ("evt_of_sync", 52, 0), ("evt_large", largest, largest)):
        change(path, event, name, sync_id, run_id)
    migrate(path)
    assert rows(path, "SELECT id, sync_id, run_id FROM events WHERE type = 'x' ORDER BY seq") == [
        ("evt_of_none", "", ""),
        ("evt_of_sync", "52", ""),
        ("evt_large", str(largest), str(largest)),
    ]
    assert rows(path, "SELECT mark_run_id, gap_oldest_reported_run_id FROM syncs") == [("93", None)]
    assert rows(path, "SELECT last_run_id, counted_run_id FROM incidents") == [(None, None)]


def test_numbers_that_were_given_are_not_given_again_from_0009_on(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_database.make(path, "0008", "eu")
    change(path, "DELETE FROM deliveries WHERE event_id = 'evt_waiting'")
    change(path, "DELETE FROM events WHERE id = 'evt_waiting'")
    change(path, "DELETE FROM incidents")
    before = rows(path, "SELECT name, seq FROM sqlite_sequence ORDER BY name")
    assert before == [("deliveries", 3), ("events", 3), ("incidents", 1)]
    migrate(path)
    assert rows(path, "SELECT name, seq FROM sqlite_sequence ORDER BY name") == before


def test_rows_that_refer_to_nothing_stop_a_migration_and_are_named(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_database.make(path, "0008", "eu")
    change(path, "DELETE FROM events WHERE id = 'evt_dead'")  # as the sqlite3 command does it: it obeys no references
    before = rows_of(path, path)
    with pytest.raises(DatabaseUnusable, match=r"old\.db: rows of deliveries refer to rows of events that are gone; "):
        migrate(path)
    assert rows_of(path, path) == before
    assert rows(path, "SELECT version_num FROM alembic_version") == [("0008",)]


# --- versions ---


def test_the_files_of_migrations_are_named_for_their_revisions() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert revisions() == [script.revision for script in scripts.walk_revisions()][::-1]
    assert revisions()[-1] == scripts.get_current_head()


def test_a_database_that_is_up_to_date_is_opened_without_alembic(database: Path) -> None:
    look = "import sys; from pathlib import Path; from notifier.store.migrate import migrate; "
    look += "migrate(Path(sys.argv[1])); sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", look, database], check=True)


def test_a_newer_schema_is_refused_with_the_remedy_and_left_alone(database: Path) -> None:
    change(database, "UPDATE alembic_version SET version_num = '0999'")
    before = database.read_bytes()
    for look in (migrate, check_current):
        with pytest.raises(DatabaseUnusable) as caught:
            look(database)
        assert str(database) in str(caught.value)
        assert "newer version of the notifier (schema 0999); install that version, or restore a backup" in str(
            caught.value
        )
    assert database.read_bytes() == before


def test_a_command_on_an_older_schema_names_migrate(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.close()
    with pytest.raises(DatabaseUnusable, match=r"older version; run `notifier migrate`"):
        check_current(path)
    migrate(path)
    check_current(path)


def test_a_file_system_without_wal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_memory(path: Path, role: str) -> Engine:
        return create_engine("sqlite://", poolclass=NullPool)  # memory can't do WAL either

    monkeypatch.setattr("notifier.store.sqlite.engine.engine_for", in_memory)
    with pytest.raises(DatabaseUnusable, match=r"notifier\.db: its file system can't do SQLite's WAL mode"):
        migrate(tmp_path / "notifier.db")


def test_migrations_are_found_in_a_directory_whose_name_has_a_percent_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "100% here"
    link.symlink_to(scripts_directory(), target_is_directory=True)
    monkeypatch.setattr("notifier.store.sql.upgrade.scripts_directory", lambda: link)
    assert migrate(tmp_path / "notifier.db") is True


@pytest.mark.parametrize("name", ["with space.db", "q?mode=memory.db", "hash#.db", "100%25.db", "ünïcode.db", "a&b.db"])
def test_any_file_name_is_a_database_of_exactly_that_name(tmp_path: Path, name: str) -> None:
    migrate(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    check_current(tmp_path / name)


def test_reflection_agrees_that_times_are_integers(database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO worker VALUES (1, 'v', 5, 1763893800123456)"))
        assert connection.execute(text("SELECT typeof(last_seen_at) FROM worker")).scalar_one() == "integer"
