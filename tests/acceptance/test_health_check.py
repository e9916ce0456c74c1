"""A worker that is well passes its health check, and its database can be seen, whatever became of the watchlist."""

from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.simulator import SimulatorThread

from .workplace import Workplace

pytestmark = pytest.mark.installed  # who asks looks for a process of the command's name

LOOKS = [("status",), ("events", "--json"), ("deliveries", "--json"), ("incidents", "--json")]


def misspell(watchlist: Path) -> None:
    watchlist.write_text(watchlist.read_text().replace("syncs: all", "syncs: al"))


def break_yaml(watchlist: Path) -> None:
    watchlist.write_text(watchlist.read_text() + "routes: [\n")


def name_another_database(watchlist: Path) -> None:
    watchlist.write_text(watchlist.read_text().replace("sqlite:///n.db", "sqlite:///for_the_next_start.db"))


def spoil_database(watchlist: Path) -> None:
    watchlist.write_text(watchlist.read_text().replace("sqlite:///n.db", "${NOWHERE}"))


@pytest.mark.parametrize("spoil", [misspell, break_yaml, name_another_database, spoil_database, Path.unlink])
def test_a_well_worker_is_healthy_whatever_became_of_its_watchlist(
    workplace: Workplace, spoil: Callable[[Path], None]
) -> None:
    workplace.start_watching(52)
    spoil(workplace.directory / "watchlist.yaml")
    workplace.environment = {"PATH": workplace.environment["PATH"]}  # nor are there secrets
    checked = workplace.run("status", "--healthy")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    workplace.kill()


def test_without_a_worker_a_watchlist_that_is_gone_is_what_is_wrong(workplace: Workplace) -> None:
    (workplace.directory / "watchlist.yaml").unlink()
    checked = workplace.run("status", "--healthy")
    assert checked.returncode == 2
    assert "there is no such file" in checked.stderr


def test_who_only_looks_needs_no_secret(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    assert workplace.run("run", "--once").returncode == 0
    workplace.environment = {"PATH": workplace.environment["PATH"]}
    for command in (*LOOKS, ("deliveries", "retry", "--dead"), ("migrate",)):
        looked = workplace.run(*command)
        assert (looked.returncode, looked.stderr) == (0, ""), command
    assert "52" in workplace.run("status").stdout


def test_what_is_not_shown_for_want_of_a_watchlist_is_said(workplace: Workplace) -> None:
    assert workplace.run("migrate").returncode == 0
    break_yaml(workplace.directory / "watchlist.yaml")
    looked = workplace.run("status")
    assert looked.returncode == 0
    (line,) = looked.stderr.splitlines()
    assert line.startswith("notifier: this is what the database knows; the watchlist can't be read: watchlist.yaml:")
