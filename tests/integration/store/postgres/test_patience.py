"""Text whatever the URL says, a server that is not there yet, and a pooler that mixes things up."""

import psycopg
import pytest
from structlog.testing import capture_logs

from notifier.model.errors import DatabaseUnusable
from notifier.store.postgres import migration
from notifier.store.postgres.connect import connect, explain
from notifier.watchlist.database import ServerUrl


def test_text_is_utf_8_whatever_the_url_says(url: str) -> None:
    with connect(ServerUrl(f"{url}?client_encoding=LATIN1")) as connection:
        assert connection.execute("SELECT '→ é'").fetchone() == ("→ é",)


def test_who_waits_for_the_server_says_why_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [psycopg.OperationalError("not there"), psycopg.OperationalError("starting")]

    def refusing(_: ServerUrl) -> bool:
        if refusals:
            raise refusals.pop(0)
        return True

    monkeypatch.setattr(migration, "_migrate", refusing)
    monkeypatch.setattr(migration, "PAUSE", 0.0)
    with capture_logs() as logs:
        assert migration.migrate(ServerUrl("postgresql://here/notifier"))
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        ("the database can't be used yet; waiting half a minute", "postgresql://here/notifier: not there")
    ]


@pytest.mark.parametrize("kind", [psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement])
def test_a_pooler_that_mixes_up_prepared_statements_is_named(kind: type[psycopg.Error]) -> None:
    error = explain(ServerUrl("postgresql://here/notifier"), kind('prepared statement "_pg3_1" is another\'s'))
    assert isinstance(error, DatabaseUnusable)
    assert "pool by session" in str(error)
