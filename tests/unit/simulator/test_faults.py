"""Faults, the sink's modes and the thread, seen from raw sockets and a plain client."""

import asyncio
import gzip
import http.client
import json
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from notifier.simulator import (
    Big,
    Body,
    CensusSimulator,
    Delay,
    Drip,
    GzipBomb,
    Hang,
    Redirect,
    Reset,
    SimulatorThread,
    Status,
    Transform,
    WebhookSink,
)


class Raw:
    """Asks once on a connection of its own and shows what comes back, byte by byte."""

    def __init__(self, simulator: CensusSimulator, base_url: str) -> None:
        self.simulator = simulator
        self.address = urlsplit(base_url)

    async def ask(self, path: str = "/syncs") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.address.hostname, self.address.port)
        writer.write(
            f"GET /api/v1{path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer simulated-key\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        return reader, writer

    async def answer(self, path: str = "/syncs") -> tuple[int, dict[str, str], bytes]:
        reader, writer = await self.ask(path)
        text = await reader.read()
        writer.close()
        head, _, body = text.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest_asyncio.fixture
async def raw() -> AsyncIterator[Raw]:
    simulator = CensusSimulator()
    simulator.add_sync(id=52)
    async with simulator.serve() as base_url:
        yield Raw(simulator, base_url)


@pytest.mark.asyncio
async def test_a_limited_fault_comes_first_and_then_the_newest_lasting_one(raw: Raw) -> None:
    raw.simulator.fault(Status(500))
    newest = raw.simulator.fault(Status(503, b"later", {"Retry-After": "9"}))
    raw.simulator.fault(Status(429), times=2)
    raw.simulator.fault(Status(418), times=1)
    assert [(await raw.answer())[0] for _ in range(4)] == [429, 429, 418, 503]
    assert (await raw.answer())[1]["Retry-After"] == "9"
    assert newest.hits == 2
    newest.clear()
    assert (await raw.answer())[0] == 500
    raw.simulator.clear_faults()
    assert (await raw.answer())[0] == 200


@pytest.mark.asyncio
async def test_a_fault_holds_for_its_paths_only(raw: Raw) -> None:
    raw.simulator.fault(Status(500), path="/syncs/52/*")
    assert (await raw.answer("/syncs/52/sync_runs?page=1"))[0] == 500
    assert (await raw.answer("/syncs/52"))[0] == 200


@pytest.mark.asyncio
async def test_a_reset_is_a_reset_and_not_an_orderly_end(raw: Raw) -> None:
    raw.simulator.fault(Reset())
    reader, writer = await raw.ask()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.asyncio
async def test_a_request_hangs_until_the_fault_is_cleared_and_is_then_answered(raw: Raw) -> None:
    handle = raw.simulator.fault(Hang(), times=1)
    waiting = asyncio.create_task(raw.answer())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    assert raw.simulator.open_requests == 1
    handle.clear()
    assert (await waiting)[0] == 200
    assert raw.simulator.max_open_requests == 1


@pytest.mark.asyncio
async def test_a_server_with_a_hanging_request_closes_promptly() -> None:
    simulator = CensusSimulator()
    handle = simulator.fault(Hang())
    async with asyncio.timeout(30):  # aiohttp alone would give the request a minute
        async with simulator.serve() as base_url:
            reader, writer = await Raw(simulator, base_url).ask()
            while not handle.hits:
                await asyncio.sleep(0)
    assert await reader.read() == b""
    writer.close()


@pytest.mark.asyncio
async def test_a_drip_sends_headers_and_then_bytes_without_end(raw: Raw) -> None:
    raw.simulator.fault(Drip(interval=0.001))
    reader, writer = await raw.ask()
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(60) == b"1\r\n \r\n" * 10
    writer.close()


@pytest.mark.asyncio
async def test_large_and_strange_bodies_are_what_they_claim_to_be(raw: Raw) -> None:
    raw.simulator.fault(GzipBomb(3_000_000), times=1)
    _, headers, packed = await raw.answer()
    assert headers["Content-Encoding"] == "gzip"
    assert len(packed) < 10_000
    assert len(gzip.decompress(packed)) == 3_000_000
    assert json.loads(gzip.decompress(packed))["status"] == "success"
    raw.simulator.fault(Big(1_000_000), times=1)
    assert len((await raw.answer())[2]) == 1_000_000
    raw.simulator.fault(Body(b"<html>", "text/html"), times=1)
    status, headers, body = await raw.answer()
    assert (status, headers["Content-Type"], body) == (200, "text/html", b"<html>")
    raw.simulator.fault(Redirect("http://elsewhere/", 307), times=1)
    status, headers, _ = await raw.answer()
    assert (status, headers["Location"]) == (307, "http://elsewhere/")


@pytest.mark.asyncio
async def test_delays_and_transforms_add_up(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    raw.simulator.fault(Delay(600))
    raw.simulator.fault(Transform(lambda answer: answer | {"data": []}))
    _, _, body = await raw.answer()
    assert pauses == [600]
    assert json.loads(body)["data"] == []


@pytest.mark.asyncio
async def test_requests_connections_and_their_number_are_recorded(raw: Raw) -> None:
    await raw.answer("/syncs?page=2&order=")
    [request] = raw.simulator.requests
    assert (request.method, request.path, dict(request.query)) == ("GET", "/syncs", {"page": "2", "order": ""})
    assert request.headers["authorization"] == "Bearer simulated-key"
    raw.simulator.record_requests = False
    await raw.answer()
    assert len(raw.simulator.requests) == 1
    assert (raw.simulator.request_count, raw.simulator.connections) == (2, 2)
    raw.simulator.forget_requests()
    assert (raw.simulator.requests, raw.simulator.request_count, raw.simulator.connections) == ([], 0, 0)


@pytest.mark.asyncio
async def test_the_sink_records_what_comes_and_answers_as_told() -> None:
    sink = WebhookSink()
    async with sink.serve() as url, aiohttp.ClientSession() as session:

        async def post(body: bytes, seconds: float = 10) -> int:
            timeout = aiohttp.ClientTimeout(total=seconds)
            async with session.post(
                f"{url}/hook", data=body, headers={"webhook-id": "e1"}, timeout=timeout
            ) as response:
                await response.read()
                return response.status

        sink.answer(500, times=1)
        sink.answer(202, path="/hook")
        assert [await post(b"1"), await post(b"2")] == [500, 202]
        sink.drop(times=1)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await post(b"3")
        sink.drip(times=1)
        with pytest.raises(TimeoutError):
            await post(b"4", seconds=0.2)
        sink.hang(times=1)
        with pytest.raises(TimeoutError):
            await post(b"5", seconds=0.2)
    assert [(r.body, r.status_answered) for r in sink.received] == [
        (b"1", 500),
        (b"2", 202),
        (b"3", None),
        (b"4", None),
        (b"5", None),
    ]
    assert [r.body for r in sink.accepted] == [b"2"]
    assert sink.received[0].headers["Webhook-ID"] == "e1"
    with pytest.raises(AssertionError, match=r"waited 0\.01 s for 6 webhooks; received 5:\n  1\. /hook -> 500: 1\n"):
        await sink.wait_for(6, timeout=0.01)


def test_the_thread_serves_a_blocking_test_and_shows_what_came_when_waiting_fails() -> None:
    with SimulatorThread(api_key="k") as census:
        census.add_sync(id=52)
        run_id = census.add_run(52)["id"]
        assert census.update_run(run_id, status="working")["status"] == "working"
        handle = census.fault(Status(503))
        assert _fetch("GET", f"{census.base_url}/syncs/52", key="k")[0] == 503
        handle.clear()
        status, body = _fetch("GET", f"{census.base_url}/syncs/52", key="k")
        assert (status, json.loads(body)["data"]["id"]) == (200, 52)
        assert _fetch("POST", f"{census.sink_url}/x", b"hello") == (200, b"")
        assert census.sink.wait_for(1)[0].body == b"hello"
        with pytest.raises(AssertionError, match="-> 200: hello"):
            census.sink.wait_for(lambda received: len(received) > 1, timeout=0.01)
        assert [recorded.path for recorded in census.requests] == ["/syncs/52", "/syncs/52"]
        port = urlsplit(census.base_url).port
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port or 0)):
        pass


def test_an_error_inside_the_thread_reaches_the_test() -> None:
    with SimulatorThread() as census, pytest.raises(LookupError, match="no sync run 1"):
        census.run(1)


def _fetch(method: str, url: str, body: bytes | None = None, *, key: str = "") -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request(method, parts.path, body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
