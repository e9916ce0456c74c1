"""A receiver of webhooks, and of heartbeats, that records every POST and GET and answers as told.

Rules have the order that faults have: those with a number of times first, oldest first; then the newest lasting one;
then 200 with an empty body.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import assert_never

from aiohttp import web
from multidict import CIMultiDictProxy

from notifier.simulator import wire
from notifier.simulator.faults import Board, FaultHandle, Rule
from notifier.simulator.listener import Listener


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """A POST, or a heartbeat's GET, as it came in. `at` is time.monotonic() when its body was complete;
    `status_answered` is None as long as no answer went out, so for ever where the sink hangs, drops or drips."""

    at: float
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    status_answered: int | None
    method: str = "POST"

    @property
    def accepted(self) -> bool:
        """Whether it was answered 2xx."""
        return self.status_answered is not None and 200 <= self.status_answered < 300


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    delay: float


@dataclass(frozen=True, slots=True)
class _Silence:
    pass


@dataclass(frozen=True, slots=True)
class _Drop:
    pass


@dataclass(frozen=True, slots=True)
class _Drip:
    interval: float


_Behaviour = _Reply | _Silence | _Drop | _Drip

Wanted = int | Callable[[list[ReceivedWebhook]], bool]
"""What to wait for: at least so many webhooks, or a condition on those received."""


class WebhookSink(Listener):
    """A webhook endpoint on every path. Not for other threads: see SimulatorThread."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[ReceivedWebhook] = []
        self._rules: Board[_Behaviour] = Board()
        self._waiting: set[asyncio.Event] = set()

    @property
    def accepted(self) -> list[ReceivedWebhook]:
        """Those answered 2xx, in order of arrival."""
        return [webhook for webhook in self.received if webhook.accepted]

    def answer(
        self,
        status: int = 200,
        *,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        delay: float = 0.0,
        path: str = "*",
    ) -> FaultHandle:
        """Answers with this, so many times or until cleared."""
        return self._rules.hang(_Reply(status, dict(headers or {}), body, delay), path, times)

    def hang(self, *, times: int | None = None, path: str = "*") -> FaultHandle:
        """Takes the request and never answers; when cleared, what hangs is answered by the next rule."""
        return self._rules.hang(_Silence(), path, times)

    def drop(self, *, times: int | None = None, path: str = "*") -> FaultHandle:
        """Takes the body, then closes the connection without an answer."""
        return self._rules.hang(_Drop(), path, times)

    def drip(self, *, interval: float = 0.05, times: int | None = None, path: str = "*") -> FaultHandle:
        """Answers 200 and then one byte every `interval` seconds, without end."""
        return self._rules.hang(_Drip(interval), path, times)

    def reset(self) -> None:
        """Forgets what was received, the rules and the counters."""
        self.received = []
        self._rules.clear()
        self._rules = Board()
        self.reset_counters()

    async def wait_for(self, wanted: Wanted, timeout: float = 10.0) -> list[ReceivedWebhook]:
        """Waits until it holds; gives all that was received. Raises AssertionError that shows it otherwise."""
        happened = asyncio.Event()
        self._waiting.add(happened)
        try:
            async with asyncio.timeout(timeout):
                while not _holds(wanted, self.received):
                    await happened.wait()
                    happened.clear()
        except TimeoutError:
            raise AssertionError(
                f"waited {timeout:g} s for {_described(wanted)}; received {len(self.received)}:\n{self.described()}"
            ) from None
        finally:
            self._waiting.discard(happened)
        return list(self.received)

    def described(self) -> str:
        """What has been received, a line each, for a failing test."""
        lines = [
            f"  {number}. {webhook.path} -> {webhook.status_answered}: {webhook.body[:300].decode(errors='replace')}"
            for number, webhook in enumerate(self.received[-50:], start=max(len(self.received) - 49, 1))
        ]
        return "\n".join(lines) or "  nothing"

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serves until the block ends; gives http://HOST:PORT; any path under it takes webhooks."""
        async with self.listening(self._handle, host, port) as origin:
            yield origin

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.method not in ("POST", "GET"):
            return web.Response(status=405, headers={"Allow": "POST, GET"})
        log, place = self.received, len(self.received)
        log.append(ReceivedWebhook(time.monotonic(), request.path, request.headers, body, None, request.method))
        self._tell()
        reply = _Reply(200, {}, b"", 0.0)
        for rule in self._rules.matching(request.path):
            settled = await _behave(request, rule)
            if settled is not None:
                reply = settled
                break
        if reply.delay:
            await asyncio.sleep(reply.delay)
        log[place] = replace(log[place], status_answered=reply.status)
        self._tell()
        return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)

    def _tell(self) -> None:
        for event in self._waiting:
            event.set()


async def _behave(request: web.BaseRequest, rule: Rule[_Behaviour]) -> _Reply | None:
    reply: _Reply | None = None
    match rule.what:
        case _Reply():
            reply = rule.what
        case _Silence():
            await rule.cleared.wait()
        case _Drop():
            await wire.drop(request)
        case _Drip(interval):
            await wire.drip(request, interval, "text/plain")
        case unknown:
            assert_never(unknown)
    return reply


def _holds(wanted: Wanted, received: list[ReceivedWebhook]) -> bool:
    return len(received) >= wanted if isinstance(wanted, int) else wanted(received)


def _described(wanted: Wanted) -> str:
    return f"{wanted} webhooks" if isinstance(wanted, int) else getattr(wanted, "__qualname__", repr(wanted))
