"""Text whatever the URL says, a server that is not there yet, and a pooler that mixes things up."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.store.postgres import migration
from notifier.store.postgres.connect import connect, explain
from notifier.store.store import open_store
from notifier.watchlist.database import ServerUrl
from tests.integration.store.builders import FULL
from tests.integration.store.postgres.kit import holding, rows_at, settled


def test_text_is_utf_8_whatever_the_url_says(url: str) -> None:
    with connect(ServerUrl(f"{url}?client_encoding=LATIN1")) as connection:
        assert connection.execute("SELECT '→ é'").fetchone() == ("→ é",)


def test_who_waits_for_the_server_says_why_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [psycopg.OperationalError("not there"), psycopg.OperationalError("starting")]

    def refusing(_: ServerUrl) -> bool:
        if refusals:
            raise refusals.pop(0)
        return True

    monkeypatch.setattr(migration, "_prepare", refusing)
    monkeypatch.setattr(migration, "PAUSE", 0.0)
    with capture_logs() as logs:
        assert migration.prepare(ServerUrl("postgresql://here/notifier"))
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        ("the database can't be used yet; waiting half a minute", "postgresql://here/notifier: not there")
    ]


@pytest.mark.parametrize("kind", [psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement])
def test_a_pooler_that_mixes_up_prepared_statements_is_named(kind: type[psycopg.Error]) -> None:
    error = explain(ServerUrl("postgresql://here/notifier"), kind('prepared statement "_pg3_1" is another\'s'))
    assert isinstance(error, DatabaseUnusable)
    assert "pool by session" in str(error)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_who_waits_for_anothers_turn_gives_signs_of_life_and_is_told_soon(url: str) -> None:
    """Whoever holds the turn may be frozen, and is replaced only by those that live."""
    signs = "SELECT beats FROM replicas"
    async with open_store(ServerUrl(url)) as store:
        await settled(store)
        with holding(url, "UPDATE counters SET value = value WHERE name = 'appended'"):
            [(before,)] = rows_at(url, signs)
            for _ in range(4):
                with pytest.raises(StoreUnavailable, match="lock"):
                    await store.watching.record(FULL)
                assert store.seat.trusted
            assert rows_at(url, signs) > [(before,)]
            assert rows_at(url, "SELECT FROM events") == []
        await store.watching.record(FULL)
        assert len(rows_at(url, "SELECT FROM events")) == 2


@pytest.mark.asyncio
async def test_the_turn_is_taken_when_all_else_is_written(url: str) -> None:
    """From then on all others wait that have deliveries."""
    came: list[str] = []
    async with open_store(ServerUrl(url)) as store:
        await settled(store)
        thread: Any = store._writer.thread
        event.listen(thread._engine, "before_cursor_execute", lambda *given: came.append(given[2]))
        await store.watching.record(FULL)
    [turn] = [place for place, statement in enumerate(came) if "'appended'" in statement]
    assert came[turn + 1].startswith("INSERT INTO deliveries")
    assert any(statement.startswith("INSERT INTO events") for statement in came[:turn])
    assert not any(statement.startswith(("INSERT", "UPDATE syncs")) for statement in came[turn + 2 :])
