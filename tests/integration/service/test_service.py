"""What `service` and `worker` wire together: the whole worker in this process, on a real file, an API and a sink."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from structlog.testing import capture_logs

from notifier.model.errors import DatabaseUnusable
from notifier.model.event import Event
from notifier.service import loops
from notifier.service import run as service
from notifier.service.ending import HARD_END
from notifier.service.reload import Reloads
from notifier.service.resources import open_resources
from notifier.service.round import run_once
from notifier.service.worker import Worker, open_worker
from notifier.simulator import SimulatorThread, Status
from notifier.store.sql import schema
from notifier.store.sqlite.engine import engine_for
from notifier.store.store import Store, open_store
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from notifier.watchlist.reading.load import load_watchlist
from notifier.watchlist.reading.source import WatchlistFile
from tests.acceptance.workplace import Workplace
from tests.databases import new_database
from tests.integration.store.builders import a_snapshot, an_event, an_observation
from tests.integration.watching.kit import lines, rows, running, until

DAY = timedelta(days=1)
SOON = timedelta(milliseconds=20)
UNREACHABLE_AFTER_1_S = "{failing: false, rejected_records: false, reminders: false, unreachable: {after: 1s}}"
RELOADED = "watchlist reloaded"
UNCHANGED = "watchlist was read again: nothing changes"


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as simulated:
        yield simulated


@pytest.fixture
def workplace(tmp_path: Path, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.chdir(tmp_path)
    simulator.add_sync(id=52)
    return Workplace(tmp_path, simulator)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The watchlist's, of the newest schema and empty."""
    path = tmp_path / "n.db"
    new_database(path)
    return path


class Served:
    """A service that runs: tell it to `stop`, or to look at its watchlist (`reloads.ask`)."""

    def __init__(self, workplace: Workplace) -> None:
        source = WatchlistFile(workplace.directory / "watchlist.yaml", workplace.environment)
        watchlist = source.load()
        self.stop = asyncio.Event()
        self.ended_by_itself = 0
        self.reloads = Reloads(source, watchlist, every=60)
        self.over = asyncio.create_task(service.serve(watchlist, self.stop, self.reloads, self._ends))

    def _ends(self) -> None:
        self.ended_by_itself += 1


@asynccontextmanager
async def served(workplace: Workplace) -> AsyncIterator[Served]:
    """The service, from its start to its orderly end."""
    worker = Served(workplace)
    try:
        yield worker
    finally:
        worker.stop.set()
        await worker.over


def events_of(database: Path) -> list[str]:
    return [event_id for (event_id,) in rows(database, "SELECT id FROM events ORDER BY id")]


def an_event_of(age: timedelta, name: str) -> Event:
    return an_event(name, workspace="production", seen_at=datetime.now(UTC) - age)


async def record(database: Path, *events: Event) -> None:
    """Events that nobody was to hear of, from a worker before."""
    async with open_store(database) as store:
        await store.watching.record(an_observation(*events, workspace="production"))


def add_as_another_process(database: Path, event: Event) -> None:
    """As `record`, beside a worker that runs."""
    row = {name: getattr(event, name) for name in ("id", "type", "workspace", "sync_id", "run_id", "seen_at", "body")}
    engine = engine_for(database, "command")
    with engine.begin() as connection:
        connection.execute(insert(schema.events), row)
    engine.dispose()


# --- retention ---


@pytest.mark.asyncio
async def test_what_is_older_than_retention_goes_at_a_start_and_nothing_else(
    workplace: Workplace, database: Path
) -> None:
    workplace.write_watchlist(rest="retention: 7d")
    await record(database, an_event_of(8 * DAY, "old"), an_event_of(6 * DAY, "young"))
    async with served(workplace):
        await until(lambda: events_of(database) == ["young"])


@pytest.mark.asyncio
async def test_retention_is_looked_after_again_while_the_worker_runs(
    workplace: Workplace, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "PRUNE_EVERY", SOON)
    done, prune = [], Store.prune

    async def pruned(store: Store, *given: Any, **named: Any) -> None:
        await prune(store, *given, **named)
        done.append(given)

    monkeypatch.setattr(Store, "prune", pruned)
    workplace.write_watchlist(rest="retention: 7d")
    async with served(workplace):
        await until(lambda: len(done) > 0)
        add_as_another_process(database, an_event_of(8 * DAY, "old"))
        await until(lambda: events_of(database) == [])


@pytest.mark.asyncio
async def test_a_shorter_retention_takes_effect_with_a_reload(workplace: Workplace, database: Path) -> None:
    workplace.write_watchlist(rest="retention: 9d")
    await record(database, an_event_of(10 * DAY, "old"), an_event_of(8 * DAY, "middling"), an_event_of(DAY, "young"))
    async with served(workplace) as worker:
        await until(lambda: events_of(database) == ["middling", "young"])
        workplace.write_watchlist(rest="retention: 7d")
        worker.reloads.ask()
        await until(lambda: events_of(database) == ["young"])


@pytest.mark.asyncio
async def test_a_clock_that_has_leapt_since_the_worker_before_removes_nothing_early(
    workplace: Workplace, database: Path
) -> None:
    """Two months ago by the clock, a moment ago in truth: what was within retention then still is."""
    then = datetime.now(UTC) - 60 * DAY
    workplace.write_watchlist(rest="retention: 7d")
    await record(database, an_event_of(68 * DAY, "old"), an_event_of(66 * DAY, "young"))
    async with open_store(database) as store:
        await store.save_worker("1", then, then)
    async with served(workplace):
        await until(lambda: events_of(database) == ["young"])


# --- signs of life ---


class Progress:
    """Whether a time in the database goes on."""

    def __init__(self, database: Path, query: str) -> None:
        self._database = database
        self._query = query
        self._seen: set[int] = set()

    def is_made(self) -> bool:
        self._seen.update(moment for (moment,) in rows(self._database, self._query) if moment is not None)
        return len(self._seen) > 2


@pytest.mark.asyncio
async def test_the_database_knows_all_along_when_the_worker_and_its_workspace_were_seen_last(
    workplace: Workplace, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which `status` shows; a poll at rest writes nothing by itself."""
    monkeypatch.setattr(loops, "SIGN_OF_LIFE", SOON)
    async with served(workplace):
        for query in ("SELECT last_seen_at FROM worker", "SELECT last_polled_at FROM workspaces"):
            await until(Progress(database, query).is_made)


# --- the end ---


def states_of(database: Path) -> list[tuple[str, int]]:
    """Each delivery's state and attempts, the oldest first."""
    found = read_deliveries(database, DeliveryFilter(), 99)
    return [(delivery.state, delivery.attempts) for delivery in reversed(found)]


async def until_watching(workplace: Workplace) -> None:
    """Until the sync has its baseline."""
    await until(lambda: rows(workplace.directory / "n.db", "SELECT 1 FROM syncs WHERE marked") != [])


@pytest.mark.asyncio
async def test_an_attempt_under_way_at_the_end_is_waited_for_and_no_other_begins(
    workplace: Workplace, simulator: SimulatorThread, database: Path
) -> None:
    simulator.sink.answer(delay=1.0)
    async with served(workplace) as worker:
        await until_watching(workplace)
        for run_id in (1, 2):
            simulator.add_run(52, id=run_id, status="failed")
        await until(lambda: len(simulator.sink.received) == 1 and len(states_of(database)) == 2)
        worker.stop.set()
    assert states_of(database) == [("delivered", 1), ("pending", 0)]
    assert len(simulator.sink.received) == 1
    assert worker.ended_by_itself == 0


@pytest.mark.asyncio
async def test_an_attempt_that_hangs_at_the_end_is_left_for_the_next_start(
    workplace: Workplace, simulator: SimulatorThread, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loops.GRACE < HARD_END - 1  # there is time left to keep outcomes and to close
    monkeypatch.setattr(loops, "GRACE", 0.05)
    hanging = simulator.sink.hang()
    async with served(workplace):
        await until_watching(workplace)
        simulator.add_run(52, id=1, status="failed")
        await until(lambda: len(simulator.sink.received) == 1)
    assert states_of(database) == [("pending", 0)]
    hanging.clear()
    async with served(workplace):
        await until(lambda: states_of(database) == [("delivered", 1)])


@pytest.mark.asyncio
async def test_a_worker_that_a_loop_of_its_own_ends_says_why_and_has_no_more_time_than_one_that_is_told_to(
    workplace: Workplace, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "STORE_CHECK", SOON)
    worker = Served(workplace)
    await until_watching(workplace)
    database.unlink()
    with pytest.raises(DatabaseUnusable, match="was deleted or replaced"):
        await asyncio.wait_for(worker.over, 20)
    assert worker.ended_by_itself == 1


# --- what is said at a start, and at a reload ---


LOUD = "a Slack receiver would get queued or working of more than 10 syncs; name its events in a route"
DEAF = "a workspace has a lifecycle_webhook, and no server to take it; set server.listen"
SHORT = "a secret that strangers may try has less than 16 characters; take a longer one"
ENDS = "a workspace is read by a version of the Census API that Census ends"
NEVER = "a route names checks but no event of an incident, so that it never applies"
PASSED_OVER = "a route never applies: incidents of a workspace go to routes without syncs and labels, which there are"
DOUBTFUL = {
    "receivers": "loud: {type: slack_webhook, url: 'http://127.0.0.1:1/services/T/B/x'}",
    "workspace": "lifecycle_webhook: {secret: x}",
    "rest": """
routes:
- {receivers: [loud]}
- {events: [sync_run.failed], checks: [failing], receivers: [loud]}
- {checks: [unreachable], syncs: [52], receivers: [loud]}
""",
}


@pytest.mark.asyncio
@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("how", ["start", "reload"])
async def test_what_its_author_may_not_have_meant_is_warned_of_at_a_start_and_at_a_reload(
    workplace: Workplace, how: str
) -> None:
    if how == "start":
        workplace.write_watchlist(**DOUBTFUL)
    with capture_logs() as logs:
        async with served(workplace) as worker:
            await until_watching(workplace)
            if how == "reload":
                assert [line["event"] for line in logs if line["log_level"] == "warning"] == [ENDS]
                logs.clear()
                workplace.write_watchlist(**DOUBTFUL)
                worker.reloads.ask()
                await until(lambda: lines(logs, RELOADED) != [])
    found = [
        (line["event"], line.get("receiver") or line.get("workspace") or line.get("secret") or line.get("route"))
        for line in logs
        if line["log_level"] == "warning"
    ]
    short = (SHORT, "workspaces.production.lifecycle_webhook.secret")
    routes = (NEVER, "routes[1]"), (PASSED_OVER, "routes[2]")
    assert found == [(LOUD, "loud"), (DEAF, "production"), short, *routes, (ENDS, "production")]


@pytest.mark.asyncio
@pytest.mark.usefixtures("database")
async def test_a_switch_of_the_apis_version_by_reload_is_not_warned_of_and_the_way_back_is(
    workplace: Workplace,
) -> None:
    watchlist = workplace.directory / "watchlist.yaml"
    old, workplace.environment["TOKEN"] = watchlist.read_text(), workplace.simulator.token
    new = old.replace("api_key: ${API_KEY}", "token: ${TOKEN}").replace("/v1", "/v2")
    warned = []
    with capture_logs() as logs:
        async with served(workplace) as worker:
            await until_watching(workplace)
            warned.append(len(lines(logs, ENDS)))
            for content in (new, old):
                watchlist.write_text(content)
                worker.reloads.ask()
                await until(lambda: len(lines(logs, RELOADED)) == len(warned))
                warned.append(len(lines(logs, ENDS)))
    assert warned == [1, 1, 2]
    assert lines(logs, "notifier started") == logs[:1]


@pytest.mark.asyncio
@pytest.mark.usefixtures("database")
async def test_one_round_warns_too(workplace: Workplace) -> None:
    with capture_logs() as logs:
        await run_once(WatchlistFile(workplace.directory / "watchlist.yaml", workplace.environment).load())
    assert [line["workspace"] for line in lines(logs, ENDS)] == ["production"]


# --- reloads ---


WRONG = "the changed watchlist is wrong; the one in force stays"


@pytest.mark.asyncio
@pytest.mark.usefixtures("database")
async def test_a_watchlist_that_fails_by_a_fault_of_ours_changes_nothing_and_the_next_one_is_taken(
    workplace: Workplace, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError("a fault of ours")

    with capture_logs() as logs:
        async with served(workplace) as worker:
            await until_watching(workplace)
            with monkeypatch.context() as broken:
                broken.setattr("notifier.service.worker.client_of", fails)  # which a rehearsal calls
                workplace.write_watchlist(rest="retention: 7d")
                worker.reloads.ask()
                await until(lambda: lines(logs, WRONG) != [])
                assert worker.reloads.problem == "a fault of the notifier; see its log"
                simulator.add_run(52, id=1, status="failed")
                await until(lambda: len(simulator.sink.accepted) == 1)

            worker.reloads.ask()
            await until(lambda: lines(logs, RELOADED) != [])
            assert worker.reloads.problem is None
    (told,) = [line for line in logs if line.get("exc_info")]
    assert told["event"] == "a changed watchlist can't be used by a fault of the notifier; please report it"


@pytest.mark.asyncio
@pytest.mark.usefixtures("database")
async def test_a_watchlist_that_is_changed_and_changed_back_takes_effect_both_times(workplace: Workplace) -> None:
    with capture_logs() as logs:
        async with served(workplace) as worker:
            await until_watching(workplace)
            for turn, retention in enumerate(("retention: 7d", "", "retention: 7d"), start=1):
                workplace.write_watchlist(rest=retention)
                worker.reloads.ask()
                await until(lambda: len(lines(logs, RELOADED)) == turn)  # noqa: B023 - awaited at once
            worker.reloads.ask()
            await until(lambda: lines(logs, UNCHANGED) != [])
    assert len(lines(logs, RELOADED)) == 3


@pytest.mark.asyncio
@pytest.mark.usefixtures("database")
async def test_a_change_of_the_database_waits_for_a_restart_and_is_said_at_each_reload_until_then(
    workplace: Workplace,
) -> None:
    path = workplace.directory / "watchlist.yaml"
    elsewhere = path.read_text().replace("sqlite:///n.db", "sqlite:///elsewhere.db")
    with capture_logs() as logs:
        async with served(workplace) as worker:
            await until_watching(workplace)
            path.write_text(elsewhere)
            worker.reloads.ask()
            await until(lambda: lines(logs, UNCHANGED) != [])
            path.write_text(f"{elsewhere}retention: 7d\n")
            worker.reloads.ask()
            await until(lambda: lines(logs, RELOADED) != [])
    assert [line["in_force"] for line in lines(logs, "a change of database takes effect with a restart")] == [
        "n.db"
    ] * 2
    assert not (workplace.directory / "elsewhere.db").exists()


@pytest.mark.asyncio
async def test_a_workspace_that_leaves_the_watchlist_is_forgotten_and_its_incident_ends(
    workplace: Workplace, simulator: SimulatorThread, database: Path
) -> None:
    workplace.write_watchlist(checks=UNREACHABLE_AFTER_1_S)
    path = workplace.directory / "watchlist.yaml"
    simulator.fault(Status(500))
    async with served(workplace) as worker:
        await until(lambda: len(simulator.sink.accepted) == 1)
        path.write_text(path.read_text().replace("  production:\n", "  renamed:\n"))
        worker.reloads.ask()
        await until(lambda: rows(database, "SELECT name FROM workspaces") == [("renamed",)])
        await until(lambda: len(simulator.sink.accepted) >= 2)
    told = [json.loads(webhook.body) for webhook in simulator.sink.accepted]
    found = {(body["data"]["workspace"], body["type"], body["data"]["incident"]["reason"]) for body in told}
    assert {("production", "incident.opened", None), ("production", "incident.resolved", "unwatched")} <= found


# --- what each part is given ---


@asynccontextmanager
async def opened(workplace: Workplace) -> AsyncIterator[Worker]:
    """The worker's parts, none of which runs."""
    watchlist = load_watchlist(workplace.directory / "watchlist.yaml", workplace.environment)
    async with open_resources(watchlist.database_place) as resources, open_worker(resources, watchlist) as worker:
        yield worker


@pytest.mark.asyncio
async def test_what_retention_forgets_is_below_the_floor_of_the_watcher_too(workplace: Workplace) -> None:
    """It holds the mark in memory: what retention removes would be news to it."""
    old = datetime.now(UTC) - 60 * DAY
    async with opened(workplace) as worker, running(worker.watchers[0].run()):
        await until(lambda: any(target.mark is not None for target in worker.watchers[0].watched()))
        snapshots = tuple(
            a_snapshot(number, "completed", created_at=old + timedelta(seconds=number), updated_at=old, changed_at=old)
            for number in range(1, 102)  # of which the newest hundred stay
        )
        await worker.store.watching.record(an_observation(workspace="production", snapshots=snapshots))
        (target,) = worker.watchers[0].watched()
        assert target.mark is not None
        target.known = replace(target.known, mark=replace(target.mark, floor=old))
        await worker.prune()
        assert target.mark.floor is not None
        assert target.mark.floor > old + timedelta(seconds=1)


@pytest.mark.asyncio
async def test_the_check_of_the_workspace_is_the_watchlists(
    workplace: Workplace, simulator: SimulatorThread, database: Path
) -> None:
    workplace.write_watchlist(checks=UNREACHABLE_AFTER_1_S)
    async with served(workplace):
        await until_watching(workplace)
        simulator.fault(Status(500))
        await until(lambda: len(simulator.sink.accepted) == 1)
    (told,) = simulator.sink.accepted
    assert json.loads(told.body)["type"] == "incident.opened"


@pytest.mark.asyncio
async def test_a_run_is_not_taken_for_gone_while_the_list_of_syncs_can_not_be_read(workplace: Workplace) -> None:
    """What that means for runs is in test_absence.py; here, that the observer hears of the list."""
    async with opened(workplace) as worker:
        (watcher,) = worker.watchers
        assert watcher._attempts._observer._is_listed()
        await watcher.health.unlisted_by("HTTP 500")
        assert not watcher._attempts._observer._is_listed()


SLOW = "workspace asks to slow down; its requests wait"


@pytest.mark.asyncio
@pytest.mark.usefixtures("database")
async def test_a_worker_waits_a_429_out_and_takes_the_workspace_for_none_the_worse(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    with capture_logs() as logs:
        async with served(workplace):
            await until_watching(workplace)
            simulator.fault(Status(429, headers={"Retry-After": "1"}), times=2)
            await until(lambda: lines(logs, SLOW) != [])
            simulator.add_run(52, id=1, status="failed")
            await until(lambda: len(simulator.sink.accepted) == 1)
    assert len(lines(logs, SLOW)) == 1
    assert not [line for line in logs if line["log_level"] == "error"]
