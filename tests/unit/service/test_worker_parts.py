"""What a worker does with the parts that it has and gives: it waits for the right attempts, and writes for no other."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from notifier.model.errors import StoreUnavailable
from notifier.model.part import UPKEEP
from notifier.service import loops
from notifier.service import worker as service
from notifier.service.loops import Loops, Replaced
from notifier.service.metrics import SharedGauges
from notifier.service.worker import Worker


class Deliverer:
    """Has attempts under way, also of a receiver that only the watchlist before had."""

    def __init__(self) -> None:
        self.waited: list[str] = []
        self.stopped = asyncio.Event()

    def unfinished(self) -> frozenset[str]:
        return frozenset({"new", "gone"})

    async def over(self, name: str) -> None:
        self.waited.append(name)

    async def run(self) -> None:
        await self.stopped.wait()

    def stop(self) -> None:
        self.stopped.set()


def a_worker(**store: Any) -> tuple[Worker, Deliverer]:
    watchlist = SimpleNamespace(receivers={"new": None, "other": None}, workspaces={})
    resources = SimpleNamespace(store=SimpleNamespace(**store))
    deliverer, liveness = Deliverer(), SimpleNamespace(watch=lambda *_: None)
    parts = {"slack": ("new",), "webhook:other": ("other",)}
    return Worker(*cast(Any, (watchlist, resources, deliverer, parts, False, liveness, {}))), deliverer


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("part", "waited"),
    [
        ("slack", ["new", "gone"]),
        ("webhook:other", ["other", "gone"]),
        ("webhook:gone", ["gone"]),
        ("workspace:a", []),
        (UPKEEP, []),
    ],
)
async def test_a_part_is_over_when_attempts_of_the_watchlist_before_are_too(part: str, waited: list[str]) -> None:
    worker, deliverer = a_worker()
    await worker.attempts_over(part)
    assert deliverer.waited == waited


@pytest.mark.asyncio
async def test_forgetting_stops_when_the_workers_come_to_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    seat, forgotten = SimpleNamespace(is_unanimous=True), list[str]()

    async def abandon(*_: Any) -> None:
        """Nothing was left."""

    async def let_go(_: Any, gone: str, *__: Any) -> None:
        forgotten.append(gone)
        seat.is_unanimous = False

    monkeypatch.setattr(service, "forget", let_go)
    worker, _ = a_worker(seat=seat, delivering=SimpleNamespace(abandon_all_but=abandon), watching=None)
    await worker.tidy(cast(Any, {"a": "a", "b": "b"}))
    assert (len(forgotten), worker.is_tidy) == (1, False)
    seat.is_unanimous = True
    await worker.tidy(cast(Any, {"b": "b"}))
    assert worker.is_tidy


@pytest.mark.asyncio
async def test_a_sign_of_life_says_nothing_of_a_workspace_that_is_given_meanwhile() -> None:
    saved: list[str] = []

    async def save(state: str) -> None:
        saved.append(state)
        worker.watching.pop("b", None)

    async def try_it() -> None:
        """It can be written."""

    worker, _ = a_worker(try_it=try_it, watching=SimpleNamespace(save_workspace=save))
    for name in "abc":
        worker.watching[name] = cast(Any, SimpleNamespace(name=name, health=SimpleNamespace(state=name)))
    await worker.sign_of_life()
    assert saved == ["a", "c"]


class Box:
    def __init__(self, done: list[str]) -> None:
        self.done = done

    async def close(self) -> None:
        self.done.append("closed")


@pytest.mark.asyncio
@pytest.mark.parametrize("away", [False, True], ids=["the database answers", "it does not"])
async def test_who_is_told_to_stop_hands_over_to_the_end(monkeypatch: pytest.MonkeyPatch, away: bool) -> None:
    """Though no attempt is under way, and nothing else is to be waited for. Webhooks are the others' then."""
    done: list[str] = []
    seat = SimpleNamespace(is_shared=True, wants=lambda parts, watchlist: done.append(f"wants {parts}{watchlist}"))

    async def hurry() -> None:
        """At once."""

    async def give(parts: list[str]) -> None:
        await asyncio.sleep(0)
        done.append(f"give {parts}")
        if away:
            raise StoreUnavailable("the line broke")

    async def slowly() -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        done.append("sign of life")

    worker, deliverer = a_worker(seat=seat, hurry=hurry, give=give, try_it=slowly)
    worker.inboxes["a"] = cast(Any, Box(done))
    monkeypatch.setattr(loops, "_watch", lambda _: asyncio.sleep(3600))
    monkeypatch.setattr(loops, "parts_of", lambda _: (UPKEEP, "slack", "webhook:other", "workspace:a"))
    await Loops(worker).end(Replaced())
    assert done[:3] == ["sign of life", "wants ()", "closed"]
    assert sorted(done[3:]) == ["give ['slack']", f"give ['{UPKEEP}', 'workspace:a']", "give ['webhook:other']"]
    assert set(deliverer.waited) == {"new", "other", "gone"}
    assert not worker.inboxes


@pytest.mark.parametrize(
    ("taken", "others"),
    [
        # Who has nothing may go by another watchlist: it speaks of what is there, not of what it alone wants.
        (set[str](), {"slack", "workspace:a"}),
        ({"slack"}, {"workspace:a", "workspace:new"}),
        ({"slack", "workspace:new"}, {"workspace:a"}),
    ],
)
def test_a_worker_tells_of_the_parts_of_others_too_lest_those_of_one_that_died_vanish(
    taken: set[str], others: set[str]
) -> None:
    elsewhere, nobodys = frozenset({"slack", "workspace:a"}), frozenset({"workspace:new"})
    worker, _ = a_worker(seat=SimpleNamespace(is_shared=True, elsewhere=elsewhere, nobodys=nobodys, members=3))
    worker.taken = taken
    assert worker._shared() == SharedGauges(frozenset(taken), None, frozenset(others))


@pytest.mark.parametrize(
    ("taken", "elsewhere", "waits_for"),
    [
        (set[str](), frozenset[str](), "not polled yet: a, third"),  # the first, at its start
        ({"slack"}, frozenset({"workspace:a"}), "not polled yet: third"),
        (set[str](), frozenset({"slack", "workspace:a"}), None),  # others go by a watchlist without the third
    ],
)
def test_who_has_no_part_beside_others_is_ready_though_a_workspace_of_its_watchlist_is_nobodys(
    taken: set[str], elsewhere: frozenset[str], waits_for: str | None
) -> None:
    worker, _ = a_worker(seat=SimpleNamespace(is_shared=True, is_overtaken=False, elsewhere=elsewhere))
    worker.watchlist.workspaces.update(cast(Any, {"a": None, "third": None}))
    worker.taken = taken
    assert worker.not_ready() == waits_for
