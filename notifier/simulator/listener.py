"""A bare aiohttp server on a local port that counts its connections and its open requests.

aiohttp's low-level `web.Server` instead of an Application: no router, no middleware, no access log, because the
benchmarks need the simulator to cost less than what they measure.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_SHUTDOWN: Final = 0.1
"""Seconds for requests under way when the server closes; those that hang by design are cut off then."""


class _Server(web.Server):
    """Tells when a connection is accepted."""

    def __init__(self, handler: Handler, accepted: Callable[[], None], **options: Any) -> None:
        super().__init__(handler, **options)
        self._accepted = accepted

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        self._accepted()
        super().connection_made(handler, transport)


class Listener:
    """Serves one handler and counts."""

    def __init__(self) -> None:
        self.connections = 0
        self.request_count = 0
        self.open_requests = 0
        self.max_open_requests = 0

    def reset_counters(self) -> None:
        """Counts from zero; requests that are open stay counted as open."""
        self.connections = 0
        self.request_count = 0
        self.max_open_requests = self.open_requests

    @asynccontextmanager
    async def listening(self, handler: Handler, host: str, port: int) -> AsyncIterator[str]:
        """Serves until the block ends; gives http://HOST:PORT with the port that was taken."""

        async def counted(request: web.BaseRequest) -> web.StreamResponse:
            self.request_count += 1
            self.open_requests += 1
            self.max_open_requests = max(self.max_open_requests, self.open_requests)
            try:
                return await handler(request)
            finally:
                self.open_requests -= 1

        server = _Server(counted, self._count_connection, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, backlog=1024)
            await site.start()
            bound = runner.addresses[0]
            yield f"http://{bound[0]}:{bound[1]}"
        finally:
            await runner.cleanup()

    def _count_connection(self) -> None:
        self.connections += 1
