"""What a command loads: its own, so that a look into the database takes no longer than it must."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import new_database

pytestmark = pytest.mark.slow

CLIENTS_AND_SERVER = {"aiohttp", "slack_sdk", "jinja2", "prometheus_client", "notifier.service.run"}


@pytest.mark.parametrize("command", ["status", "deliveries", "events", "incidents", "check", "schema", "migrate"])
def test_a_command_that_asks_nobody_loads_neither_clients_nor_the_server(command: str) -> None:
    look = "import sys; from notifier.cli import app; app.register(sys.argv[1:]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", look, command], capture_output=True, text=True, check=True)
    assert CLIENTS_AND_SERVER.isdisjoint(loaded.stdout.split())


@pytest.mark.parametrize("words", ["", "statsu"])
def test_without_a_command_that_there_is_all_of_them_are_loaded(words: str) -> None:
    look = "import sys; from notifier.cli import app; app.register(sys.argv[1:]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", look, *words.split()], capture_output=True, text=True, check=True)
    assert loaded.stdout.split().count("notifier.cli.deliveries") == 1
    assert "notifier.service.run" in loaded.stdout.split()


HEAVY = {
    *("sqlalchemy", "asyncio", "structlog", "yarl", "ssl", "notifier.watchlist.models", "notifier.simulator"),
    *CLIENTS_AND_SERVER,
}
"""What costs tens of milliseconds each; Pydantic itself comes with Typer."""


@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["status", "--healthy"]], ids=" ".join)
def test_a_look_at_the_status_takes_nothing_that_it_does_not_need(tmp_path: Path, words: list[str]) -> None:
    new_database(tmp_path / "n.db")
    watchlist = tmp_path / "watchlist.yaml"
    watchlist.write_text(f"database: sqlite:///{tmp_path}/n.db\nreceivers: {{hook: {{type: webhook}}}}\n")
    assert not HEAVY & modules_after(*words, "--config", str(watchlist))


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["status", "--help"]], ids=" ".join)
def test_help_takes_nothing_that_it_does_not_need(words: list[str]) -> None:
    assert not HEAVY & modules_after(*words)


SLACK_AND_SERVER = {"slack_sdk", "notifier.receivers.slack.sender", "aiohttp.web", "jinja2", "notifier.web.app"}


def test_a_worker_loads_what_its_watchlist_asks_for(tmp_path: Path) -> None:
    watchlist = tmp_path / "watchlist.yaml"
    to_nobody = "http://127.0.0.1:9"
    watchlist.write_text(
        f"version: 1\ndatabase: sqlite:///{tmp_path}/n.db\nwatches: [{{syncs: all}}]\n"
        f"workspaces: {{production: {{api_key: key, base_url: '{to_nobody}/api/v1'}}}}\n"
        f"receivers: {{hook: {{type: webhook, url: '{to_nobody}/hook'}}}}\n"
    )
    loaded = modules_after("run", "--once", "--config", str(watchlist))
    assert "notifier.receivers.webhook" in loaded
    assert not SLACK_AND_SERVER & loaded


def test_the_list_of_the_commands_is_what_they_say_of_themselves() -> None:
    listed = "from notifier.cli import app; app.register({}); app.app(['--help'])"
    said = [
        subprocess.run([sys.executable, "-c", listed.format(words)], capture_output=True, text=True, check=True).stdout
        for words in ([], ["--help"])
    ]
    assert said[0] == said[1]
    assert "deliveries" in said[0]


def modules_after(*words: str) -> set[str]:
    """What a process has loaded when the command has ended, whatever came of it."""
    look = "import sys\nfrom notifier.__main__ import main\ntry:\n    main()\nfinally:\n    print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", look, *words], capture_output=True, text=True, check=False)
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert "notifier.cli.app" in loaded
    return loaded
