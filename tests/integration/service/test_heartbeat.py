"""Heartbeats against a real server: when they are sent, what is made of the answers, and what is said of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from structlog.testing import capture_logs

import notifier
from notifier.model.errors import ProxyUnusable
from notifier.service.heartbeat import open_heartbeat
from notifier.simulator import WebhookSink
from notifier.watchlist.models import HeartbeatSettings
from tests.integration.watching.kit import LoopClock, lines, until

FAILED = "heartbeat can't be sent"
AGAIN = "heartbeat is sent again"
HELD_BACK = "heartbeat is held back: not all is well"
GOES_ON = "heartbeat goes on: all is well"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


class Ward:
    """A sink, and what the heartbeat is told of the worker."""

    def __init__(self, url: str, sink: WebhookSink) -> None:
        self.url = url
        self.sink = sink
        self.trouble: str | None = None

    @asynccontextmanager
    async def beating(self, *, url: str = "", every: float = 0.02) -> AsyncIterator[None]:
        settings = HeartbeatSettings(url=SecretStr(url or f"{self.url}/ping/canary"), every=timedelta(seconds=every))
        async with open_heartbeat(settings) as heartbeat:
            running = asyncio.create_task(heartbeat.run(lambda: self.trouble))
            try:
                yield
            finally:
                assert not running.done()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture
async def ward() -> AsyncIterator[Ward]:
    sink = WebhookSink()
    async with sink.serve() as url:
        yield Ward(url, sink)


@pytest.mark.asyncio
async def test_while_all_is_well_the_address_is_asked_for_again_and_again(ward: Ward, logs: list[Any]) -> None:
    async with ward.beating():
        pings = await ward.sink.wait_for(3)
    assert {(ping.method, ping.path, ping.body) for ping in pings} == {("GET", "/ping/canary", b"")}
    assert pings[0].headers["User-Agent"] == f"census-notifier/{notifier.__version__}"
    assert ward.sink.connections == 1
    assert logs == []


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_the_pause_is_the_one_of_the_watchlist(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LoopClock(monkeypatch)
    async with ward.beating(every=60):
        await until(lambda: len(ward.sink.accepted) == 1)
        await clock.advance(59.9)
        assert ward.sink.request_count == 1
        await clock.advance(0.2)
        await until(lambda: len(ward.sink.accepted) == 2)


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_while_not_all_is_well_nothing_is_sent_and_the_log_says_why_once_a_ping_is_missing(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    clock = LoopClock(monkeypatch)
    async with ward.beating(every=60):
        await until(lambda: len(ward.sink.accepted) == 1)
        ward.trouble = "the database takes no writes"
        await clock.advance(61)
        assert logs == []
        for _ in range(5):
            await clock.advance(60)
        assert ward.sink.request_count == 1
        assert lines(logs, HELD_BACK) == [
            {"event": HELD_BACK, "log_level": "warning", "reason": "the database takes no writes"}
        ]
        ward.trouble = None
        await clock.advance(1.1)
        await until(lambda: len(ward.sink.accepted) == 2)
        assert len(lines(logs, GOES_ON)) == 1


@pytest.mark.asyncio
async def test_a_ping_that_fails_is_told_once_until_one_is_taken_again(ward: Ward, logs: list[Any]) -> None:
    failing = ward.sink.answer(503)
    async with ward.beating():
        await ward.sink.wait_for(4)
        failing.clear()
        await until(lambda: bool(lines(logs, AGAIN)))
        ward.sink.answer(404)
        await until(lambda: len(lines(logs, FAILED)) == 2)
    assert [line["event"] for line in logs] == [FAILED, AGAIN, FAILED]
    assert [line.get("error") for line in logs] == ["HTTP 503 Service Unavailable", None, "HTTP 404 Not Found"]
    assert "canary" not in repr(logs)


@pytest.mark.asyncio
async def test_a_redirect_is_not_followed(ward: Ward, logs: list[Any]) -> None:
    ward.sink.answer(302, headers={"Location": f"{ward.url}/elsewhere"})
    async with ward.beating():
        pings = await ward.sink.wait_for(2)
    assert {ping.path for ping in pings} == {"/ping/canary"}
    assert logs[0]["error"] == "HTTP 302 Found: redirects are not followed"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://169.254.169.254/canary", "no connection: link-local and multicast addresses are refused"),
        ("http://127.0.0.1:1/canary", "no connection: connection refused"),
    ],
)
async def test_where_nobody_can_be_reached_that_is_told_without_the_address(
    ward: Ward, logs: list[Any], url: str, error: str
) -> None:
    async with ward.beating(url=url):
        await until(lambda: bool(logs))
    assert [line["error"] for line in logs] == [error]
    assert "canary" not in repr(logs)


@pytest.mark.asyncio
async def test_a_status_of_200_is_enough_whatever_the_rest_of_the_answer_is(ward: Ward, logs: list[Any]) -> None:
    for body, encoding in ((b"x" * 65_537, "identity"), (b"no gzip", "gzip"), (b"", "br")):
        ward.sink.answer(200, body=body, headers={"Content-Encoding": encoding})
        async with ward.beating():
            await ward.sink.wait_for(len(ward.sink.received) + 2)
    assert logs == []


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_an_address_that_never_answers_is_given_up_after_ten_seconds(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    clock = LoopClock(monkeypatch)
    ward.sink.hang()
    async with ward.beating(every=60):
        await ward.sink.wait_for(1)
        await clock.advance(11)
        await until(lambda: bool(logs))
    assert logs[0]["error"] == "no answer in time"


@pytest.mark.asyncio
async def test_the_environments_proxy_is_used_and_one_that_is_none_is_an_error(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", ward.url)
    async with ward.beating(url="http://hc.example.com/ping/canary"):
        (ping, *_) = await ward.sink.wait_for(1)
    assert ping.headers["Host"] == "hc.example.com"
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy")
    with pytest.raises(ProxyUnusable):
        async with ward.beating(url="http://hc.example.com/ping/canary"):
            pass
