"""What tests of incidents share: checks, a clock of the API, and what was told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.model.identity import Id
from notifier.watching.roster import Roster
from notifier.watching.target import SyncTarget
from notifier.watchlist.checks import (
    Checks,
    ChecksInForce,
    Failing,
)
from notifier.watchlist.models import Watch
from tests.integration.watching.kit import Scene

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ONLY = {"failing": False, "rejected_records": False, "unreachable": False, "reminders": False}
"""With these, only the checks are on that a test adds."""


def only(**given: Any) -> Checks:
    return Checks(**{**ONLY, **given})


FAILING = only(failing=Failing())


class ApiClock:
    """What the API's Date header says from now on, where a test must move it; the simulator's is the real clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        monkeypatch.setattr("notifier.census.client.date_of", lambda headers: self.now)
        monkeypatch.setattr("notifier.watching.api_clock.FAR", timedelta.max)  # whatever a test makes of it is the time


def ago(**units: float) -> datetime:
    """A time in the API's past."""
    return datetime.now(UTC) - timedelta(**units)


def told(scene: Scene, sync_id: Id = 52, *, base: int = 0) -> list[str]:
    """What was told of a sync's incidents; run IDs without their `base`."""
    found = scene.rows("SELECT type, body FROM events WHERE sync_id = ? ORDER BY seq", sync_id)
    lines = []
    for kind, body in found:
        if kind.startswith("incident."):
            data = json.loads(body)["data"]
            by = f" by {data['sync_run']['id'] - base}" if "sync_run" in data else ""
            lines.append(f"{data['incident']['check']} {kind.removeprefix('incident.')}{by}")
    return lines


def incidents(scene: Scene, kind: str | None = None) -> list[dict[str, Any]]:
    """The incidents of events, as they were told."""
    bodies = [body for body in scene.bodies() if "incident" in body["data"]]
    return [body["data"]["incident"] for body in bodies if kind in (None, body["type"].removeprefix("incident."))]


def kinds(scene: Scene) -> list[str]:
    return [body["type"] for body in scene.bodies()]


async def watched(scene: Scene, checks: Checks, sync_id: int = 52) -> SyncTarget:
    """A sync whose baseline is set, with its checks."""
    target = scene.target(sync_id)
    target.is_covered_by(target.labels, ChecksInForce.of(checks))
    await scene.poll(target)
    return target


async def rostered(scene: Scene, checks: Checks, *watches: Watch) -> Roster:
    """A roster after its first listing and a first poll of each sync."""
    scene.observer = scene.new_observer()
    roster, _ = await scene.roster(*(watches or (Watch(syncs="all"),)), checks=checks)
    await scene.listed(roster)
    for target in roster.syncs.values():
        await scene.poll(target)
    return roster


async def rerostered(scene: Scene, checks: Checks, *watches: Watch) -> Roster:
    """A restart, with what the watchlist says by now, and a first poll of each sync."""
    scene.observer = scene.new_observer()
    roster, _ = await scene.roster(*(watches or (Watch(syncs="all"),)), checks=checks)
    for target in roster.syncs.values():
        await scene.poll(target)
    return roster
