"""Several workers at one PostgreSQL server: who stands by, who takes over, and what becomes of what was under way."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from faults.line import Line
from notifier.model.errors import StoreUnavailable
from notifier.service import run as service
from notifier.service.reload import Reloads
from notifier.service.systemd import Systemd
from notifier.simulator import SimulatorThread
from notifier.store.sql.revision import revisions
from notifier.watchlist.reading.source import WatchlistFile
from notifier.web import socket as door
from tests.acceptance.workplace import Workplace
from tests.databases import postgres_template
from tests.integration.store.postgres.kit import change_at, rows_at, until
from tests.postgres.server import Postgres, name_of

pytestmark = pytest.mark.slow
HOOK = "lifecycle_webhook: {secret: a-secret-of-the-webhooks}"


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as simulated:
        simulated.add_sync(id=52)
        yield simulated


@pytest.fixture
def url(postgres_server: Postgres, database_from: Callable[[str], str]) -> str:
    return database_from(postgres_template(postgres_server))


@pytest.fixture
def line(postgres_server: Postgres) -> Iterator[Line]:
    with Line(postgres_server.port) as line:
        yield line


class Site:
    """A watchlist at a PostgreSQL server, and where its workers listen."""

    def __init__(self, directory: Path, simulator: SimulatorThread, url: str, tried: list[str]) -> None:
        self.workplace = Workplace(directory, simulator)
        self.addresses = tried
        self.workplace.environment["DATABASE"] = url
        self.write()

    def write(self, **given: str) -> None:
        self.workplace.write_watchlist(workspace=HOOK, rest="server: {listen: '127.0.0.1:0'}", **given)
        path = self.workplace.directory / "watchlist.yaml"
        path.write_text(path.read_text().replace("sqlite:///n.db", "${DATABASE}"))


@pytest.fixture
def site(tmp_path: Path, simulator: SimulatorThread, url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    addresses: list[str] = []
    listening = door.listening

    @asynccontextmanager
    async def told(*given: Any) -> AsyncIterator[Any]:
        async with listening(*given) as bound:
            addresses.append(str(bound))
            yield bound

    monkeypatch.setattr(door, "listening", told)
    return Site(tmp_path, simulator, url, addresses)


class Served:
    """A worker in this process."""

    def __init__(self, site: Site) -> None:
        source = WatchlistFile(site.workplace.directory / "watchlist.yaml", site.workplace.environment)
        watchlist = source.load()
        self.stop = asyncio.Event()
        self.reloads = Reloads(source, watchlist, every=60)
        self.over = asyncio.create_task(service.serve(watchlist, self.stop, self.reloads))
        self.address = ""

    async def end(self) -> None:
        self.stop.set()
        await self.over


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[Served]:
    """A worker from when it listens to its orderly end."""
    known = len(site.addresses)
    worker = Served(site)
    try:
        await until(lambda: len(site.addresses) > known or worker.over.done())
        worker.address = site.addresses[-1]
        yield worker
    finally:
        await worker.end()


def owner(url: str) -> str | None:
    return next((each for (each,) in rows_at(url, "SELECT owner FROM parts")), None)


def events(url: str) -> int:
    return int(rows_at(url, "SELECT count(*) FROM events")[0][0])


def is_watching(url: str) -> bool:
    """Whether the sync has its mark: what runs from now on is news."""
    return rows_at(url, "SELECT FROM syncs WHERE marked") != []


async def fetched(worker: Served, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{worker.address}{path}") as answer:
        return answer.status, await answer.text()


async def sent_webhook(worker: Served) -> int:
    body = json.dumps({"event": "sync_triggered", "data": {"sync_id": 52}}).encode()
    digest = hmac.new(b"a-secret-of-the-webhooks", body, hashlib.sha256).digest()
    headers = {"X-Signature": base64.b64encode(digest).decode()}
    address = f"http://{worker.address}/webhooks/census/production"
    async with aiohttp.ClientSession() as session, session.post(address, data=body, headers=headers) as answer:
        return answer.status


@asynccontextmanager
async def two(site: Site, url: str) -> AsyncIterator[tuple[Served, Served]]:
    """One that works, and one that stands by."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served(site))
        await until(lambda: is_watching(url))
        second = await stack.enter_async_context(served(site))
        await until(lambda: len(rows_at(url, "SELECT FROM replicas")) == 2)
        yield first, second


async def until_ready(worker: Served) -> None:
    while (await fetched(worker, "/readyz"))[0] != 200:
        await asyncio.sleep(0.02)


# --- standing by ---


@pytest.mark.asyncio
async def test_who_has_the_work_is_not_ready_before_it_has_polled(site: Site, url: str) -> None:
    async with served(site) as first:
        status, why = await fetched(first, "/readyz")
        assert (status, "not polled yet: production" in why) == (503, True)
        await until_ready(first)
        assert is_watching(url)


@pytest.mark.asyncio
async def test_who_watches_nothing_is_well_and_shows_what_all_can_see(site: Site, url: str) -> None:
    async with two(site, url) as (_, second):
        assert (await fetched(second, "/healthz"))[0] == 200
        await until_ready(second)
        status, shown = await fetched(second, "/metrics")
        assert status == 200
        assert "census_notifier_watched_syncs{" not in shown  # or the sum over the workers would be wrong
        assert await sent_webhook(second) in {202, 503}  # 503 until it has its place
        while await sent_webhook(second) != 202:
            await asyncio.sleep(0.02)
        status, page = await fetched(second, "/")
        assert status == 200
        for path in ("status", "syncs", "events", "incidents", "deliveries"):
            assert (await fetched(second, f"/api/{path}"))[0] == 200, path
        assert "canary" not in page + shown


@pytest.mark.asyncio
async def test_a_workspace_is_shown_alike_by_who_watches_it_and_by_who_does_not(site: Site, url: str) -> None:
    async with two(site, url) as both:
        await until(lambda: is_watching(url) and rows_at(url, "SELECT FROM listings"))
        for each in both:
            assert '<li id="s-production-52">' in (await fetched(each, "/"))[1]
            assert "is not watched" not in (await fetched(each, "/?sync=52"))[1]
        first, second = [await fetched(each, "/api/syncs") for each in both]
    assert first == second
    assert [(each["id"], each["watched"]) for each in json.loads(first[1])] == [(52, True)]


@pytest.mark.asyncio
async def test_who_stands_by_takes_over_when_the_other_ends_and_tells_what_is_news_once(
    site: Site, url: str, simulator: SimulatorThread
) -> None:
    async with two(site, url) as (first, second):
        before = owner(url)
        await first.end()
        await until(lambda: owner(url) not in (before, None))
        simulator.add_run(52, status="failed")
        await asyncio.to_thread(simulator.sink.wait_for, 1)
        assert events(url) == 1
        assert await sent_webhook(second) == 202
    assert len(simulator.sink.accepted) == 1
    assert rows_at(url, "SELECT FROM replicas") == []


@pytest.mark.asyncio
async def test_a_watchlist_that_changes_while_standing_by_is_the_one_that_is_worked_by_then(
    site: Site, url: str, simulator: SimulatorThread
) -> None:
    async with two(site, url) as (first, second):
        before = owner(url)
        site.write(receivers=site.workplace.hooks("another"))
        second.reloads.ask()
        await until(lambda: second.reloads._in_force != first.reloads._in_force)
        await first.end()
        await until(lambda: owner(url) not in (before, None))
        simulator.add_run(52, status="failed")
        [message] = await asyncio.to_thread(simulator.sink.wait_for, 1)
        assert message.path == "/another"


@pytest.mark.asyncio
async def test_systemd_is_told_that_who_stands_by_is_ready(
    site: Site, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Systemd, "tell", lambda _, state: said.append(state))
    change_at(url, "INSERT INTO replicas VALUES ('other', 'other', 1, '', '', '', 0, 0)")
    change_at(url, "INSERT INTO parts VALUES ('everything', 'other', 0)")
    async with served(site):
        await until(lambda: "READY=1" in said)
        assert owner(url) == "other"


@pytest.mark.asyncio
async def test_a_database_that_fails_just_when_the_work_is_taken_over_ends_nobody(
    site: Site, url: str, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorThread
) -> None:
    logged: list[int] = []

    async def fails(*_: object) -> None:
        logged.append(1)
        raise StoreUnavailable("the connection broke")

    monkeypatch.setattr(service, "log_work", fails)
    async with served(site):
        await until(lambda: logged)
        await until(lambda: is_watching(url))
        simulator.add_run(52, status="failed")
        await asyncio.to_thread(simulator.sink.wait_for, 1)


# --- the work is lost ---


@pytest.mark.asyncio
async def test_who_was_expelled_begins_anew_and_knows_what_others_did_meanwhile(
    site: Site, url: str, simulator: SimulatorThread
) -> None:
    async with served(site):
        await until(lambda: is_watching(url))
        before = owner(url)
        change_at(url, "DELETE FROM replicas")
        change_at(url, "UPDATE workspaces SET first_listed_at = 7")  # as another worker might
        await until(lambda: owner(url) not in (before, None))
        polled = simulator.request_count
        await until(lambda: simulator.request_count > polled)
        simulator.add_run(52, status="failed")
        await asyncio.to_thread(simulator.sink.wait_for, 1)
        assert rows_at(url, "SELECT first_listed_at FROM workspaces") == [(7,)]


@pytest.mark.asyncio
async def test_an_attempt_of_a_life_that_ended_leaves_nothing_in_the_database(
    site: Site, url: str, simulator: SimulatorThread
) -> None:
    """The message may have come: the next life, which can't know, sends it; but the outcome is its own."""
    async with served(site):
        await until(lambda: is_watching(url))
        simulator.sink.hang(times=1)
        simulator.add_run(52, status="failed")
        await until(lambda: simulator.sink.received)
        before = owner(url)
        change_at(url, "DELETE FROM replicas")
        await until(lambda: owner(url) not in (before, None))
        await asyncio.to_thread(simulator.sink.wait_for, 1)
        await until(lambda: rows_at(url, "SELECT state, attempts FROM deliveries") == [("delivered", 1)])


@pytest.mark.asyncio
async def test_a_line_that_is_away_for_longer_than_a_lease_ends_no_life_and_sends_nothing_twice(
    site: Site, url: str, postgres_server: Postgres, line: Line, simulator: SimulatorThread
) -> None:
    site.workplace.environment["DATABASE"] = postgres_server.url(name_of(url), line.port)
    async with served(site) as worker:
        await until(lambda: is_watching(url))
        life = owner(url)
        with capture_logs() as logs:
            line.cut()
            while (await fetched(worker, "/healthz"))[0] == 200:
                await asyncio.sleep(0.1)
            line.mend(lost=True)
            simulator.add_run(52, status="failed")
            await asyncio.to_thread(simulator.sink.wait_for, 1)
        assert owner(url) == life
        assert not [entry for entry in logs if entry["log_level"] == "critical"]
        await until(lambda: rows_at(url, "SELECT state FROM deliveries") == [("delivered",)])
    assert len(simulator.sink.accepted) == 1


# --- another version ---


NEWER = (
    "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
    "VALUES ('newer', 'newer', 1, '2', '9001', '', 0, 0)"
)


async def is_well(worker: Served) -> bool:
    return [(await fetched(worker, path))[0] for path in ("/healthz", "/readyz")] == [200, 200]


@pytest.mark.asyncio
async def test_who_gives_way_to_a_newer_version_is_well_and_goes_on_if_that_one_dies(
    site: Site, url: str, simulator: SimulatorThread
) -> None:
    async with served(site) as worker:
        await until(lambda: is_watching(url))
        change_at(url, NEWER)
        await until(lambda: owner(url) is None)
        async with asyncio.timeout(5):  # long before the newer one is missed
            while not await is_well(worker) or await sent_webhook(worker) != 503:
                await asyncio.sleep(0.02)
        change_at(url, "UPDATE alembic_version SET version_num = '9001'")
        status, page = await fetched(worker, "/api/status")
        assert status == 503
        why = {"error": "another version of the notifier does the work; this worker stands by"}
        assert json.loads(page) == why
        change_at(url, "UPDATE alembic_version SET version_num = %s", revisions()[-1])
        await until(lambda: owner(url) is not None)
        simulator.add_run(52, status="failed")
        await asyncio.to_thread(simulator.sink.wait_for, 1)
        assert await is_well(worker)
    assert rows_at(url, "SELECT name FROM replicas") == []


@pytest.mark.asyncio
async def test_who_has_given_all_away_for_a_newer_version_is_well_also_before_it_shows_that_it_stands_by(
    site: Site, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    about_to_show, go_on, show = asyncio.Event(), asyncio.Event(), service._Service._show

    async def slowly(*given: Any) -> None:
        about_to_show.set()
        await go_on.wait()
        await show(*given)

    async with served(site) as worker:
        await until_ready(worker)
        monkeypatch.setattr(service._Service, "_show", slowly)
        change_at(url, NEWER)
        await about_to_show.wait()
        was_well = await is_well(worker)
        go_on.set()
        assert was_well
        assert owner(url) is None
