"""Databases of the newest schema, and the line that leads to one."""

from collections.abc import Callable, Iterator

import pytest

from faults.line import Line
from tests.databases import postgres_template
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
