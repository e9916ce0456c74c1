"""How those who look at a worker from outside learn that it works: systemd, and whoever the heartbeat goes to."""

import socket
from pathlib import Path

from notifier.simulator import SimulatorThread, Status

from .conftest import Workplace

HELD_BACK = "heartbeat is held back: not all is well"


def pings(simulator: SimulatorThread) -> int:
    return sum(request.method == "GET" for request in simulator.sink.received)


def test_the_heartbeat_is_sent_while_the_workspace_is_read_and_held_back_while_it_is_not(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.environment["PING"] = f"{simulator.sink_url}/ping/canary"
    workplace.write_watchlist(poll_interval="500ms", rest="heartbeat: {url: '${PING}', every: 100ms}")
    workplace.start_watching(52)
    workplace.wait_until(lambda: pings(simulator) >= 3)
    late = workplace.log.read_text().count(HELD_BACK)  # a poll, on a machine that is busy
    outage = simulator.fault(Status(500))
    workplace.wait_for_log(HELD_BACK, times=late + 1)
    before, asked = pings(simulator), outage.hits
    workplace.wait_until(lambda: outage.hits >= asked + 2)  # after a second or more, so for ten pings and more
    assert pings(simulator) == before
    outage.clear()
    workplace.wait_for_log("heartbeat goes on: all is well", times=late + 1)
    workplace.wait_until(lambda: pings(simulator) > before)
    assert workplace.stop() == 0
    held_back = [line for line in workplace.logged() if line["event"] == HELD_BACK][late]
    assert held_back["reason"].startswith("the workspace production was not read for ")
    assert "canary" not in workplace.log.read_text()


def test_systemd_hears_that_the_worker_is_ready_lives_and_stops(workplace: Workplace, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(20)
        workplace.environment |= {"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "3000000"}
        workplace.start()
        heard = [manager.recv(4096).decode() for _ in range(3)]
        assert heard == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
        assert workplace.json("status")["worker"]["running"]  # so the database was there before
        assert workplace.stop() == 0
        while (last := manager.recv(4096).decode()) == "WATCHDOG=1":
            pass
        assert last == "STOPPING=1"


def test_a_worker_that_can_not_start_never_says_that_it_is_ready(workplace: Workplace, tmp_path: Path) -> None:
    (workplace.directory / "n.db").write_bytes(b"my holiday photos\n" * 1000)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.setblocking(False)
        workplace.environment["NOTIFY_SOCKET"] = f"{tmp_path}/notify"
        assert workplace.run("run").returncode == 1
        try:
            told = manager.recv(4096)
        except BlockingIOError:
            told = b""
        assert told == b""
