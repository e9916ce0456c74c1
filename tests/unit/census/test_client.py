"""The Census client: what it asks, what it makes of each answer, and the gate that all its requests pass."""

import asyncio
import gzip
import json
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest.mock import Mock

import aiohttp
import pytest
import pytest_asyncio
from aioresponses import aioresponses
from aioresponses.compat import normalize_url
from yarl import URL

from notifier.census.client import CensusClient, Gate
from notifier.census.v1 import V1
from notifier.http.client import USER_AGENT
from notifier.model.errors import CensusError, NotFound, Throttled, Unauthorized, Unreachable, Unusable
from notifier.model.meters import NO_WORKSPACE_METER, WorkspaceMeter

BASE: Final = "https://app.getcensus.com/api/v1"
KEY: Final = "secret-token-of-the-test"
RUN: Final = {"id": 93, "sync_id": 52, "status": "failed"}


class AnswerOfToday(aiohttp.ClientResponse):
    """aioresponses 0.7.9 leaves out an argument that aiohttp 3.14 asks for; drop this when the fix of its issue 289 is
    released."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, stream_writer=Mock(output_size=0), **kwargs)


class Api:
    """A mocked API and clients of it."""

    def __init__(self, session: aiohttp.ClientSession, mocked: aioresponses) -> None:
        self.session = session
        self.mocked = mocked

    def answers(self, path: str, **answer: Any) -> None:
        """The next request for a path is answered so."""
        self.mocked.get(BASE + path, response_class=AnswerOfToday, **answer)

    def client(
        self,
        *,
        patient: bool = False,
        base_url: str = BASE,
        gate: Gate | None = None,
        meter: WorkspaceMeter = NO_WORKSPACE_METER,
    ) -> CensusClient:
        return CensusClient(self.session, V1(base_url, KEY), gate or Gate(1_000, 16), patient=patient, meter=meter)

    @property
    def asked(self) -> list[tuple[str, URL]]:
        return [asked for asked, calls in self.mocked.requests.items() for _ in calls]

    def call(self, path: str) -> dict[str, Any]:
        """How the only request for a path was made."""
        [call] = self.mocked.requests["GET", URL(BASE + path)]
        return dict(call.kwargs)


@asynccontextmanager
async def mocked_api() -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(headers={"User-Agent": USER_AGENT}, auto_decompress=False) as session:
        with aioresponses() as mocked:
            yield Api(session, mocked)


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    async with mocked_api() as given:
        yield given


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- what is asked ---


@pytest.mark.asyncio
async def test_runs_are_asked_for_newest_first_by_page(api: Api) -> None:
    path = "/syncs/52/sync_runs?page=3&per_page=5&order=desc"
    api.answers(path, body=b"undecoded", headers={"Date": "Mon, 23 Nov 2026 10:15:30 GMT"})
    answer = await api.client().runs(52, page=3, per_page=5)
    assert answer.body == b"undecoded"
    assert answer.date == datetime(2026, 11, 23, 10, 15, 30, tzinfo=UTC)
    assert api.asked == [("GET", normalize_url(BASE + path))]


@pytest.mark.asyncio
async def test_syncs_are_asked_for_oldest_first_a_hundred_at_a_time(api: Api) -> None:
    path = "/syncs?page=2&per_page=100&order=asc"
    api.answers(path, payload={"data": [{"id": 52, "label": "L"}], "pagination": {"next_page": None}})
    answer = await api.client().syncs(page=2)
    page, date = V1("", "").syncs_page(answer.body, 2), answer.date
    assert ([(sync.id, sync.label) for sync in page.syncs], page.paging.more, date) == ([(52, "L")], False, None)
    assert api.asked == [("GET", normalize_url(BASE + path))]


@pytest.mark.asyncio
async def test_one_run_is_asked_for_by_its_id(api: Api) -> None:
    api.answers("/sync_runs/93", payload={"status": "success", "data": RUN})
    run, _ = await api.client().run(93)
    assert (run.id, run.sync_id, run.watched.status) == (93, 52, "failed")


@pytest.mark.asyncio
@pytest.mark.parametrize("base_url", [BASE, BASE + "/"])
async def test_a_slash_at_the_end_of_the_address_does_no_harm(api: Api, base_url: str) -> None:
    api.answers("/sync_runs/93", payload={"data": RUN})
    await api.client(base_url=base_url).run(93)
    assert api.asked == [("GET", URL(BASE + "/sync_runs/93"))]


@pytest.mark.asyncio
async def test_a_request_bears_the_key_and_says_what_it_takes(api: Api) -> None:
    api.answers("/sync_runs/93", payload={"data": RUN})
    await api.client().run(93)
    call = api.call("/sync_runs/93")
    assert dict(call["headers"]) == {
        "Authorization": f"Bearer {KEY}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": USER_AGENT,
    }
    assert call["allow_redirects"] is False
    assert call["proxy"] is None


@pytest.mark.asyncio
async def test_a_proxy_of_the_environment_is_used(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    api.answers("/sync_runs/93", payload={"data": RUN})
    await api.client().run(93)
    assert api.call("/sync_runs/93")["proxy"] == URL("http://proxy.example:3128")


# --- what comes back ---


@pytest.mark.asyncio
async def test_a_compressed_answer_is_read(api: Api) -> None:
    body = gzip.compress(json.dumps({"data": RUN}).encode())
    api.answers("/sync_runs/93", body=body, headers={"Content-Encoding": "gzip"})
    assert (await api.client().run(93))[0].id == 93


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, Unusable),
        (302, Unusable),
        (304, Unusable),
        (400, Unusable),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (408, Unreachable),
        (410, NotFound),
        (418, Unusable),
        (422, Unusable),
        (425, Unreachable),
        (429, Throttled),
        (500, Unreachable),
        (502, Unreachable),
        (503, Unreachable),
        (504, Unreachable),
        (599, Unreachable),
    ],
)
async def test_each_status_is_an_error_that_says_so_and_holds_no_secret(
    api: Api, status: int, error: type[CensusError]
) -> None:
    api.answers("/sync_runs/93", status=status, body=f"your key {KEY} is wrong")
    with pytest.raises(CensusError) as raised:
        await api.client().run(93)
    assert type(raised.value) is error
    assert KEY not in str(raised.value)
    assert KEY not in repr(raised.value)
    assert str(status) in str(raised.value) or error is Throttled


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(api: Api, status: int) -> None:
    api.answers("/sync_runs/93", status=status, headers={"Location": "https://evil.example/sync_runs/93"})
    api.mocked.get("https://evil.example/sync_runs/93", payload={"data": RUN}, response_class=AnswerOfToday)
    with pytest.raises(Unusable, match=r"redirects are not followed; .*check its region or base_url"):
        await api.client().run(93)
    assert api.asked == [("GET", URL(BASE + "/sync_runs/93"))]


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]", b'{"data":null}', b"\xff\xfe"])
async def test_an_answer_of_another_shape_is_unusable(api: Api, body: bytes) -> None:
    api.answers("/sync_runs/93", body=body)
    with pytest.raises(Unusable):
        await api.client().run(93)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "exception",
    [
        aiohttp.ClientConnectionError(f"refused {BASE}"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ServerTimeoutError(f"slow {BASE}"),
        TimeoutError(),
        aiohttp.ClientPayloadError(BASE),
        ConnectionResetError(BASE),
        aiohttp.InvalidURL(BASE),
    ],
)
async def test_no_answer_is_unreachable_and_names_no_address(api: Api, exception: Exception) -> None:
    api.answers("/sync_runs/93", exception=exception)
    with pytest.raises(Unreachable) as raised:
        await api.client().run(93)
    assert "getcensus" not in str(raised.value)
    assert KEY not in str(raised.value)


# --- 429 ---


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "100000"}, 3_600),  # an hour at most
        ({}, 30),  # where it does not say
        ({"Retry-After": "soon"}, 30),
        ({"Retry-After": "-5"}, 30),
        ({"Retry-After": "1.5"}, 30),
        ({"Retry-After": "Mon, 23 Nov 2020 10:15:30 GMT"}, 30),  # past
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3_600),
    ],
)
async def test_an_impatient_client_gives_a_throttled_request_up_and_shuts_the_gate(
    api: Api, headers: dict[str, str], seconds: float
) -> None:
    client = api.client(patient=False)
    api.answers("/sync_runs/93", status=429, headers=headers)
    with pytest.raises(Throttled) as raised:
        await client.run(93)
    assert raised.value.retry_after == timedelta(seconds=seconds)
    assert str(raised.value) == f"too many requests, asked to wait {seconds} s"
    assert seconds - 1 < round(client.gate.paused_for(), 6) <= seconds  # a float's last digit may be off


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (503, {"Retry-After": "7"}, 7),
        (503, {"Retry-After": "100000"}, 3_600),
        (503, {}, 0),
        (503, {"Retry-After": "soon"}, 0),
        (500, {"Retry-After": "7"}, 0),
    ],
)
async def test_a_503_that_asks_to_wait_shuts_the_gate(
    api: Api, status: int, headers: dict[str, str], seconds: float
) -> None:
    client = api.client()
    api.answers("/sync_runs/93", status=status, headers=headers)
    with pytest.raises(Unreachable) as raised:
        await client.run(93)
    assert raised.value.asks_to_wait is (seconds > 0)
    assert max(0, seconds - 1) <= round(client.gate.paused_for(), 6) <= seconds


@pytest.mark.asyncio
async def test_a_date_in_retry_after_is_waited_for(api: Api) -> None:
    client = api.client(patient=False)
    due = datetime.now(UTC) + timedelta(minutes=5)
    api.answers("/sync_runs/93", status=429, headers={"Retry-After": due.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    with pytest.raises(Throttled) as raised:
        await client.run(93)
    assert timedelta(minutes=4) < raised.value.retry_after <= timedelta(minutes=5)


# --- in virtual time: a loop whose clock jumps to the next timer, so that waiting takes no time ---


class JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: where no socket is ready, time goes on to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits and nothing will ever happen"
            self.now += max(timeout, 1e-6)  # or else a wait too short for a float would never end
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on the clock of its selector."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_virtual_time(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_patient_client_waits_a_429_out_and_asks_again() -> None:
    async def story() -> None:
        async with mocked_api() as api:
            client = api.client(patient=True)
            api.answers("/sync_runs/93", status=429, headers={"Retry-After": "7"})
            api.answers("/sync_runs/93", status=429)
            api.answers("/sync_runs/93", payload={"data": RUN})
            began = now()
            assert (await client.run(93))[0].id == 93
            assert now() - began == pytest.approx(37, abs=0.1)
            assert len(api.asked) == 3

    in_virtual_time(story)


def test_a_429_holds_all_requests_of_the_workspace() -> None:
    async def story() -> None:
        async with mocked_api() as api:
            gate = Gate(1_000, 16)
            api.answers("/sync_runs/1", status=429, headers={"Retry-After": "60"})
            with pytest.raises(Throttled):
                await api.client(gate=gate).run(1)
            began = now()
            with pytest.raises(Throttled, match="60 s"):  # an impatient client does not even ask
                await api.client(gate=gate).run(93)
            api.answers("/sync_runs/93", payload={"data": RUN})
            await api.client(gate=gate, patient=True).run(93)
            assert now() - began == pytest.approx(60, abs=0.1)
            assert gate.paused_for() == 0

    in_virtual_time(story)


# --- what is counted ---


class Counting(WorkspaceMeter):
    def __init__(self) -> None:
        self.heard: list[int | None] = []

    def request_ended(self, status: int | None) -> None:
        self.heard.append(status)


def test_each_429_that_a_patient_client_waits_out_is_counted_and_so_is_the_answer() -> None:
    async def story() -> None:
        async with mocked_api() as api:
            client = api.client(patient=True, meter=(counting := Counting()))
            api.answers("/sync_runs/93", status=429, headers={"Retry-After": "7"})
            api.answers("/sync_runs/93", status=429)
            api.answers("/sync_runs/93", payload={"data": RUN})
            await client.run(93)
            assert counting.heard == [429, 429, 200]

    in_virtual_time(story)


@pytest.mark.asyncio
async def test_a_request_without_an_answer_is_counted_as_one(api: Api) -> None:
    client = api.client(meter=(counting := Counting()))
    api.answers("/sync_runs/93", exception=aiohttp.ServerDisconnectedError())
    with pytest.raises(Unreachable):
        await client.run(93)
    assert counting.heard == [None]


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_is_counted_once_by_its_status() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, aiohttp.ClientSession(auto_decompress=False) as session:
        counting = Counting()
        with pytest.raises(Unreachable):
            await CensusClient(session, V1(url, KEY), Gate(1_000, 16), meter=counting).run(93)
    assert counting.heard == [200]


# --- the gate ---


async def through(gate: Gate, passed: list[float], hold: Callable[[], Awaitable[None]] | None = None) -> None:
    async with gate.passage():
        passed.append(now())
        if hold is not None:
            await hold()


def busiest_second(times: list[float]) -> int:
    """The most entries of any second, begun by an entry."""
    return max(sum(1 for other in times if time <= other < time + 1 - 1e-6) for time in times)


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_no_more_requests_are_under_way_than_allowed(concurrency: int) -> None:
    async def story() -> None:
        gate, most, within = Gate(100_000, concurrency), 0, 0

        async def request() -> None:
            nonlocal most, within
            async with gate.passage():
                within += 1
                most = max(most, within)
                await asyncio.sleep(1)
                within -= 1

        async with asyncio.TaskGroup() as requests:
            for _ in range(50):
                requests.create_task(request())
        assert most == concurrency

    in_virtual_time(story)


def test_there_is_room_where_another_request_may_be_under_way_and_whoever_waits_for_it_takes_no_place() -> None:
    async def story() -> None:
        gate, passed, begun = Gate(100, 2), list[float](), now()
        await gate.room()
        async with asyncio.TaskGroup() as tasks:
            for hold in (3, 1):
                tasks.create_task(through(gate, passed, lambda hold=hold: asyncio.sleep(hold)))  # type: ignore[misc]
            await asyncio.sleep(0)
            assert gate.free == 0
            await gate.room()
            assert now() - begun == pytest.approx(1, abs=0.1)
            assert gate.free == 1
            with pytest.raises(KeyError):
                async with gate.passage():
                    raise KeyError
            assert gate.free == 1
        assert gate.free == 2

    in_virtual_time(story)


def test_whoever_waits_for_a_place_is_before_those_that_wait_until_there_is_room() -> None:
    """A page of a list of syncs waits for what is under way, and not for all polls that are due."""

    async def story() -> None:
        gate, passed, begun = Gate(100, 1), list[float](), now()

        async def poll() -> None:
            await gate.room()
            await through(gate, passed, lambda: asyncio.sleep(1))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(poll())
            await asyncio.sleep(0)
            page = tasks.create_task(through(gate, passed, lambda: asyncio.sleep(1)))
            given_up = asyncio.create_task(through(gate, passed, lambda: asyncio.sleep(1)))
            await asyncio.sleep(0)
            assert gate.free == -2
            given_up.cancel()
            await asyncio.wait([given_up])
            assert gate.free == -1
            for _ in range(5):
                tasks.create_task(poll())
            await page
            assert now() - begun == pytest.approx(2, abs=0.1)
        assert gate.free == 1

    in_virtual_time(story)


@pytest.mark.parametrize(("rate", "burst"), [(10.0, 10), (2.5, 3), (1.0, 1), (0.5, 1), (0.2, 1), (1_000.0, 1_000)])
def test_no_second_has_more_than_the_rate_beyond_one_burst(rate: float, burst: int) -> None:
    async def story() -> None:
        gate, passed, count = Gate(rate, 10_000), list[float](), burst + round(rate * 4)
        async with asyncio.TaskGroup() as requests:
            for _ in range(count):
                requests.create_task(through(gate, passed))
        assert len(passed) == count
        assert busiest_second(passed) <= burst + rate
        # and it is not slower than it needs to be: what is beyond the burst takes as long as the rate says
        assert passed[-1] - passed[0] <= (count - 1) / rate + 0.1

    in_virtual_time(story)


def test_a_pause_does_not_let_the_waiting_break_the_rate() -> None:
    """Those that wait in the gate when a pause ends must not go at once, on top of the burst of those after them."""

    async def story() -> None:
        gate, passed = Gate(10, 16), list[float]()
        gate.pause(timedelta(seconds=60))
        opened = now() + 60
        async with asyncio.TaskGroup() as requests:
            for _ in range(60):
                requests.create_task(through(gate, passed))
        assert passed[0] >= opened
        assert busiest_second(passed) <= 20

    in_virtual_time(story)


def test_a_pause_that_begins_while_requests_wait_for_the_rate_holds_them_too() -> None:
    async def story() -> None:
        gate, passed = Gate(1, 16), list[float]()
        async with asyncio.TaskGroup() as requests:
            for _ in range(5):
                requests.create_task(through(gate, passed))
            await asyncio.sleep(0.5)
            gate.pause(timedelta(seconds=60))
            opened = now() + 60
        assert len(passed) == 5
        assert all(time >= opened for time in passed[1:])
        assert busiest_second(passed) <= 2

    in_virtual_time(story)


def test_who_may_not_ask_any_more_asks_nothing_though_requests_wait_for_the_rate() -> None:
    """A process that stood still has all of its burst when it goes on; its workspace is another worker's by then."""

    async def story() -> None:
        trusted, passed = True, list[float]()
        gate = Gate(5, 16, lambda: trusted)
        async with asyncio.TaskGroup() as requests:
            for _ in range(12):
                requests.create_task(through(gate, passed))
            await asyncio.sleep(0.1)
            before, trusted = len(passed), False
            await asyncio.sleep(60)
            assert len(passed) == before == 5
            trusted = True
        assert len(passed) == 12
        assert busiest_second(passed) <= 10

    in_virtual_time(story)


def test_a_pause_is_never_shortened_and_may_grow_while_it_is_waited_out() -> None:
    async def story() -> None:
        gate, passed = Gate(10, 16), list[float]()
        began = now()
        gate.pause(timedelta(seconds=60))
        gate.pause(timedelta(seconds=5))
        assert gate.paused_for() == pytest.approx(60)
        async with asyncio.TaskGroup() as requests:
            requests.create_task(through(gate, passed))
            await asyncio.sleep(30)
            gate.pause(timedelta(seconds=60))
        assert passed == [pytest.approx(began + 90)]

    in_virtual_time(story)


def test_a_request_that_is_given_up_gives_its_place_back() -> None:
    async def story() -> None:
        gate, passed = Gate(1_000, 1), list[float]()
        gate.pause(timedelta(seconds=60))
        waiting = asyncio.create_task(through(gate, passed))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await through(gate, passed)
        assert len(passed) == 1

    in_virtual_time(story)
