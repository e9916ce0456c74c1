"""What systemd hears, on a real datagram socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from notifier.service.liveness import Liveness
from notifier.service.systemd import Systemd
from notifier.store.store import Store
from tests.integration.store.builders import NOW
from tests.integration.watching.kit import LoopClock, settled


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.setblocking(False)
        yield receiver


def heard(receiver: socket.socket) -> list[str]:
    """All datagrams that have come in; a unix socket has them as soon as they are sent."""
    found = []
    while True:
        try:
            found.append(receiver.recv(4096).decode())
        except BlockingIOError:
            return found


def test_a_socket_in_the_file_system_is_told(tmp_path: Path) -> None:
    path = f"{tmp_path}/notify"
    with manager(path) as receiver:
        Systemd.of({"NOTIFY_SOCKET": path}, 1).tell("READY=1")
        assert heard(receiver) == ["READY=1"]


def test_an_abstract_socket_is_told() -> None:
    name = f"census-notifier-test-{os.getpid()}"
    with manager(f"\0{name}") as receiver:
        Systemd.of({"NOTIFY_SOCKET": f"@{name}"}, 1).tell("READY=1")
        assert heard(receiver) == ["READY=1"]


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1", "/a\0b"])
def test_where_there_is_no_such_socket_nobody_is_told(address: str) -> None:
    with capture_logs() as logs:
        Systemd.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, 1).tell("READY=1")
    assert logs == []
    assert Systemd.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, 1).watchdog is None


def test_a_socket_that_is_gone_is_told_of_once_and_stops_nothing(tmp_path: Path) -> None:
    systemd = Systemd.of({"NOTIFY_SOCKET": f"{tmp_path}/gone"}, 1)
    with capture_logs() as logs:
        systemd.tell("READY=1")
        systemd.tell("WATCHDOG=1")
    assert [(line["event"], line["error"]) for line in logs] == [("systemd can't be told", "no such file or directory")]


def test_a_manager_that_does_not_listen_is_not_waited_for(tmp_path: Path) -> None:
    path = f"{tmp_path}/notify"
    with manager(path) as receiver, capture_logs() as logs:
        systemd = Systemd.of({"NOTIFY_SOCKET": path}, 1)
        for _ in range(10_000):  # more than a socket's queue holds
            systemd.tell("WATCHDOG=1")
        assert len(heard(receiver)) < 10_000
    assert len(logs) == 1


@pytest.mark.parametrize(
    ("env", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, timedelta(seconds=30)),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, timedelta(seconds=30)),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 30}, None),
    ],
)
def test_the_watchdog_is_the_one_of_this_process(env: dict[str, str], watchdog: timedelta | None) -> None:
    assert Systemd.of({"NOTIFY_SOCKET": "/run/notify", **env}, 7).watchdog == watchdog


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_the_watchdog_is_fed_at_half_its_time_while_the_worker_is_healthy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LoopClock(monkeypatch)
    path = f"{tmp_path}/notify"
    with manager(path) as receiver:
        systemd = Systemd.of({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000000"}, 1)
        liveness = Liveness(store, (), systemd, heartbeat=None)
        running = asyncio.create_task(liveness.run())
        await settled()
        assert heard(receiver) == ["READY=1", "WATCHDOG=1"]
        await clock.advance(9.9)
        assert heard(receiver) == []
        await clock.advance(0.2)
        assert heard(receiver) == ["WATCHDOG=1"]
        await clock.advance(10.1)
        assert heard(receiver) == ["WATCHDOG=1"]
        await clock.advance(10.1)  # nothing was written for half a minute
        assert heard(receiver) == []
        await store.save_worker("1", NOW, NOW)
        await clock.advance(10.1)
        assert heard(receiver) == ["WATCHDOG=1"]
        ended = asyncio.create_task(asyncio.sleep(0))
        await ended
        liveness.watch(ended)
        await clock.advance(31)
        assert heard(receiver) == []
        liveness.stopping()
        assert heard(receiver) == ["STOPPING=1"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
