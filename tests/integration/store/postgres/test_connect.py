"""What PostgreSQL's errors mean to us, from a real server; what its text can hold; which databases are refused."""

from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import pytest
from sqlalchemy import text

from notifier.model.errors import DatabaseUnusable, StoreError, StoreUnavailable
from notifier.store.postgres import migration
from notifier.store.postgres.connect import connect, explain, is_over
from notifier.store.postgres.database import PostgresDatabase
from notifier.store.postgres.engine import engine_for_looks
from notifier.watchlist.database import ServerUrl
from tests.integration.store.postgres.kit import change_at
from tests.postgres.server import OwnPostgres, Postgres, name_of

# --- errors ---


def failing(url: str, statement: LiteralString) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as raised, connect(ServerUrl(url)) as connection:
        connection.execute(statement)
    return raised.value


def locked_out(url: str, setting: LiteralString) -> psycopg.Error:
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE worker")
        return failing(url, setting + "; SELECT FROM worker")


ERRORS: list[tuple[str, LiteralString, type[StoreError] | None, str]] = [
    (
        "57014",
        "SELECT set_config('statement_timeout', '50ms', true), 1; SELECT pg_sleep(60)",
        StoreUnavailable,
        "too long",
    ),
    ("25006", "SET TRANSACTION READ ONLY; DELETE FROM worker", StoreUnavailable, "takes no writes"),
    ("42P01", "SELECT FROM nowhere", DatabaseUnusable, "a table is missing"),
    ("42703", "SELECT nothing FROM worker", DatabaseUnusable, "a column is missing"),
    ("42501", "SELECT rolpassword FROM pg_authid", DatabaseUnusable, "lacks a right"),
    ("40001", "DO $$BEGIN RAISE SQLSTATE '40001'; END$$", StoreUnavailable, "two transactions met"),
    ("40P01", "DO $$BEGIN RAISE SQLSTATE '40P01'; END$$", StoreUnavailable, "two transactions met"),
    ("53100", "DO $$BEGIN RAISE SQLSTATE '53100'; END$$", StoreUnavailable, "disk is full"),
    ("53300", "DO $$BEGIN RAISE SQLSTATE '53300'; END$$", StoreUnavailable, "has no room"),
    ("58030", "DO $$BEGIN RAISE SQLSTATE '58030'; END$$", StoreUnavailable, "disk failed"),
    ("XX001", "DO $$BEGIN RAISE SQLSTATE 'XX001'; END$$", DatabaseUnusable, "damaged"),
    ("XX002", "DO $$BEGIN RAISE SQLSTATE 'XX002'; END$$", DatabaseUnusable, "REINDEX"),
    ("22012", "SELECT 1/0", None, ""),
    ("23502", "INSERT INTO worker VALUES (1, NULL, 1, 1)", None, ""),
]


@pytest.mark.parametrize(("state", "statement", "kind", "words"), ERRORS, ids=[state for state, *_ in ERRORS])
def test_each_error_is_for_now_or_for_good_or_ours(
    url: str, state: str, statement: LiteralString, kind: type[StoreError] | None, words: str
) -> None:
    error = failing(url, statement)
    ours = explain(ServerUrl(url), error)
    assert error.sqlstate == state
    if kind is None:
        assert ours is None
        return
    assert type(ours) is kind
    assert words in str(ours)
    assert "canary" not in str(ours)
    assert type(explain(ServerUrl(url), error, opening=True)) is DatabaseUnusable


def test_a_lock_of_another_is_for_now(url: str) -> None:
    for setting, words in (
        ("SET lock_timeout = '50ms'", "holds a lock"),
        ("SET statement_timeout = '50ms'", "too long"),
    ):
        ours = explain(ServerUrl(url), locked_out(url, setting))
        assert type(ours) is StoreUnavailable
        assert words in str(ours)


def test_a_row_is_never_shown(url: str) -> None:
    change_at(url, "INSERT INTO receivers (name) VALUES ('canary')")
    error = failing(url, "INSERT INTO receivers (name) VALUES ('canary')")
    assert "canary" in str(error)
    ours = explain(ServerUrl(url), error, opening=True)
    assert "canary" not in str(ours)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:can%40ary%25@h/d",
        "postgresql://u@h/d?password=can%40ary%25",
        "postgresql://u@h/d?sslpassword=can%40ary%25",
    ],
)
def test_a_password_that_a_server_repeats_is_never_shown(url: str) -> None:
    """Nor is a part of it, where the sentence is cut off."""
    for before in ("", "x" * 297):
        ours = explain(ServerUrl(url), psycopg.OperationalError(f"{before}no, not can@ary%"))
        assert ours is not None
        assert "can" not in str(ours)


def test_a_connection_that_an_administrator_ended_is_over_and_for_now(url: str, postgres_server: Postgres) -> None:
    with connect(ServerUrl(url)) as connection:
        postgres_server.terminate_backends(url)
        with pytest.raises(psycopg.Error) as raised:
            connection.execute("SELECT 1")
    assert (raised.value.sqlstate, is_over(raised.value)) == ("57P01", True)
    assert type(explain(ServerUrl(url), raised.value)) is StoreUnavailable


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace("canary", "another"), "password authentication failed"),
        (lambda url: url + "x", "does not exist"),
        (lambda url: url + "?sslmode=canary", "sslmode"),
        (lambda url: url + "?sslmode=require", "SSL"),
        (lambda url: url + "?passwd=canary", "can't read the URL"),
        (lambda url: url + "?connect_timeout=canary", "can't read the URL"),
        (lambda url: url + "?port=canary", "port"),
        (lambda url: url + "?service=canary", "service"),
    ],
)
def test_what_can_not_be_connected_to_is_a_sentence_at_once(
    url: str, change: Callable[[str], str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is no server's answer: psycopg tells no SQLSTATE of those who were not let in."""
    monkeypatch.setattr(migration, "PATIENCE", -1.0)
    place = ServerUrl(change(url))
    for use in (migration.prepare, lambda place: PostgresDatabase(place).check_current()):
        with pytest.raises(DatabaseUnusable) as raised:
            use(place)
        assert words in str(raised.value)
        assert "%3A" not in str(raised.value)
        assert url.split("@")[0].split(":")[-1] not in str(raised.value)


def test_who_is_refused_is_told_without_a_wait(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the server is not there yet is waited for; that it says no, not."""
    waited: list[float] = []
    monkeypatch.setattr("notifier.store.postgres.migration.time.sleep", waited.append)
    monkeypatch.setattr(migration, "PATIENCE", 0.2)
    for wrong in (url.replace("canary", "another"), url + "x"):
        with pytest.raises(DatabaseUnusable):
            migration.prepare(ServerUrl(wrong))
    assert waited == []


# --- text ---

TEXTS = [
    "",
    "plain",
    "\0",
    "a\0b",
    "\ue000",
    "\ue0000",
    "\ue0001",
    "\ue000\0",
    "\0\ue0001\0",
    "\U0001f600é",
    "x" * 3_000_000,
    "\\0",
    "%s %(x)s :x",
]


@pytest.mark.parametrize("value", TEXTS, ids=range(len(TEXTS)))
def test_text_comes_back_as_it_was_by_each_way(url: str, value: str) -> None:
    place = ServerUrl(url)
    engine = engine_for_looks(place, "READ COMMITTED")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO receivers (name, last_error, failing) VALUES (:name, :error, false)"),
            {"name": "of sqlalchemy", "error": value},
        )
    with connect(place) as connection:
        connection.execute("INSERT INTO receivers (name, last_error) VALUES ('of psycopg', %s)", (value,))
    with engine.begin() as connection:
        found = connection.execute(text("SELECT last_error FROM receivers")).scalars().all()
        assert list(found) == [value, value]
        same = text("SELECT count(*) FROM receivers WHERE last_error = :error")
        assert connection.execute(same, {"error": value}).scalar() == 2
    with PostgresDatabase(place).look() as look:
        assert [row["last_error"] for row in look.rows("SELECT last_error FROM receivers")] == [value, value]


def test_half_a_character_is_refused_before_it_comes_to_the_server(url: str) -> None:
    with connect(ServerUrl(url)) as connection, pytest.raises(UnicodeEncodeError):
        connection.execute("SELECT %s::text", ("\ud800",))


# --- which databases ---


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_is_refused(postgres_server: Postgres, encoding: LiteralString) -> None:
    name = f"test_in_{encoding.lower()}"
    with postgres_server.admin() as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C' "
            "TEMPLATE template0 OWNER notifier"
        )
        with pytest.raises(DatabaseUnusable, match=f"encoding must be UTF8; it is {encoding}"):
            migration.prepare(ServerUrl(postgres_server.url(name)))
        admin.execute(f"DROP DATABASE {name}")


@pytest.mark.parametrize(
    ("version", "number", "good"),
    [
        ("PostgreSQL 14.9 on x86_64", 140009, False),
        ("PostgreSQL 15.0 on x86_64", 150000, True),
        ("PostgreSQL 19.1", 190001, True),
        ("PostgreSQL 11.2-YB-2.21.0.0-b0 on x86_64", 150002, False),
        ("CockroachDB CCL v24.1.0", 160000, False),
    ],
)
def test_only_postgresql_itself_and_none_too_old_is_taken(version: str, number: int, *, good: bool) -> None:
    class Server:
        info = type("Info", (), {"server_version": number})

        def execute(self, statement: str) -> Any:
            found = (version, "UTF8") if "version()" in statement else ("public",)
            return type("Cursor", (), {"fetchone": lambda _: found})()

    place = ServerUrl("postgresql://h/d")
    if good:
        migration._check_server(place, Server())  # type: ignore[arg-type]
        return
    with pytest.raises(DatabaseUnusable, match="PostgreSQL 15 or newer is needed"):
        migration._check_server(place, Server())  # type: ignore[arg-type]


def test_what_the_url_says_wins(url: str) -> None:
    with connect(ServerUrl(f"{url}?connect_timeout=9&application_name=mine&tcp_user_timeout=7000")) as connection:
        known = connection.info.get_parameters()
        assert (known["connect_timeout"], known["application_name"], known["tcp_user_timeout"]) == ("9", "mine", "7000")
        assert known["keepalives_idle"] == "5"


@pytest.mark.slow
def test_a_server_that_restarts_is_for_now(own_postgres: OwnPostgres) -> None:
    url = own_postgres.create()
    with connect(ServerUrl(url)) as connection:
        own_postgres.stop()
        with pytest.raises(psycopg.Error) as raised:
            connection.execute("SELECT 1")
    assert type(explain(ServerUrl(url), raised.value)) is StoreUnavailable
    with pytest.raises(psycopg.Error) as raised:
        connect(ServerUrl(url))
    assert type(explain(ServerUrl(url), raised.value)) is StoreUnavailable
    own_postgres.start()
    assert migration.prepare(ServerUrl(url))
    assert name_of(url) in str(ServerUrl(url))
