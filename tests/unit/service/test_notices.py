"""What the log says of workspaces that are read by a version of the API whose end is announced."""

from collections.abc import Iterable
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from notifier.model.api_version import REMEDY
from notifier.service.notices import log_endings, log_endings_of, log_reload
from notifier.watchlist.models import Watchlist, Workspace
from tests.builders import a_watch_of_all, a_webhook

TODAY = date(2026, 11, 27)
ENDS = "a workspace is read by a version of the Census API that Census ends"
KEY, TOKEN = SecretStr("canary-of-a-key"), SecretStr("canary-of-a-token")
OLD, NEW, BOTH = Workspace(api_key=KEY), Workspace(token=TOKEN), Workspace(api_key=KEY, token=TOKEN)


def a_watchlist(**workspaces: Workspace) -> Watchlist:
    return Watchlist(version=1, workspaces=workspaces, watches=(a_watch_of_all(),), receivers={"hook": a_webhook()})


def told(workspace: str, left: int = 49) -> dict[str, object]:
    """The whole line."""
    fields = {"workspace": workspace, "api": "v1", "retires_on": "2027-01-15", "days_left": left, "remedy": REMEDY}
    return {"event": ENDS, "log_level": "warning", **fields}


def test_each_workspace_of_the_old_version_is_warned_of_once_with_its_end_and_the_remedy() -> None:
    with capture_logs() as logs:
        log_endings(a_watchlist(production=OLD, new=NEW, both=BOTH, staging=OLD).workspaces, TODAY)
    assert logs == [told("production"), told("staging")]


@pytest.mark.parametrize(("today", "left"), [(date(2027, 1, 14), 1), (date(2027, 1, 15), 0), (date(2027, 3, 1), 0)])
def test_after_the_end_no_days_are_left(today: date, left: int) -> None:
    with capture_logs() as logs:
        log_endings({"production": OLD}, today)
    assert logs == [told("production", left)]


def test_a_reload_warns_of_what_it_brings_and_says_nothing_anew_of_what_stays() -> None:
    slower = OLD.model_copy(update={"poll_interval": timedelta(hours=1)})
    before = a_watchlist(stays=OLD, changes=OLD, switches=OLD, falls_back=NEW)
    after = a_watchlist(stays=OLD, changes=slower, switches=BOTH, falls_back=OLD, comes=OLD)
    with capture_logs() as logs:
        log_reload(after, before, TODAY)
    assert [line for line in logs if line["log_level"] == "warning"] == [
        told(workspace) for workspace in ("changes", "falls_back", "comes")
    ]


# --- where there may be several workers ---


def taking(parts: Iterable[str], workspaces: dict[str, Workspace], warned: dict[str, Workspace]) -> list[object]:
    """Which workspaces a worker warns of that has just taken these parts."""
    watchlist = SimpleNamespace(workspaces=workspaces)
    worker = SimpleNamespace(watchlist=watchlist, resources=SimpleNamespace(warned=warned))
    with capture_logs() as logs:
        log_endings_of(cast(Any, worker), [f"workspace:{part}" for part in parts], TODAY)
    assert logs == [told(str(line["workspace"])) for line in logs]
    return [line["workspace"] for line in logs]


def test_of_several_workers_the_one_that_takes_a_workspace_warns_of_it_and_does_so_once() -> None:
    workspaces, warned = {"a": OLD, "b": OLD, "c": OLD, "new": NEW}, dict[str, Workspace]()
    assert taking(["a", "new"], workspaces, warned) == ["a"]
    assert taking(["a", "b", "elsewhere"], workspaces, warned) == ["b"]
    assert taking([*workspaces], workspaces, warned) == ["c"]
    assert taking([*workspaces], workspaces, warned) == []


def test_a_workspace_that_a_reload_changes_is_warned_of_anew_once_it_is_taken() -> None:
    slower = OLD.model_copy(update={"poll_interval": timedelta(hours=1)})
    warned = dict[str, Workspace]()
    assert taking(["a"], {"a": OLD}, warned) == ["a"]
    assert taking(["a"], {"a": slower}, warned) == ["a"]
    assert taking(["a"], {"a": BOTH}, warned) == []
    assert taking(["a"], {"a": slower}, warned) == ["a"]


def test_where_there_may_be_several_workers_a_reload_leaves_it_to_who_takes_the_workspace() -> None:
    place = {"database": "postgresql://notifier@db.example.com/notifier"}
    before, after = (a_watchlist(a=each).model_copy(update=place) for each in (NEW, OLD))
    with capture_logs() as logs:
        log_reload(after, before, TODAY)
    assert [line["log_level"] for line in logs] == ["info"]
