"""What docs/checks.md says of each check: every line of its tables, run against the notifier."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from ruamel.yaml import YAML

from notifier.model.errors import Unauthorized, Unreachable
from notifier.model.incident import Check
from notifier.model.sync import WorkspaceState
from notifier.simulator import FaultHandle, Status
from notifier.store.store import Store
from notifier.watching.health import Health
from notifier.watching.outage import Outage
from notifier.watching.roster import Roster
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.checks import Checks, ChecksInForce
from notifier.watchlist.durations import parse_duration
from notifier.watchlist.models import Watch, Workspace
from tests.integration.watching.kit import WORKSPACE, LoopClock, Scene, a_scene

pytestmark = pytest.mark.standing_clock

PAGE = Path(__file__).parents[3] / "docs" / "checks.md"
OFF = {"failing": False, "rejected_records": False, "unreachable": False, "unreadable": False, "reminders": False}
SECOND = timedelta(seconds=1)
RUN = re.compile(r"C:(?P<sent>\d+)(?:-(?P<rejected>\d+))?(?:\+(?P<invalid>\d+))?")
STATUSES = {"F": "failed", "C": "completed", "S": "skipped", "X": "completed"}
OF_A_SYNC: dict[str, dict[str, Any]] = {
    "pause": {"paused": True},
    "resume": {"paused": False},
    "never": {"schedule_frequency": "never"},
    "hourly": {"schedule_frequency": "hourly"},
}


def table(*columns: str) -> list[list[str]]:
    """The rows of the page's table with these columns."""
    lines = iter(PAGE.read_text().splitlines())
    heading = f"| {' | '.join(columns)} |"
    assert heading in lines, f"docs/checks.md has no table {heading}"
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


HISTORIES = table("check", "settings", "opens", "then resolves")
NOTHING = table("check", "settings", "history")


class Census:
    """A sync and its API, to which the signs of the page happen one by one."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch, checks: Checks) -> None:
        self.scene = scene
        self.checks = checks
        self.now = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
        self.loop_clock = LoopClock(monkeypatch)
        self.number = 0
        monkeypatch.setattr("notifier.census.client.date_of", lambda headers: self.now)

    async def begin(self) -> None:
        """A sync without runs, whose baseline is set."""
        scene = self.scene
        scene.sync(52)
        self.roster: Roster
        self.roster, _ = await scene.roster(Watch(sync=52), checks=self.checks)
        await scene.listed(self.roster)
        state = WorkspaceState(WORKSPACE)
        self.health = Health(state, scene.store.watching.save_workspace, clock=scene.clock, jitter=lambda: 0.0)
        force = ChecksInForce.of(self.checks)
        self.outage = Outage(self.health, scene.recorder, scene.store.watching, force, clock=scene.clock)
        await self.outage.load()
        settings = Workspace(api_key=SecretStr("simulated-key"), base_url=scene.base_url)
        self.watcher = WorkspaceWatcher(settings, scene.client, scene.observer, self.roster, self.health, self.outage)
        self.watcher._schedule.add(self.roster.syncs[52], 0.0, active=False)
        self.unread: FaultHandle | None = None
        await self.look()
        await self.look()

    async def look(self) -> None:
        """A poll, and a look at whether the API answers."""
        if self.checks.unreadable:
            await self.health.answered()  # of the other syncs of the workspace
            (poller,) = self.watcher._schedule
            await self.watcher._attempts.make(poller)
        else:
            await self.scene.poll(self.roster.syncs[52])
        await self.outage.look()

    async def happens(self, sign: str) -> None:
        match sign:
            case "W":
                self.run(status="working")
            case "end":
                self.scene.becomes(self.number, "completed", completed_at=self.now)
            case "N":
                await self.health.failed(Unreachable("HTTP 500"), of=0, among=1)
            case "401":
                await self.health.refused(Unauthorized(401, "HTTP 401"))
            case "A":
                await self.health.answered()
            case "U":
                self.unread = self.scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
            case "R":
                assert self.unread is not None
                self.unread.clear()
            case _ if sign in OF_A_SYNC:
                self.scene.simulator.update_sync(52, **OF_A_SYNC[sign])
                await self.scene.listed(self.roster)
            case _ if sign in STATUSES:
                counts = {"records_processed": 100} if sign == "C" else {}
                self.run(status=STATUSES[sign], canceled=sign == "X", **counts)
            case _:
                self.run(status="completed", **counts_of(sign))
        await self.look()

    def run(self, **fields: Any) -> None:
        self.number += 1
        self.now += SECOND
        ended = self.now if fields["status"] == "completed" else None
        self.scene.run(self.number, created_at=self.now, updated_at=self.now, completed_at=ended, **fields)

    async def waits(self, length: timedelta) -> None:
        self.now += length
        self.scene.clock.now += length
        self.loop_clock.now += length.total_seconds()
        await self.look()

    @property
    def told(self) -> list[str]:
        """The incident events so far, without what only changed one."""
        found = self.scene.rows("SELECT type, body FROM events ORDER BY seq")
        told = [
            f"{json.loads(body)['data']['incident']['check']} {kind.removeprefix('incident.')}"
            for kind, body in found
            if kind.startswith("incident.")
        ]
        return [line for line in told if not line.endswith("changed")]


def counts_of(sign: str) -> dict[str, int]:
    found = RUN.fullmatch(sign)
    assert found is not None, f"docs/checks.md has a sign that means nothing: {sign}"
    sent, rejected, invalid = (int(found[name] or 0) for name in ("sent", "rejected", "invalid"))
    return {"records_processed": sent, "records_failed": rejected, "records_invalid": invalid}


def steps(census: Census, history: str) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """What is done for each sign; a wait ends with a second by itself."""
    for sign in history.split():
        if sign.startswith("+"):
            length = parse_duration(sign[1:])
            yield f"{sign} but a second", lambda length=length: census.waits(length - SECOND)  # type: ignore[misc]
            yield sign, lambda: census.waits(SECOND)
        else:
            yield sign, lambda sign=sign: census.happens(sign)  # type: ignore[misc]


async def play(census: Census, history: str, *, before: list[str], after: list[str]) -> None:
    """Plays a history; only its last step may make a difference."""
    *early, (last, do_last) = list(steps(census, history))
    for sign, do in early:
        await do()
        assert census.told == before, f"already after {sign} of: {history}"
    await do_last()
    assert census.told == after, f"not after {last} of: {history}"


def checks_of(check: str, settings: str) -> Checks:
    return Checks.model_validate({**OFF, check: YAML(typ="safe", pure=True).load(settings)})


@pytest.mark.parametrize(("check", "settings", "opens", "resolves"), HISTORIES, ids=map(" ".join, HISTORIES))
@pytest.mark.asyncio
async def test_the_shortest_history_opens_and_the_shortest_one_resolves(
    store: Store, monkeypatch: pytest.MonkeyPatch, check: str, settings: str, opens: str, resolves: str
) -> None:
    async with a_scene(store) as scene:
        census = Census(scene, monkeypatch, checks_of(check, settings))
        await census.begin()
        opened = [f"{check} opened"]
        await play(census, opens, before=[], after=opened)
        await play(census, resolves, before=opened, after=[*opened, f"{check} resolved"])


@pytest.mark.parametrize(("check", "settings", "history"), NOTHING, ids=map(" ".join, NOTHING))
@pytest.mark.asyncio
async def test_a_history_that_is_said_to_open_nothing_opens_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, check: str, settings: str, history: str
) -> None:
    async with a_scene(store) as scene:
        census = Census(scene, monkeypatch, checks_of(check, settings))
        await census.begin()
        await play(census, history, before=[], after=[])


def test_the_page_has_histories_of_every_check() -> None:
    assert {row[0] for row in HISTORIES} == {row[0] for row in NOTHING} == {check.value for check in Check}


def test_the_page_says_the_defaults_that_hold() -> None:
    rows = table("check", "wrong is", "right again is", "settings, with their defaults")
    force = ChecksInForce.of(None)
    for name, _, _, said in rows:
        settings = Checks.model_validate({name.strip("`"): {}}) if "after" not in said else None
        is_on = getattr(force, name.strip("`")) is not None
        assert is_on == ("off unless given" not in said)
        if settings is not None:
            part = getattr(settings, name.strip("`"))
            known = {key: value for key, value in part.model_dump().items() if value is not None}
            assert {key: float(value) for key, value in re.findall(r"`(\w+): ([\d.]+)`", said)} == known
    after = {name.strip("`"): found[1] for name, _, _, said in rows if (found := re.search(r"`after: (\w+)`", said))}
    assert force.unreachable is not None
    assert force.unreadable is not None
    assert {name: parse_duration(said) for name, said in after.items()} == {
        "unreachable": force.unreachable.after,
        "unreadable": force.unreadable.after,
    }
    assert force.reminders is not None
    assert (force.reminders.first, force.reminders.longest) == (timedelta(hours=24), timedelta(days=7))
    assert "{first: 24h, longest: 7d}" in PAGE.read_text()
