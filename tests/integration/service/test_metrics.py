"""What a worker counts between a simulated Census and a sink; every number was worked out by hand."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from pydantic import SecretStr

from notifier.model.delivery import Backlog, DeliveryState
from notifier.model.incident import Check, Incident
from notifier.model.meters import PollOutcome, WorkspaceMeter
from notifier.model.sync import Labels
from notifier.service.metrics import Metrics, SharedGauges, Sources
from notifier.service.resources import open_resources
from notifier.service.standby import facts_standing_by
from notifier.service.worker import Worker, open_worker
from notifier.simulator import Body, CensusSimulator, Fault, Reset, Status, WebhookSink
from notifier.store.sql import worker as sql
from notifier.store.store import Store
from notifier.watching.poll import Observer
from notifier.watching.target import SyncTarget
from notifier.watchlist.models import Watch, Watchlist, Workspace
from notifier.watchlist.reading.load import load_watchlist
from tests.builders import a_watch_of_all, a_webhook
from tests.exposition import Series, nonzero, series
from tests.integration.store.builders import FULL, MINUTE, NOW, a_settlement, an_event, an_observation, rows
from tests.integration.watching.kit import LONG_AGO, LoopClock, Scene, a_scene, created

ALL = Watch(syncs="all")
RUNS_OF_52 = "/syncs/52/sync_runs"
OFF = "{failing: false, rejected_records: false, unreachable: false}"


class Place:
    """A watchlist between a Census with one sync, whose baseline is set, and a sink."""

    def __init__(self, directory: Path, census: CensusSimulator, api: str, sink: WebhookSink, hooks: str) -> None:
        self.census = census
        self.sink = sink
        self._file = directory / "watchlist.yaml"
        self._urls = {"api": api, "hooks": hooks}
        census.add_sync(id=52, created_at=LONG_AGO)
        self.runs({1: "completed"})

    def runs(self, runs: dict[int, str]) -> None:
        for number, status in runs.items():
            self.census.add_run(52, id=number, status=status, created_at=created(number))

    @asynccontextmanager
    async def round(self, checks: str = OFF) -> AsyncIterator[Worker]:
        """A worker that polled everything once and tried to deliver what it found."""
        self._file.write_text(f"""version: 1
database: sqlite:///n.db
workspaces: {{production: {{api_key: '${{KEY}}', base_url: "{self._urls["api"]}"}}}}
checks: {checks}
watches: [{{syncs: all}}]
receivers:
  hook: {{type: webhook, url: "{self._urls["hooks"]}/hook"}}
  other: {{type: webhook, url: "{self._urls["hooks"]}/other"}}
""")
        watchlist = load_watchlist(self._file, {"KEY": self.census.api_key})
        database = self._file.with_name("n.db")
        watchlist = watchlist.model_copy(update={"database": f"sqlite:///{database}"})
        async with (
            open_resources(watchlist.database_place) as resources,
            open_worker(resources, watchlist, once=True) as worker,
        ):
            await worker.watchers[0].run_once()
            await worker.deliverer.drain_once()
            await worker.exposition()
            yield worker


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    census, sink = CensusSimulator(), WebhookSink()
    async with census.serve() as api, sink.serve() as hooks:
        made = Place(tmp_path, census, api, sink, hooks)
        async with made.round():
            pass  # the baseline
        yield made


# --- what a worker counts ---


@pytest.mark.asyncio
async def test_four_events_of_which_one_is_refused_and_a_receiver_that_is_broken(place: Place) -> None:
    place.runs({2: "completed", 3: "failed", 4: "completed", 5: "completed"})
    place.sink.answer(413, times=1, path="/hook")
    place.sink.answer(404, path="/other")
    begun = time.time()
    async with place.round() as worker:
        told = worker.metrics
        assert nonzero(series(told, "polls_total")) == {"ok/production": 1}
        assert series(told, "poll_seconds_count") == {"": 1}
        assert nonzero(series(told, "requests_total")) == {"200/production": 2}  # the listing and the poll
        assert nonzero(series(told, "events_total")) == {
            "sync_run.completed/production": 3,
            "sync_run.failed/production": 1,
        }
        assert nonzero(series(told, "deliveries_total")) == {"delivered/hook": 3, "dead/hook": 1, "broken/other": 1}
        assert series(told, "delivery_seconds_count") == {"hook": 3, "other": 0}
        assert series(told, "deliveries_pending") == {"hook": 0, "other": 4}
        assert series(told, "deliveries_dead") == {"hook": 1, "other": 0}
        oldest = series(told, "oldest_pending_delivery_seconds")
        assert oldest["hook"] == 0 < oldest["other"] <= time.time() - begun
        assert series(told, "receiver_up") == {"hook": 1, "other": 0}
        assert begun <= series(told, "last_successful_poll_timestamp_seconds")["production"] <= time.time()
        assert series(told, "watched_syncs") == {"production": 1}
        assert series(told, "workspace_up") == {"production": 1}
        assert nonzero(series(told, "incidents_open")) == {}


@pytest.mark.asyncio
async def test_a_round_at_rest_records_nothing_and_is_one_successful_poll(place: Place) -> None:
    async with place.round() as worker:
        assert nonzero(series(worker.metrics, "polls_total")) == {"ok/production": 1}
        assert nonzero(series(worker.metrics, "requests_total")) == {"200/production": 2}
        assert nonzero(series(worker.metrics, "events_total")) == {}
        assert nonzero(series(worker.metrics, "deliveries_total")) == {}


@pytest.mark.asyncio
async def test_an_incident_is_open_from_its_first_bad_run_until_the_next_good_one(place: Place) -> None:
    place.runs({2: "failed"})
    async with place.round(checks="{}") as worker:
        assert nonzero(series(worker.metrics, "incidents_open")) == {"failing/production": 1}
        assert series(worker.metrics, "events_total")["incident.opened/production"] == 1
    place.runs({3: "completed"})
    async with place.round(checks="{}") as worker:
        assert nonzero(series(worker.metrics, "incidents_open")) == {}
        assert series(worker.metrics, "events_total")["incident.resolved/production"] == 1


@pytest.mark.parametrize(
    ("fault", "status", "outcome"),
    [
        pytest.param(Status(500), "500", "unreachable", id="500"),
        pytest.param(Status(403), "403", "unauthorized", id="403"),
        pytest.param(Status(404), "404", "not_found", id="404"),
        pytest.param(Status(429, headers={"Retry-After": "9"}), "429", "throttled", id="429"),
        pytest.param(Reset(), "error", "unreachable", id="no answer"),
        pytest.param(Body(b"<html>"), "200", "unusable", id="no JSON"),
    ],
)
@pytest.mark.asyncio
async def test_a_poll_that_gets_no_runs_is_counted_by_its_status_and_its_outcome(
    place: Place, fault: Fault, status: str, outcome: str
) -> None:
    place.census.fault(fault, path=RUNS_OF_52)
    async with place.round() as worker:
        listing = {"200/production": 2} if status == "200" else {"200/production": 1, f"{status}/production": 1}
        assert nonzero(series(worker.metrics, "requests_total")) == listing
        assert nonzero(series(worker.metrics, "polls_total")) == {f"{outcome}/production": 1}


@pytest.mark.asyncio
async def test_a_workspace_whose_key_is_refused_is_down_and_its_last_successful_poll_is_that_of_before(
    place: Place,
) -> None:
    place.census.fault(Status(401))
    begun = time.time()
    async with place.round() as worker:
        assert series(worker.metrics, "workspace_up") == {"production": 0}
        assert nonzero(series(worker.metrics, "requests_total")) == {"401/production": 1}
        assert 0 < series(worker.metrics, "last_successful_poll_timestamp_seconds")["production"] < begun


@pytest.mark.asyncio
async def test_no_secret_and_no_address_is_in_what_prometheus_gets(place: Place) -> None:
    place.runs({2: "failed"})
    async with place.round() as worker:
        text = worker.metrics.exposition()[0].decode()
    assert place.census.api_key not in text
    assert "://" not in text


@pytest.mark.asyncio
async def test_the_end_of_the_api_is_told_until_a_reload_switches_to_the_other_version(tmp_path: Path) -> None:
    def a_watchlist(key: str) -> Watchlist:
        workspaces = {"production": {key: "k"}, "new": {"token": "t"}}
        watches, receivers = [{"sync": 52, "workspace": "new"}], {"hook": {"type": "webhook", "url": "http://h/"}}
        path, rest = tmp_path / "watchlist.yaml", {"watches": watches, "receivers": receivers}
        place = f"sqlite:///{tmp_path}/n.db"
        path.write_text(json.dumps({"version": 1, "database": place, "workspaces": workspaces, **rest}))
        return load_watchlist(path, {})

    ends, old = "api_retires_timestamp_seconds", a_watchlist("api_key")
    async with open_resources(old.database_place) as resources:
        async with open_worker(resources, old) as worker:
            await worker.exposition()
            assert series(worker.metrics, ends) == {"production": datetime(2027, 1, 15, tzinfo=UTC).timestamp()}
        async with open_worker(resources, a_watchlist("token")) as worker:
            await worker.exposition()
            assert series(worker.metrics, ends) == {}


# --- how late a poll is ---


class Slow(Observer):
    """Each poll takes two seconds of the loop's clock."""

    clock_of_loop: LoopClock

    async def poll_sync(self, target: SyncTarget, *, conditionally: bool = False) -> bool:
        await self.clock_of_loop.advance(2)
        return False


class Listening(WorkspaceMeter):
    def __init__(self) -> None:
        self.lags: list[float] = []
        self.ended: list[tuple[PollOutcome, float]] = []

    def poll_begins(self, lag: float) -> None:
        self.lags.append(round(lag, 3))

    def poll_ended(self, outcome: PollOutcome, seconds: float) -> None:
        self.ended.append((outcome, round(seconds, 3)))


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        yield made


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_poll_that_waits_for_another_is_late_by_how_long_that_takes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    observer, heard = (
        Slow(scene.client, scene.store.watching, scene.recorder, is_listed=lambda: True, may_lag=True),
        Listening(),
    )
    observer.clock_of_loop = LoopClock(monkeypatch)
    watcher = await scene.watcher(ALL, observer=observer, meter=heard, max_concurrent_requests=1)
    async with asyncio.timeout(60):
        assert await watcher.run_once()
    assert heard.lags == [0, 2, 4]
    assert heard.ended == [(PollOutcome.OK, 2)] * 3


# --- what the database says ---


def an_incident(number: int, check: Check, **given: object) -> Incident:
    labels: Labels = {}
    return replace(Incident(f"inc_{number}", "main", number, check, NOW, labels), **given)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_an_empty_database_has_no_backlog(store: Store) -> None:
    assert await store.backlog() == Backlog({}, {}, {}, {})


@pytest.mark.asyncio
async def test_the_backlog_is_what_is_pending_dead_or_open_by_receiver_and_check(store: Store) -> None:
    await store.watching.record(FULL)  # two events at NOW, each to two receivers
    await store.watching.record(an_observation(an_event("evt_3", "growth", seen_at=NOW + MINUTE), sync_id=52))
    for receiver, state in (("growth", DeliveryState.DELIVERED), ("pipeline", DeliveryState.DEAD)):
        first, second, *_ = await store.delivering.pending(receiver, 0, 9)
        await store.delivering.settle(a_settlement(first, state))
        if receiver == "growth":
            await store.delivering.settle(a_settlement(second, state))
    incidents = (
        an_incident(1, Check.FAILING),
        an_incident(2, Check.FAILING),
        an_incident(3, Check.STALE),
        an_incident(4, Check.SLOW_RUN, resolved_at=NOW + timedelta(hours=1)),
    )
    await store.watching.record(an_observation(incidents=incidents))
    assert await store.backlog() == Backlog(
        pending={"growth": 1, "pipeline": 1},
        oldest={"growth": NOW + MINUTE, "pipeline": NOW},
        dead={"pipeline": 1},
        incidents={("main", Check.FAILING): 2, ("main", Check.STALE): 1},
    )


@pytest.mark.asyncio
async def test_counting_the_backlog_reads_partial_indexes_and_no_whole_table(store: Store) -> None:
    for statement, index in (
        (sql.WAITING, "ix_deliveries_pending"),
        (sql.DEAD, "ix_deliveries_dead"),
        (sql.OPEN_INCIDENTS, "uq_incidents_open"),
    ):
        plan = rows(store.place, f"EXPLAIN QUERY PLAN {statement}")
        scans = [step for *_, step in plan if step.startswith("SCAN") and step != "SCAN anon_1"]
        assert [index in scan for scan in scans] == [True], plan


# --- several workers ---


@pytest.mark.asyncio
async def test_who_has_what_is_shown_where_there_may_be_several_and_how_many_by_one_of_them() -> None:
    async def no_backlog() -> Backlog:
        return Backlog({}, {}, {}, {})

    async def shown(shared: SharedGauges | None) -> tuple[Series, Series]:
        metrics = Metrics("1")
        await metrics.refresh(Sources(dict, dict, no_backlog, lambda: shared))
        return series(metrics, "part_held"), series(metrics, "replicas")

    assert await shown(None) == ({}, {})
    assert await shown(SharedGauges({"slack", "workspace:a b"}, None)) == ({"slack": 1.0, "workspace:a b": 1.0}, {})
    assert await shown(SharedGauges({"upkeep"}, 3)) == ({"upkeep": 1.0}, {"": 3.0})
    assert await shown(SharedGauges({"slack"}, None, {"upkeep"})) == ({"slack": 1.0, "upkeep": 0.0}, {})


@pytest.mark.asyncio
async def test_who_has_no_place_says_that_it_has_no_part_lest_all_are_silent_while_the_database_is_away() -> None:
    watchlist = Watchlist(
        version=1,
        workspaces={"a": Workspace(api_key=SecretStr("canary-api-key"))},
        watches=(a_watch_of_all(workspace="a"),),
        receivers={"hook": a_webhook()},
    )
    metrics = Metrics("1")
    resources = SimpleNamespace(metrics=metrics, store=SimpleNamespace(place=None))
    liveness = SimpleNamespace(ailment=None)
    facts = facts_standing_by(*cast(Any, (resources, watchlist, liveness, lambda: None)))
    await facts.exposition()
    assert series(metrics, "part_held") == {"upkeep": 0.0, "webhook:hook": 0.0, "workspace:a": 0.0}
