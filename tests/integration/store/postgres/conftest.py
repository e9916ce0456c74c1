"""Databases of the newest schema, and the line that leads to one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.line import Line
from notifier.store.postgres import migration
from notifier.store.sql import revision as of_revisions
from notifier.store.sql import upgrade
from tests.databases import postgres_template
from tests.integration.store.postgres.kit import rows_at
from tests.postgres.newer import make_newer
from tests.postgres.server import Postgres, name_of


@pytest.fixture
def url(postgres_server: Postgres, database_from: Callable[[str], str]) -> str:
    """Of a database of the newest schema, empty; straight to the server."""
    return database_from(postgres_template(postgres_server))


@pytest.fixture
def line(postgres_server: Postgres) -> Iterator[Line]:
    """Between the worker and the server."""
    with Line(postgres_server.port) as line:
        yield line


@pytest.fixture
def far_url(postgres_server: Postgres, url: str, line: Line) -> str:
    """The same database, by the line."""
    return postgres_server.url(name_of(url), line.port)


@pytest.fixture
def newer(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this version is newer than the one that made the database."""
    assert rows_at(url, "SELECT version_num FROM alembic_version") == [(of_revisions.revisions()[-1],)]
    scripts = make_newer(tmp_path / "migrations")
    for module in (of_revisions, upgrade, migration):
        monkeypatch.setattr(module, "scripts_directory", lambda: scripts)
