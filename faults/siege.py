"""python -m faults.siege HOST PORT SECONDS: strangers, in every way at once; for row 21, and by hand.

It talks to the address that it is given, ends by itself, and prints as JSON how often each way was gone. Nothing here
knows the server's code: it is what a port that others reach has to bear.
"""

import asyncio
import json
import resource
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

HOST_HEADER: Final = b"Host: notifier.example.com\r\n"
HEALTHZ: Final = b"GET /healthz HTTP/1.1\r\n" + HOST_HEADER + b"\r\n"
METRICS: Final = b"GET /metrics HTTP/1.1\r\n" + HOST_HEADER + b"\r\n"
HOOK: Final = "/webhooks/census/production"
HOLD: Final = 60.0
"""Seconds for which a connection is held, unless the server ends it; then the next one takes its place."""

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Strangers:
    """Where they go. Each way opens one connection and ends when that does."""

    host: str
    port: int

    async def connect(self, receive_buffer: int | None = None) -> Peer:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        return await asyncio.open_connection(sock=sock, limit=1_000_000)

    async def say(self, said: bytes, *, then_reset: bool = False) -> None:
        """Says it, and goes: by a reset, or after what comes within two seconds."""
        reader, writer = await self.connect()
        try:
            writer.write(said)
            await writer.drain()
            if then_reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                async with asyncio.timeout(2):
                    await reader.read(65_536)
        finally:
            writer.close()

    async def keep(self) -> None:
        """Asks once and keeps the connection."""
        reader, writer = await self.connect()
        try:
            writer.write(HEALTHZ)
            async with asyncio.timeout(HOLD):
                while await reader.read(65_536):
                    pass
        finally:
            writer.close()

    async def chatter(self) -> None:
        """Asks again and again, so that it is never silent."""
        reader, writer = await self.connect()
        try:
            async with asyncio.timeout(HOLD):
                while True:
                    writer.write(HEALTHZ)
                    if not await reader.read(65_536):
                        return
                    await asyncio.sleep(0.1)
        finally:
            writer.close()

    async def ask_without_end(self) -> None:
        """Asks a thousand times at once, reads all answers, and begins anew."""
        reader, writer = await self.connect()
        try:
            async with asyncio.timeout(HOLD):
                while True:
                    writer.write(HEALTHZ * 1_000)
                    for _ in range(20):
                        if not await reader.read(65_536):
                            return
                    await asyncio.sleep(0.5)
        finally:
            writer.close()

    async def drip(self, said: bytes, rest: bytes) -> None:
        """Says this at once, and the rest a byte a second."""
        reader, writer = await self.connect()
        try:
            writer.write(said)
            async with asyncio.timeout(HOLD):
                for byte in rest:
                    writer.write(bytes([byte]))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            if not await reader.read(65_536):
                                return
        finally:
            writer.close()

    async def read_nothing(self) -> None:
        """Asks 400 times, and reads not a byte of what comes."""
        _, writer = await self.connect(receive_buffer=1024)
        try:
            writer.transport.pause_reading()  # type: ignore[attr-defined] # of the transport of a socket
            writer.write(METRICS * 400)
            end = time.monotonic() + HOLD
            while time.monotonic() < end and not writer.is_closing():
                await asyncio.sleep(1)
                writer.write(b"\r\n")  # which fails once the other side has ended it
                await writer.drain()
        finally:
            writer.transport.abort()


def _request(start: str, *headers: str, body: bytes = b"") -> bytes:
    return (
        f"{start} HTTP/1.1\r\n".encode()
        + HOST_HEADER
        + "".join(f"{h}\r\n" for h in headers).encode("latin-1")
        + (b"\r\n" + body)
    )


def _form(body: bytes, *headers: str) -> bytes:
    kind = "Content-Type: application/x-www-form-urlencoded"
    return _request("POST /login", kind, f"Content-Length: {len(body)}", *headers, body=body)


Way = Callable[[Strangers], Awaitable[None]]
WAYS: Final[dict[str, tuple[Way, int, float]]] = {
    # the way, how many go it at once, and how many seconds each waits before the next time
    "keep the connection": (lambda s: s.keep(), 150, 0.2),
    "chatter": (lambda s: s.chatter(), 60, 0.1),
    "ask without end": (lambda s: s.ask_without_end(), 4, 0.5),
    "say nothing": (lambda s: s.drip(b"", b""), 20, 0.2),
    "drip a head": (lambda s: s.drip(b"GET /healthz HTTP/1.1\r\n", b"X-A: " + b"a" * 100), 30, 0.2),
    "drip a body to a webhook": (
        lambda s: s.drip(_request(f"POST {HOOK}", "Content-Length: 4096"), b"a" * 100),
        60,
        0.2,
    ),
    "drip a body to the login": (lambda s: s.drip(_request("POST /login", "Content-Length: 900"), b"a" * 100), 20, 0.2),
    "read nothing": (lambda s: s.read_nothing(), 20, 0.2),
    "break off a webhook": (
        lambda s: s.say(_request(f"POST {HOOK}", "Content-Length: 9", body=b"1"), then_reset=True),
        2,
        0.05,
    ),
    "break off a login": (
        lambda s: s.say(_request("POST /login", "Content-Length: 9", body=b"1"), then_reset=True),
        2,
        0.05,
    ),
    "reset": (lambda s: s.say(HEALTHZ, then_reset=True), 2, 0.05),
    "chunks that are none": (
        lambda s: s.say(_request(f"POST {HOOK}", "Transfer-Encoding: chunked", body=b"zz\r\nnone\r\n")),
        1,
        0.1,
    ),
    "30 fields": (lambda s: s.say(_form(b"&" * 30)), 1, 0.1),
    "an odd Expect": (lambda s: s.say(_request("GET /healthz", "Expect: \xff")), 1, 0.1),
    "an odd cookie": (lambda s: s.say(_request("GET /", "Cookie: notifier_session=\xff")), 1, 0.1),
    "a wrong token": (lambda s: s.say(_request("GET /api/status", "Authorization: Bearer guess")), 1, 0.05),
    "a wrong login": (lambda s: s.say(_form(b"token=guess")), 1, 0.05),
    "an unsigned webhook, nested deeply": (
        lambda s: s.say(_request(f"POST {HOOK}", "Content-Length: 60000", body=b"[" * 30_000 + b"]" * 30_000)),
        1,
        0.1,
    ),
    "too large a body": (
        lambda s: s.say(_request(f"POST {HOOK}", "Content-Length: 99999999", body=b"a" * 70_000)),
        1,
        0.1,
    ),
    "a huge head": (lambda s: s.say(_request("GET /", "X-A: " + "a" * 100_000)), 1, 0.1),
    "a hundred requests at once": (lambda s: s.say(HEALTHZ * 100), 2, 0.1),
    "metrics": (lambda s: s.say(METRICS), 2, 0.1),
    "TLS": (lambda s: s.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500), 1, 0.1),
    "HTTP/2": (lambda s: s.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 50), 1, 0.1),
    "noise": (lambda s: s.say(bytes(range(256)) * 8), 1, 0.1),
}


async def besiege(strangers: Strangers, seconds: float) -> Counter[str]:
    """All ways at once; how often each was gone."""
    gone: Counter[str] = Counter()
    end = asyncio.get_running_loop().time() + seconds

    async def go(name: str, way: Way, pause: float) -> None:
        while asyncio.get_running_loop().time() < end:
            with suppress(OSError, TimeoutError, ValueError):  # ended, as it should be
                gone[name] += 1
                await way(strangers)
            await asyncio.sleep(pause)

    tasks = [
        asyncio.create_task(go(name, way, pause)) for name, (way, many, pause) in WAYS.items() for _ in range(many)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return gone


def main() -> None:
    """The command."""
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    print(json.dumps(asyncio.run(besiege(Strangers(host, port), seconds))))


if __name__ == "__main__":
    main()
