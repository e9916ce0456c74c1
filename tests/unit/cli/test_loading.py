"""What a command loads: its own, so that a look into the database takes no longer than it must."""

import subprocess
import sys

import pytest

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
