"""The schema of a PostgreSQL database: it is what the code expects, and it comes to be whole, once, or not at all."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg
import pytest
from sqlalchemy import Boolean, Float, Integer, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy.dialects import postgresql

from notifier.model.errors import DatabaseUnusable
from notifier.store.migrate import check_current, migrate
from notifier.store.postgres import migration
from notifier.store.postgres.migration import LOCK
from notifier.store.sql import upgrade
from notifier.store.sql.replicas import shared
from notifier.store.sql.revision import revisions
from notifier.store.sql.schema import metadata
from notifier.watchlist.database import ServerUrl
from tests.integration.store.postgres.kit import change_at, rows_at

TABLES = {**metadata.tables, **shared.tables}
OF_REPLICAS = {"replicas", "parts", "counters", "in_force"}
"""SQLite has none of them, nor has the code's schema."""
NUMBERED = {"hints", "snapshots", "incidents", "events", "deliveries"}
COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable = 'YES', column_default, is_identity = 'YES' "
    "FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY ordinal_position"
)
CONSTRAINTS = (
    "SELECT conrelid::regclass::text, contype, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = current_schema()::regnamespace AND contype IN ('p', 'u', 'f')"
)
INDEXES = (
    "SELECT indrelid::regclass::text, relname, indisunique, pg_get_expr(indpred, indrelid), "
    "array(SELECT pg_get_indexdef(indexrelid, n, true) FROM generate_series(1, indnkeyatts) AS n) "
    "FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE relnamespace = current_schema()::regnamespace "
    "AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
)


def kinds(table: Table) -> dict[str, set[str]]:
    """By column, which of PostgreSQL's types do for what the code holds in it."""
    allowed: list[tuple[Any, set[str]]] = [
        (Boolean, {"boolean"}),
        (Float, {"double precision"}),
        (LargeBinary, {"bytea"}),
        (Integer, {"integer", "bigint"}),
        (Text, {"text"}),
    ]
    dialect: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
    found: dict[str, set[str]] = {}
    for column in table.columns:
        kind = column.type.dialect_impl(dialect)
        of = getattr(kind, "impl", kind)
        found[column.name] = next((names for cls, names in allowed if isinstance(of, cls)), {"text"})
    return found


def plain(condition: str | None) -> str:
    """A condition in words that both ways of writing share."""
    words = (condition or "").replace("::text", "").replace("(", " ").replace(")", " ").replace('"', "").split()
    return " ".join(words).replace("IS true", "").replace("= true", "").strip()


def test_each_table_has_the_columns_that_the_code_knows(url: str) -> None:
    built: dict[str, list[tuple[Any, ...]]] = {}
    for table, *column in rows_at(url, COLUMNS):
        built.setdefault(table, []).append(tuple(column))
    assert built.keys() - OF_REPLICAS - {"alembic_version"} == TABLES.keys()
    for name, table in TABLES.items():
        assert [column for column, *_ in built[name]] == [column.name for column in table.columns], name
        allowed = kinds(table)
        for column, kind, nullable, default, is_identity in built[name]:
            known = table.columns[column]
            assert kind in allowed[column], (name, column)
            assert nullable == bool(known.nullable), (name, column)
            assert (default is None) == (known.server_default is None), (name, column)
            if known.server_default is not None:
                said = str(getattr(known.server_default, "arg", "")).strip("'()")
                assert default in {said, {"0": "false", "1": "true"}.get(said, said), f"'{said}'::text"}, (name, column)
            assert is_identity == (name in NUMBERED and bool(known.primary_key)), (name, column)


def test_each_table_has_the_keys_that_the_code_knows(url: str) -> None:
    built = {(table, kind, " ".join(text.replace('"', "").split())) for table, kind, text in rows_at(url, CONSTRAINTS)}
    known: set[tuple[str, str, str]] = set()
    for name, table in TABLES.items():
        known.add((name, "p", f"PRIMARY KEY ({', '.join(column.name for column in table.primary_key)})"))
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint):
                known.add((name, "u", f"UNIQUE ({', '.join(column.name for column in constraint.columns)})"))
        for key in table.foreign_keys:
            target = key.column
            known.add((name, "f", f"FOREIGN KEY ({key.parent.name}) REFERENCES {target.table.name}({target.name})"))
    assert {each for each in built if each[0] not in OF_REPLICAS | {"alembic_version"}} == known


def test_each_table_has_the_indexes_that_the_code_knows_with_their_conditions(url: str) -> None:
    built = {
        (table, name, unique, plain(condition), tuple(column.strip('"') for column in columns))
        for table, name, unique, condition, columns in rows_at(url, INDEXES)
        if table not in OF_REPLICAS
    }
    known = set()
    for name, table in TABLES.items():
        for index in table.indexes:
            where = index.dialect_options["sqlite"]["where"]
            words = "" if where is None else str(where.compile(compile_kwargs={"literal_binds": True}))
            condition = plain(words.replace(f"{name}.", ""))
            known.add((name, index.name, bool(index.unique), condition, tuple(each.name for each in index.columns)))
    assert built == known


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE worker ADD COLUMN host text",
        "ALTER TABLE syncs ALTER COLUMN label SET NOT NULL",
        "ALTER TABLE syncs ALTER COLUMN deleted SET DEFAULT true",
        "ALTER TABLE syncs ALTER COLUMN floor TYPE text",
        "ALTER TABLE census_alerts DROP CONSTRAINT census_alerts_pkey",
        "ALTER TABLE events DROP CONSTRAINT events_id_key CASCADE",
        "ALTER TABLE deliveries DROP CONSTRAINT deliveries_event_id_fkey",
        "DROP INDEX ix_deliveries_dead",
        "DROP INDEX ix_deliveries_dead; CREATE INDEX ix_deliveries_dead ON deliveries (receiver, id)",
        "DROP INDEX ix_events_sync; CREATE INDEX ix_events_sync ON events (workspace, sync_id)",
        "CREATE UNIQUE INDEX one_label ON syncs (label)",
    ],
)
def test_the_comparison_sees_each_kind_of_difference(url: str, change: LiteralString) -> None:
    change_at(url, change)
    found = 0
    for compare in (
        test_each_table_has_the_columns_that_the_code_knows,
        test_each_table_has_the_keys_that_the_code_knows,
        test_each_table_has_the_indexes_that_the_code_knows_with_their_conditions,
    ):
        try:
            compare(url)
        except AssertionError:
            found += 1
    assert found


# --- how it comes to be ---


@pytest.mark.parametrize("number", [2, 5])
def test_of_several_migrations_at_once_one_makes_it(postgres_url: str, number: int) -> None:
    together = threading.Barrier(number)

    def one() -> bool:
        together.wait(60)
        return migrate(ServerUrl(postgres_url))

    with ThreadPoolExecutor(number) as threads:
        made = [each.result(60) for each in [threads.submit(one) for _ in range(number)]]
    assert sorted(made) == [False] * (number - 1) + [True]
    check_current(ServerUrl(postgres_url))
    assert rows_at(postgres_url, "SELECT version_num FROM alembic_version") == [(revisions()[-1],)]


def test_who_comes_second_waits_whatever_time_outs_the_database_sets(postgres_url: str) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    for setting in ("statement_timeout", "lock_timeout"):
        change_at(postgres_url, f"ALTER DATABASE {name} SET {setting} = '200ms'")
    with psycopg.connect(postgres_url) as first, ThreadPoolExecutor(1) as threads:
        first.execute("SET statement_timeout = 0")
        first.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        second = threads.submit(migrate, ServerUrl(postgres_url))
        first.execute("SELECT pg_sleep(1)")  # longer than they may take: the test is that nobody gives up meanwhile
        first.rollback()
        assert second.result(60)


def test_one_that_fails_in_the_middle_leaves_nothing(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(upgrade, "upgrade", ends)
    with pytest.raises(KeyboardInterrupt):
        migrate(ServerUrl(postgres_url))
    assert rows_at(postgres_url, "SELECT FROM pg_tables WHERE schemaname = 'public'") == []
    monkeypatch.undo()
    assert migrate(ServerUrl(postgres_url))


def test_one_whose_connection_is_ended_in_the_middle_leaves_nothing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, postgres_server: Any
) -> None:
    done = upgrade.upgrade
    monkeypatch.setattr(upgrade, "upgrade", lambda *_: postgres_server.terminate_backends(postgres_url))
    monkeypatch.setattr(migration, "PATIENCE", -1.0)
    with pytest.raises(DatabaseUnusable, match=r"the server is being shut down|connection"):
        migrate(ServerUrl(postgres_url))
    assert rows_at(postgres_url, "SELECT FROM pg_tables WHERE schemaname = 'public'") == []
    monkeypatch.setattr(upgrade, "upgrade", done)
    assert migrate(ServerUrl(postgres_url))


# --- what is there already ---


@pytest.mark.parametrize(
    "change",
    ["UPDATE alembic_version SET version_num = '9999'", "DROP TABLE alembic_version"],
    ids=["newer", "stranger's"],
)
def test_what_is_not_ours_is_left_as_it_is(url: str, change: LiteralString) -> None:
    change_at(url, change)
    before = rows_at(url, COLUMNS)
    for use in (migrate, check_current):
        with pytest.raises(DatabaseUnusable) as raised:
            use(ServerUrl(url))
        assert "canary" not in str(raised.value)
        assert str(raised.value).startswith(str(ServerUrl(url)))
    assert rows_at(url, COLUMNS) == before


def test_a_user_without_a_schema_is_told_so(postgres_url: str) -> None:
    place = ServerUrl(f"{postgres_url}?options=-csearch_path%3Dnowhere")
    with pytest.raises(DatabaseUnusable, match="no schema of the user's search_path is there"):
        migrate(place)


def test_where_there_are_no_tables_it_says_who_makes_them(postgres_url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="no tables there yet; `notifier run` or `notifier migrate` makes them"):
        check_current(ServerUrl(postgres_url))
