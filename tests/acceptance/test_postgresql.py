"""The commands at a PostgreSQL server: what they say when it is not as it should be, and that none says a password."""

from collections.abc import Callable
from typing import Final

import pytest

from faults.line import Line
from notifier.simulator import SimulatorThread
from tests.databases import postgres_template
from tests.integration.store.postgres.kit import change_at, rows_at
from tests.postgres.server import Postgres

from .conftest import Workplace

COMMANDS: Final = (
    ("status",),
    ("events",),
    ("deliveries",),
    ("incidents",),
    ("deliveries", "retry", "--receiver", "hook"),
)


@pytest.fixture
def url(postgres_server: Postgres, database_from: Callable[[str], str]) -> str:
    return database_from(postgres_template(postgres_server))


@pytest.fixture
def gone(postgres_server: Postgres) -> str:
    """Of a server that is not there."""
    with Line(postgres_server.port) as line:
        port = line.port
    return postgres_server.url("name", port)


@pytest.fixture
def at(workplace: Workplace) -> Callable[[str], Workplace]:
    """The workplace at that URL."""

    def placed(url: str) -> Workplace:
        path = workplace.directory / "watchlist.yaml"
        path.write_text(path.read_text().replace("sqlite:///n.db", "${DATABASE}"))
        workplace.environment["DATABASE"] = url
        return workplace

    return placed


def said(workplace: Workplace, *words: str) -> tuple[int, str]:
    """The exit code, and one sentence."""
    ended = workplace.run(*words)
    assert "canary" not in ended.stdout + ended.stderr, "the password"
    return ended.returncode, ended.stderr.strip()


@pytest.mark.postgresql
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_at_a_database_of_the_newest_schema_works(
    at: Callable[[str], Workplace], url: str, words: tuple[str, ...]
) -> None:
    code, errors = said(at(url), *words)
    assert (code, errors) == (0, "") or (words == ("status",) and code in (0, 1, 3)), errors


@pytest.mark.postgresql
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("empty", "no tables there yet"),
        ("older", "migrate"),
        ("newer", "newer"),
        ("stranger's", "is another program's database"),
        ("gone", "onnection refused"),
    ],
)
def test_a_command_at_a_database_that_is_not_ready_says_so_in_one_sentence(
    at: Callable[[str], Workplace],
    postgres_url: str,
    url: str,
    gone: str,
    state: str,
    sentence: str,
    words: tuple[str, ...],
) -> None:
    if state == "older":
        change_at(url, "UPDATE alembic_version SET version_num = '0010'")
    elif state == "newer":
        change_at(url, "UPDATE alembic_version SET version_num = '9999'")
    elif state == "stranger's":
        change_at(url, "DROP TABLE alembic_version")
    code, errors = said(at({"empty": postgres_url, "gone": gone}.get(state, url)), *words)
    assert code == 1
    assert sentence in errors
    assert errors.startswith("notifier: postgresql://127.0.0.1:")


@pytest.mark.postgresql
def test_migrate_makes_the_tables_once_and_check_shows_no_password(
    at: Callable[[str], Workplace], postgres_url: str
) -> None:
    workplace = at(postgres_url)
    for _ in range(2):
        assert said(workplace, "migrate")[0] == 0
    assert rows_at(postgres_url, "SELECT FROM alembic_version") != []
    assert said(workplace, "check")[0] == 0
    assert said(workplace, "schema")[0] == 0


@pytest.mark.postgresql
def test_a_test_message_needs_no_database(
    at: Callable[[str], Workplace], gone: str, simulator: SimulatorThread
) -> None:
    code, errors = said(at(gone), "send-test", "hook")
    assert len(simulator.sink.accepted) == 1, errors
    assert code in (0, 1)


@pytest.mark.installed
def test_without_psycopg_the_sentence_names_the_extra(at: Callable[[str], Workplace]) -> None:
    workplace = at("postgresql://user:canary@127.0.0.1:1/name")
    blocked = workplace.directory / "blocked"
    blocked.mkdir()
    (blocked / "psycopg.py").write_text("raise ImportError('No module named psycopg')\n")
    workplace.environment["PYTHONPATH"] = str(blocked)
    for words in (("status",), ("migrate",), ("run",)):
        code, errors = said(workplace, *words)
        assert code == 1
        assert "pip install 'census-notifier[postgresql]'" in errors
