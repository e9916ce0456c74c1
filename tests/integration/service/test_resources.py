"""What a reload leaves in place."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notifier.model.errors import AlreadyRunning
from notifier.model.event import EventType, Observation
from notifier.model.incident import Check, Incident
from notifier.model.part import workspace_part
from notifier.model.sync import WorkspaceState
from notifier.service.parts import parts_of
from notifier.service.resources import open_resources
from notifier.service.worker import open_worker
from notifier.store.database import database_at
from notifier.store.views.events import EventFilter, read_events
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist
from tests.exposition import series


def a_watchlist(directory: Path, *workspaces: str) -> Watchlist:
    path = directory / "watchlist.yaml"
    lines = "\n".join(f"  {workspace}" for workspace in workspaces)
    path.write_text(
        f"version: 1\ndatabase: sqlite:///{directory}/n.db\nworkspaces:\n{lines}\n"
        "watches:\n  - {syncs: all, workspace: a}\nreceivers:\n  hook: {type: webhook, url: 'http://127.0.0.1:1/'}\n"
    )
    return load_watchlist(path, {})


@pytest.mark.asyncio
async def test_the_line_to_a_workspace_lasts_as_long_as_its_settings_do(tmp_path: Path) -> None:
    first = a_watchlist(tmp_path, "a: {api_key: k}", "b: {api_key: k}", "c: {api_key: k}")
    async with open_resources(first.database_place) as resources:
        lines = {
            name: await resources.line(name, settings, WorkspaceState(name), patient=True)
            for name, settings in first.workspaces.items()
        }
        second = a_watchlist(tmp_path, "a: {api_key: k}", "b: {api_key: k, poll_interval: 61s}")
        await resources.keep_only(second, parts_of(second))
        again = {
            name: await resources.line(name, settings, WorkspaceState(name), patient=True)
            for name, settings in second.workspaces.items()
        }
        assert again["a"] is lines["a"]
        assert again["b"] is not lines["b"]
        assert [line.session.closed for line in lines.values()] == [False, True, True]
        # A gauge of a workspace that is gone would raise an alarm for ever.
        assert set(series(resources.metrics, "last_successful_poll_timestamp_seconds")) == {"a", "b"}
        assert set(series(resources.metrics, "poll_lag_seconds")) == {"a", "b"}
        assert series(resources.metrics, "requests_total")["200/c"] == 0
        # How a workspace fares that another worker has watched meanwhile is in the database.
        await resources.keep_only(second, [workspace_part("b")])
        assert [again["a"].session.closed, again["b"].session.closed] == [True, False]
    assert again["b"].session.closed


@pytest.mark.asyncio
async def test_the_lock_is_held_as_long_as_the_foundation_lasts(tmp_path: Path) -> None:
    watchlist = a_watchlist(tmp_path, "a: {api_key: k}")
    async with open_resources(watchlist.database_place):
        assert database_at(watchlist.database_place).has_worker()
        with pytest.raises(AlreadyRunning):
            async with open_resources(watchlist.database_place):
                pass
    assert not database_at(watchlist.database_place).has_worker()


@pytest.mark.asyncio
async def test_a_receiver_that_is_gone_keeps_no_turn_at_its_destination(tmp_path: Path) -> None:
    """Each that shared a pace once would cost the others a little of it, for the life of the process."""
    url = "http://127.0.0.1:1/services/T/B/x"
    path = tmp_path / "watchlist.yaml"
    async with open_resources(tmp_path / "n.db") as resources:
        for number in range(5):
            path.write_text(
                f"version: 1\ndatabase: sqlite:///{tmp_path}/n.db\nworkspaces: {{a: {{api_key: k}}}}\n"
                f"watches: [{{syncs: all}}]\nreceivers:\n  name_{number}: {{type: slack_webhook, url: '{url}'}}\n"
            )
            async with open_worker(resources, load_watchlist(path, {})):
                pass
        channel = resources.paces.messages.of(url)
        assert channel.opens_at("name_4") < 10.0
        channel.enter("name_4", 10.0).leave(10.5)
        assert channel.opens_at("name_4") == 11.5


@pytest.mark.asyncio
async def test_what_was_open_of_a_workspace_that_left_the_watchlist_ends_with_a_link_to_its_own_pages(
    tmp_path: Path,
) -> None:
    """The watchlist no longer says where they are."""
    opened = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
    incident = Incident("inc_1", "b", 52, Check.FAILING, opened, runs=1, last_run_id=93)
    both = a_watchlist(tmp_path, "a: {api_key: k}", "b: {api_key: k, base_url: 'https://app-eu.getcensus.com/api/v1'}")
    async with open_resources(both.database_place) as resources:
        async with open_worker(resources, both) as worker:
            await worker.sign_of_life()
        await resources.store.watching.record(Observation("b", 52, "Leads", incidents=(incident,)))
        async with open_worker(resources, a_watchlist(tmp_path, "a: {api_key: k}")):
            pass
        assert (await resources.store.watching.workspaces()).keys() == {"a"}
        [event] = read_events(both.database_place, EventFilter(), None)
    assert event.type == EventType.INCIDENT_RESOLVED
    assert json.loads(event.body)["data"]["sync"]["url"] == "https://app-eu.getcensus.com/syncs/52/history"
