"""A sync that gets another name while something of it is looked up: what is recorded afterwards has the new one."""

from datetime import timedelta
from typing import Any

import pytest

from notifier.watchlist.checks import Checks, SlowRun
from tests.builders import a_watch_of_all
from tests.integration.watching.kit import Scene

pytestmark = pytest.mark.asyncio


async def test_a_sync_renamed_while_its_poll_reads_the_database_keeps_its_new_name(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the mark puts the old name back, and a restart covers the sync by a name that it no longer has."""
    roster, _ = await scene.roster(a_watch_of_all())
    await scene.listed(roster)
    target = roster.syncs[52]
    await scene.poll(target)
    previous_result = scene.store.watching.previous_result

    async def renamed_meanwhile(*given: Any) -> Any:
        scene.simulator.update_sync(52, label="Accounts")
        await scene.listed(roster)
        return await previous_result(*given)

    monkeypatch.setattr(scene.store.watching, "previous_result", renamed_meanwhile)
    scene.run(1, "failed")
    await scene.poll(target)
    assert target.label == "Accounts"
    assert scene.rows("SELECT label FROM syncs WHERE sync_id = '52'") == [("Accounts",)]
    assert [body["data"]["sync"]["label"] for body in scene.bodies()] == ["Accounts"]


async def test_an_incident_has_the_name_that_its_sync_got_while_its_slow_run_was_fetched(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request may take half a minute; names, and the labels that go with them, decide who is told."""
    roster, _ = await scene.roster(a_watch_of_all(), checks=Checks(slow_run=SlowRun(after=timedelta(hours=2))))
    await scene.listed(roster)
    target = roster.syncs[52]
    scene.run(1, "working")
    await scene.poll(target)
    fetched = scene.client.run

    async def renamed_meanwhile(run_id: int) -> Any:
        scene.simulator.update_sync(52, label="Accounts")
        await scene.listed(roster)
        return await fetched(run_id)

    monkeypatch.setattr(scene.client, "run", renamed_meanwhile)
    scene.api_passes(hours=3)
    await scene.poll(target)
    (told,) = (body["data"] for body in scene.bodies() if body["type"] == "incident.opened")
    assert told["sync"]["label"] == "Accounts"
    assert scene.rows("SELECT sync_label FROM incidents") == [("Accounts",)]
