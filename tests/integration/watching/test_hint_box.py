"""Webhooks of Census that reach another replica than the one that watches their workspace."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from faults.line import Line
from notifier.census.lifecycle import notice_of
from notifier.model.errors import DatabaseUnusable, SeatLost, StoreUnavailable
from notifier.model.event import CensusAlert
from notifier.model.identity import Id
from notifier.model.notice import Notice
from notifier.store import watching as halves
from notifier.store.sql import replicas
from notifier.store.store import Store, open_store
from notifier.watching.hint_box import HintBox, Pickup
from notifier.watching.inbox import Inbox
from notifier.watchlist.database import ServerUrl
from notifier.watchlist.models import Watch
from notifier.web.worker import WebhookInbox
from tests.databases import postgres_template
from tests.integration.watching.kit import WORKSPACE, Scene, a_scene, change, lines, rows, running, settled, until
from tests.postgres.server import Postgres, name_of

SECRET, APP = "a-secret-of-the-webhooks", "https://app.getcensus.com"
LONG = "".join(chr(0x20000 + 7 * number) for number in range(200))
"""An ID as long as one may be, in the widest characters, none of them twice."""
ADD = "INSERT INTO hints (workspace, sync_id, kind, alert) VALUES"
pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgres_server: Postgres, database_from: Callable[[str], str]) -> str:
    return database_from(postgres_template(postgres_server))


@asynccontextmanager
async def a_store(url: str) -> AsyncIterator[Store]:
    async with open_store(ServerUrl(url)) as opened:
        await opened.seat.until(trusted=True)
        yield opened


@pytest_asyncio.fixture
async def scene(url: str) -> AsyncIterator[Scene]:
    """That of the replica that watches the workspace, which has sync 52."""
    async with a_store(url) as store, a_scene(store) as made:
        made.sync(52)
        yield made


@pytest_asyncio.fixture
async def other(url: str) -> AsyncIterator[Store]:
    """The store of another replica."""
    async with a_store(url) as store:
        yield store


def box_at(store: Store) -> WebhookInbox:
    return HintBox(SECRET, WORKSPACE, APP, store.watching)


class Owner:
    """What the replica has that watches the workspace."""

    def __init__(self, inbox: Inbox, store: Store) -> None:
        self.polled: list[Id] = []
        self.loaded = asyncio.Event()
        self.loaded.set()
        self.asked: Callable[[], None] = lambda: None
        self.inbox = inbox
        self.inbox._loaded, self.inbox._poll_soon = self.loaded, self._poll_soon
        self.pickup = Pickup(WORKSPACE, inbox, store.watching)

    async def polls(self, number: int) -> None:
        """Waits until so many polls of sync 52 were asked for, and no others."""
        await until(lambda: len(self.polled) >= number)
        assert self.polled == [52] * number

    def _poll_soon(self, sync_id: Id) -> None:
        self.asked()
        self.polled.append(sync_id)


async def an_owner(scene: Scene) -> Owner:
    """As it is after a start, or after it took the workspace over."""
    roster, _ = await scene.roster(Watch(sync=52))
    await scene.listed(roster)
    inbox = Inbox(
        SECRET, APP, roster, scene.recorder, scene.store.watching, loaded=asyncio.Event(), poll_soon=lambda _: None
    )
    return Owner(inbox, scene.store)


def poll(sync_id: Id = 52) -> bytes:
    return json.dumps({"event": "sync.completed", "sync_id": sync_id}).encode()


def alert(instance: object = 1, word: str = "raised", **more: Any) -> bytes:
    said = {"event": f"sync.alert.{word}", "sync_id": 52, "alert_instance_id": instance, **more}
    return json.dumps(said).encode()


def waiting(url: str) -> list[tuple[Any, ...]]:
    return rows(ServerUrl(url), "SELECT workspace, sync_id, kind FROM hints ORDER BY id")


def hinted(url: str) -> int:
    """How often the replica that watches the workspace was told to look."""
    return int(rows(ServerUrl(url), "SELECT value FROM counters WHERE name = 'hinted'")[0][0])


def told(scene: Scene) -> list[tuple[str, Id]]:
    return [(body["type"].removeprefix("census_alert."), body["data"]["alert"]["id"]) for body in scene.bodies()]


# --- the box ---


@pytest.mark.asyncio
async def test_only_what_census_signed_is_taken(other: Store) -> None:
    box = box_at(other)
    signature = base64.b64encode(hmac.digest(SECRET.encode(), poll(), hashlib.sha256))
    assert box.is_signed(poll(), signature)
    assert not box.is_signed(poll(53), signature)
    assert not box.is_signed(poll(), None)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(alert(), id="short"),
        pytest.param(
            alert(
                7,
                "resolved",
                alert_type="FailureAlertConfiguration",
                message="a NUL \0, a \ue000, a 🦆",
                details={"rows": ["\0", 1]},
                followup_url=f"{APP}/workspaces/1",
                sync_run_id=324402082,
            ),
            id="all fields",
        ),
        pytest.param(alert("a-word", sync_id="a-word", sync_run_id="a-word"), id="words"),
        pytest.param(alert(-(2**63)), id="a small number"),
        pytest.param(alert(2**64 - 1), id="a large number"),
        pytest.param(alert("\0\ue000\ue0000'; DROP TABLE hints; --"), id="odd characters"),
        pytest.param(alert(LONG, sync_id=LONG[::-1], sync_run_id=LONG), id="long"),
        pytest.param(alert(message="x" * 60_000), id="large"),
    ],
)
@pytest.mark.asyncio
async def test_an_alert_is_kept_in_full(other: Store, body: bytes) -> None:
    await box_at(other).take(body)
    ((_, kept),) = await other.watching.hints(WORKSPACE)
    assert kept == notice_of(body, APP)
    assert kept is not None
    assert kept.alert is not None
    assert await other.watching.has_hint(WORKSPACE, kept)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"sync_id": "\\ud800"}', b'{"sync_id": 52, "x": "\\udfff"}'])
@pytest.mark.asyncio
async def test_what_can_not_be_understood_is_taken_and_not_kept(other: Store, url: str, body: bytes) -> None:
    await box_at(other).take(body)
    assert waiting(url) == []
    assert hinted(url) == 0


@pytest.mark.asyncio
async def test_a_flood_is_one_write_for_each_sync_and_alert(other: Store, url: str) -> None:
    for _ in range(20):
        for body in (poll(52), poll(53), alert(1), alert("1"), alert(2)):
            await box_at(other).take(body)
    kinds = ["poll", "poll", "census_alert.raised:1", "census_alert.raised:2"]
    assert waiting(url) == [(WORKSPACE, id_, kind) for id_, kind in zip([52, 53, 52, 52], kinds, strict=True)]
    assert hinted(url) == 4


@pytest.mark.asyncio
async def test_what_two_replicas_keep_at_the_same_moment_is_one_row(scene: Scene, other: Store, url: str) -> None:
    notice = Notice(52)
    writes = (store.watching.add_hint(WORKSPACE, notice) for store in (scene.store, other) for _ in range(10))
    await asyncio.gather(*writes)
    assert waiting(url) == [(WORKSPACE, 52, "poll")]


@pytest.mark.asyncio
async def test_what_can_not_be_kept_is_said_to_be_unavailable(url: str, postgres_server: Postgres) -> None:
    with Line(postgres_server.port) as line:
        async with a_store(postgres_server.url(name_of(url), line.port)) as store:
            line.close()
            with pytest.raises(StoreUnavailable):
                await box_at(store).take(poll())
    assert waiting(url) == []


@pytest.mark.asyncio
async def test_a_replica_whose_place_was_taken_keeps_nothing(other: Store, url: str) -> None:
    change(ServerUrl(url), "DELETE FROM replicas")
    with pytest.raises(SeatLost):
        await box_at(other).take(poll())
    assert waiting(url) == []
    assert hinted(url) == 0


@pytest.mark.asyncio
async def test_a_database_that_is_unusable_is_unavailable_to_census(other: Store, url: str) -> None:
    change(ServerUrl(url), "DROP TABLE hints")
    with pytest.raises(StoreUnavailable):
        await box_at(other).take(poll())


# --- from one replica to the other ---


@pytest.mark.asyncio
async def test_a_webhook_at_one_replica_reaches_the_inbox_of_the_other(scene: Scene, other: Store, url: str) -> None:
    owner = await an_owner(scene)
    async with running(owner.pickup.run()):
        for number, body in enumerate([poll(), alert(1), poll(), alert(1, "resolved")], 1):
            before = hinted(url)
            await box_at(other).take(body)
            assert hinted(url) == before + 1
            owner.pickup.wake()
            await until(lambda: not waiting(url))
            await owner.polls(number)
    assert told(scene) == [("raised", 1), ("resolved", 1)]


@pytest.mark.asyncio
async def test_an_alert_is_told_as_the_webhook_had_it(scene: Scene, other: Store) -> None:
    """The same event comes of it, whichever replica it reached."""
    more: dict[str, Any] = {
        "message": "Sync Failed",
        "details": "a NUL \0",
        "followup_url": f"{APP}/x",
        "sync_run_id": 3,
    }
    owner = await an_owner(scene)
    await owner.inbox.take(alert("direct", **more))
    await box_at(other).take(alert("passed on", **more))
    await owner.pickup.take()
    direct, passed_on = (body["data"] for body in scene.bodies())
    assert passed_on["alert"].pop("id") == "passed on"
    assert direct["alert"].pop("id") == "direct"
    assert passed_on == direct


@pytest.mark.asyncio
async def test_alerts_of_one_sync_are_told_in_the_order_in_which_they_came(scene: Scene, other: Store) -> None:
    bodies = [alert(2), alert(1), alert(2, "resolved"), alert(2), alert(1, "resolved")]
    for body in bodies:
        await box_at(other).take(body)
    await (await an_owner(scene)).pickup.take()
    assert told(scene) == [("raised", 2), ("raised", 1), ("resolved", 2), ("resolved", 1)]


@pytest.mark.asyncio
async def test_an_alert_that_comes_again_is_one_event_whichever_replica_it_reaches(scene: Scene, other: Store) -> None:
    owner = await an_owner(scene)
    for taker in (box_at(other), box_at(other), box_at(scene.store), owner.inbox, box_at(other)):
        await taker.take(alert())
        await owner.pickup.take()
    assert told(scene) == [("raised", 1)]


@pytest.mark.asyncio
async def test_what_is_not_watched_is_forgotten(scene: Scene, other: Store, url: str) -> None:
    await box_at(other).take(poll(53))
    await box_at(other).take(alert(sync_id=53))
    owner = await an_owner(scene)
    await owner.pickup.take()
    assert (owner.polled, told(scene), waiting(url)) == ([], [], [])


@pytest.mark.asyncio
async def test_another_workspaces_webhooks_are_left_to_who_watches_it(scene: Scene, other: Store, url: str) -> None:
    await HintBox(SECRET, "staging", APP, other.watching).take(poll())
    owner = await an_owner(scene)
    await owner.pickup.take()
    assert owner.polled == []
    assert waiting(url) == [("staging", 52, "poll")]


# --- what may come between ---


@pytest.mark.asyncio
async def test_a_webhook_that_comes_when_its_sync_was_asked_for_is_a_row_of_its_own(
    scene: Scene, other: Store, url: str
) -> None:
    """The poll that was asked for may not see what it is about."""
    owner = await an_owner(scene)
    left: list[object] = []
    owner.asked = lambda: left.extend(waiting(url))
    await box_at(other).take(poll())
    await owner.pickup.take()
    assert owner.polled == [52]
    assert left == []


@pytest.mark.asyncio
async def test_an_alert_that_was_told_and_not_yet_forgotten_at_a_crash_is_told_once(
    scene: Scene, other: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(numbers: Iterable[int]) -> None:
        if list(numbers):
            raise SeatLost("another worker has taken over")

    await box_at(other).take(alert())
    with monkeypatch.context() as crash:
        crash.setattr(scene.store.watching, "forget_hints", dies)
        with pytest.raises(SeatLost):
            await (await an_owner(scene)).pickup.take()
    assert told(scene) == [("raised", 1)]
    assert len(waiting(url)) == 1
    successor = await an_owner(scene)
    await successor.pickup.take()
    assert successor.polled == [52]
    assert told(scene) == [("raised", 1)]
    assert waiting(url) == []


@pytest.mark.asyncio
async def test_nothing_is_taken_up_before_it_is_known_what_is_watched(scene: Scene, other: Store, url: str) -> None:
    owner = await an_owner(scene)
    owner.loaded.clear()
    await box_at(other).take(poll())
    async with running(owner.pickup.run()):
        owner.pickup.wake()
        await settled()
        assert (owner.polled, len(waiting(url))) == ([], 1)
        owner.loaded.set()
        await until(lambda: owner.polled == [52])


@pytest.mark.asyncio
async def test_who_wakes_during_a_look_brings_another(
    scene: Scene, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await an_owner(scene)
    looked, may_go_on, find = asyncio.Event(), asyncio.Event(), scene.store.watching.hints

    async def slowly(workspace: str) -> list[tuple[int, Notice | None]]:
        found = await find(workspace)
        looked.set()
        await may_go_on.wait()
        return found

    monkeypatch.setattr(scene.store.watching, "hints", slowly)
    async with running(owner.pickup.run()):
        await looked.wait()
        await box_at(other).take(poll())
        owner.pickup.wake()
        may_go_on.set()
        await until(lambda: owner.polled == [52])


@pytest.mark.parametrize("method", ["hints", "forget_hints", "record"])
@pytest.mark.asyncio
async def test_what_can_not_be_taken_up_is_tried_again_though_nobody_wakes(
    scene: Scene, other: Store, url: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    owner = await an_owner(scene)
    works = getattr(scene.store.watching, method)
    failures = iter([StoreUnavailable("away"), SeatLost("taken")])

    async def fails(*given: Any) -> Any:
        if failure := next(failures, None):
            raise failure
        return await works(*given)

    monkeypatch.setattr(scene.store.watching, method, fails)
    for body in (poll(), alert()):
        await box_at(other).take(body)
    async with running(owner.pickup.run()):
        await until(lambda: not waiting(url))
    assert told(scene) == [("raised", 1)]


@pytest.mark.asyncio
async def test_a_database_that_is_unusable_ends_the_loop(scene: Scene, url: str) -> None:
    owner = await an_owner(scene)
    change(ServerUrl(url), "DROP TABLE hints")
    with pytest.raises(DatabaseUnusable):
        await owner.pickup.run()


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.asyncio
async def test_more_than_one_look_takes_is_taken_by_several(
    scene: Scene, other: Store, url: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(halves, "MOST_HINTS", 2)
    monkeypatch.setattr("notifier.watching.hint_box.MOST_HINTS", 2)
    for instance in range(number):
        await box_at(other).take(alert(instance))
    await (await an_owner(scene)).pickup.take()
    assert told(scene) == [("raised", instance) for instance in range(number)]
    assert waiting(url) == []


# --- what can't be read or told ---


@pytest.mark.asyncio
async def test_a_row_that_can_not_be_read_is_said_once_and_holds_up_nobody(
    scene: Scene, other: Store, url: str
) -> None:
    garbage = ["'poll-of-tomorrow', NULL", r"'a', '\x00ff'", "'b', '{\"id\": 1}'", "'c', ''", "'d', '[]'", "'e', '1'"]
    for each in garbage:
        change(ServerUrl(url), f"{ADD} ('{WORKSPACE}', 52, {each})")
    await box_at(other).take(alert())
    owner = await an_owner(scene)
    with capture_logs() as logs:
        await owner.pickup.take()
        await owner.pickup.take()
    said = lines(logs, "a webhook that another replica took can't be read and is dropped")
    assert len(said) == len(garbage)
    assert told(scene) == [("raised", 1)]
    assert waiting(url) == []


@pytest.mark.asyncio
async def test_an_alert_that_a_fault_of_ours_keeps_from_being_told_holds_up_nobody(
    scene: Scene, other: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_told = scene.store.watching.has_told_alert

    async def stumbles(workspace: str, seen: CensusAlert) -> bool:
        if seen.id == 1:
            raise RuntimeError("a fault")
        return await has_told(workspace, seen)

    monkeypatch.setattr(scene.store.watching, "has_told_alert", stumbles)
    for instance in (1, 2):
        await box_at(other).take(alert(instance))
    with capture_logs() as logs:
        await (await an_owner(scene)).pickup.take()
    assert [entry["log_level"] for entry in logs if "please report it" in entry["event"]] == ["error"]
    assert told(scene) == [("raised", 2)]
    assert waiting(url) == []


# --- SQLite ---


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_a_worker_by_itself_keeps_no_hints(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of SQLite has no table for them, and the inbox asks for none."""
    names = {name for (name,) in rows(store.place, "SELECT name FROM sqlite_master")}
    assert names.isdisjoint({"hints", "listings", "in_force", "counters", "replicas"})
    async with a_scene(store) as scene:
        scene.sync(52)
        used: list[object] = []
        read, write = store._reader.read, store._writer.write

        async def noting_read(statement: Any, /, **given: object) -> Any:
            used.append(statement)
            return await read(statement, **given)

        async def noting_write(*groups: Any) -> None:
            used.extend(statement for statement, _ in groups)
            await write(*groups)

        monkeypatch.setattr(store._reader, "read", noting_read)
        monkeypatch.setattr(store._writer, "write", noting_write)
        owner = await an_owner(scene)
        await owner.inbox.take(poll())
        await owner.inbox.take(alert())
        assert (owner.polled, told(scene)) == ([52, 52], [("raised", 1)])
    shared = (replicas.ADD_HINT, replicas.HINT, replicas.HINTS, replicas.FORGET_HINT)
    assert not [each for each in used if any(each is one for one in shared)]
