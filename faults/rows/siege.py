"""Row 21: strangers besiege the server, in every way at once, while the worker does its work with few files."""

import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

import psutil

from faults.database import look, must_be_sound
from faults.place import a_workplace, must_stop_well
from faults.row import Figures, Row, Size, fail, must, say
from notifier.simulator import Reset, SimulatorThread
from tests.acceptance.test_server import HOOK, HOOK_SECRET, PATH, few_files, said, signed
from tests.acceptance.workplace import Workplace

SYNCS = tuple(range(51, 61))
FILES = 200
"""Open files that the process may have; a quarter of them are the server's connections."""
MOST_FILES = 150
MOST_MEMORY = 60_000_000
"""Bytes, more than before the siege."""
MOST_LINES = 20
"""Of the log, about strangers, in a minute."""
IN_TIME = 15.0
"""Seconds from a change in Census to its message. At rest it is one or two: a poll comes every second."""
AFTERWARDS = 60.0
"""Seconds after the siege until the worker has no more files open than before it."""
ANSWERED = 8.0
"""Seconds for what its owner, a probe and Census ask, whoever else does."""
MOST_UNSENT = 30_000_000
TOKEN = "a-token-that-nobody-guesses"


@dataclass(slots=True)
class Watch:
    """What the owner, and the worker's process, were seen to do."""

    asked: int = 0
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0
    files: int = 0
    memory: int = 0
    unsent: int = 0


def siege(size: Size) -> Figures:
    """1,000 changes in five minutes in the long form, 60 in fifteen seconds in the short one."""
    seconds, changes = size.pick((15, 60), (300, 1_000))
    chance = size.chance()
    with a_workplace() as (workplace, simulator):
        address = _begin(workplace, simulator)
        process = psutil.Process(workplace.worker.pid if workplace.worker is not None else 0)
        _wait_for_quiet(workplace, process, most=60)
        files, memory = process.num_fds(), process.memory_info().rss
        calm = _told(workplace, simulator, chance, 20, 5.0)
        logged = len(_about_strangers(workplace))
        with _besieged(address, seconds) as ways, _watched(address, process) as watch:
            delays = _told(workplace, simulator, chance, changes, seconds)
        logged = len(_about_strangers(workplace)) - logged
        began = time.monotonic()
        _wait_for_quiet(workplace, process, most=files + 5)
        recovered = time.monotonic() - began
        _must_have_held(workplace, watch, max(delays), logged / max(seconds / 60, 1), memory)
        must_stop_well(workplace)
        must_be_sound(workplace.directory / "n.db")
    must(len(ways) > 20 and min(ways.values()) > 0, f"not every way was gone: {ways}")
    return {
        "changes": changes,
        "seconds": seconds,
        "attacks": sum(ways.values()),
        "change to message": f"p50 {_part(delays, 50):.2f} s, p99 {_part(delays, 99):.2f} s, most {max(delays):.2f} s",
        "before the siege": f"p50 {_part(calm, 50):.2f} s, most {max(calm):.2f} s",
        "the owner's requests": f"{watch.asked}, the slowest {watch.slowest:.2f} s",
        "files, most": f"{watch.files} of {FILES}",
        "memory": f"{memory / 1e6:.0f} MB, at the peak {watch.memory / 1e6:.0f} MB",
        "unread, in the system, most": f"{watch.unsent / 1e6:.1f} MB",
        "lines of the log about strangers": logged,
        "at rest again after": f"{recovered:.0f} s",
    }


def _begin(workplace: Workplace, simulator: SimulatorThread) -> tuple[str, int]:
    """The worker, at work on its syncs with few files; where its server is."""
    workplace.environment |= {"TOKEN": TOKEN, "HOOK_SECRET": HOOK_SECRET}
    workplace.write_watchlist(workspace=HOOK, rest="server: {listen: '0.0.0.0:0', token: '${TOKEN}'}")
    for sync_id in SYNCS:
        simulator.add_sync(id=sync_id)
    with few_files(FILES):
        workplace.start()
    workplace.wait_for_baseline(*SYNCS)
    [started] = [line for line in workplace.logged() if line["event"] == "notifier started"]
    return "127.0.0.1", int(started["listen"].rpartition(":")[2])


def _wait_for_quiet(workplace: Workplace, process: psutil.Process, most: int) -> None:
    workplace.wait_until(lambda: process.num_fds() <= most, timeout=AFTERWARDS)


@contextmanager
def _besieged(address: tuple[str, int], seconds: float) -> Iterator[dict[str, int]]:
    """Strangers come from a process of their own; in the end, how often each way was gone."""
    command = [sys.executable, "-m", "faults.siege", address[0], str(address[1]), str(seconds)]
    ways: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as strangers:
        try:
            yield ways
            output, _ = strangers.communicate(timeout=60)
        finally:
            strangers.kill()
    must(strangers.returncode == 0, f"the siege ended with {strangers.returncode}")
    ways |= json.loads(output)


@contextmanager
def _watched(address: tuple[str, int], process: psutil.Process) -> Iterator[Watch]:
    """Once a second: what the owner asks, and what the process holds."""
    watch, over = Watch(), threading.Event()
    thread = threading.Thread(target=_look_on, args=(address, process, watch, over), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join(timeout=60)


def _look_on(address: tuple[str, int], process: psutil.Process, watch: Watch, over: threading.Event) -> None:
    while not over.wait(0.25):
        watch.files = max(watch.files, process.num_fds())
        watch.memory = max(watch.memory, process.memory_info().rss)
        watch.unsent = max(watch.unsent, _unsent(address[1]))
        kind, asked = watch.asked % 4, time.monotonic()
        try:
            answered = str(_ask(address, kind))
        except OSError as error:
            answered = repr(error)
        watch.asked += 1
        watch.slowest = max(watch.slowest, time.monotonic() - asked)
        if answered != ("200", "200", "202", "303")[kind]:
            watch.refused.append(f"{('a probe', 'a token', 'a webhook', 'a login')[kind]}: {answered}")


def _unsent(port: int) -> int:
    """Bytes of answers that the system holds for strangers, of connections that the worker has ended too."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[4].partition(":")[0], 16) for line in lines if int(line[1].rpartition(":")[2], 16) == port)


def _ask(address: tuple[str, int], kind: int) -> int:
    """One of what its owner, its probe and Census ask: the status."""
    connection = http.client.HTTPConnection(*address, timeout=ANSWERED)
    try:
        if kind == 0:
            connection.request("GET", "/healthz")
        elif kind == 1:
            connection.request("GET", "/api/status", headers={"Authorization": f"Bearer {TOKEN}"})
        elif kind == 2:
            body = said(sync_id=SYNCS[0])
            connection.request("POST", PATH, body, {"X-Signature": signed(body)})
        else:
            connection.request("POST", "/login", urlencode({"token": TOKEN}), {"Accept": "text/html"})
        return connection.getresponse().status
    finally:
        connection.close()


def _told(
    workplace: Workplace, simulator: SimulatorThread, chance: random.Random, changes: int, seconds: float
) -> list[float]:
    """So many runs, spread over the time; for each the seconds until its message came. Now and then the API or the
    receiver ends a connection, so that a new one is needed."""
    began, before = time.monotonic(), len(simulator.sink.accepted)
    made: dict[int, float] = {}
    for number in range(changes):
        time.sleep(max(began + number * seconds / changes - time.monotonic(), 0))
        if number % 10 == 9:
            simulator.fault(Reset(), times=1)
            simulator.sink.drop(times=1)
        made[_run(simulator, chance)] = time.monotonic()
    workplace.wait_until(lambda: _came(simulator, before).keys() >= made.keys(), timeout=60 + IN_TIME)
    came = _came(simulator, before)
    say(f"{changes} changes in {seconds:g} s")
    return [came[run] - at for run, at in made.items()]


def _run(simulator: SimulatorThread, chance: random.Random) -> int:
    run: int = simulator.add_run(chance.choice(SYNCS), status=chance.choice(("completed", "failed")))["id"]
    return run


def _came(simulator: SimulatorThread, before: int) -> dict[int, float]:
    came: dict[int, float] = {}
    for webhook in simulator.sink.accepted[before:]:
        came.setdefault(json.loads(webhook.body)["data"]["sync_run"]["id"], webhook.at)
    return came


def _part(delays: Sequence[float], percent: int) -> float:
    return quantiles(delays, n=100, method="inclusive")[percent - 1]


def _about_strangers(workplace: Workplace) -> list[dict[str, Any]]:
    """Lines of the log that are not about the worker's own work."""
    return [line for line in workplace.logged() if not line.keys() & {"workspace", "receiver"}]


def _must_have_held(workplace: Workplace, watch: Watch, latest: float, logged: float, memory: int) -> None:
    must(latest <= IN_TIME, f"a message came {latest:.1f} s after its change")
    must(
        watch.asked >= 4 and not watch.refused, f"of {watch.asked} requests of the owner, refused: {watch.refused[:9]}"
    )
    must(watch.files <= MOST_FILES, f"{watch.files} files were open")
    must(watch.unsent <= MOST_UNSENT, f"the system held {watch.unsent} bytes for strangers")
    must(watch.memory - memory <= MOST_MEMORY, f"memory grew from {memory} to {watch.memory}")
    must(logged <= MOST_LINES, f"{logged:.0f} lines a minute about strangers: {_about_strangers(workplace)[-9:]}")
    if bad := [line for line in workplace.logged() if line["level"] in ("error", "critical")]:
        fail(f"strangers made it log errors: {bad[:3]}")
    events = look(workplace.directory / "n.db", "SELECT count(*), count(DISTINCT run_id) FROM events")
    must(events[0][0] == events[0][1], f"events and their runs: {events}")


ROW = Row(
    number=21,
    title="strangers besiege the server in every way at once, while the worker may open 200 files",
    criterion=(
        f"each change is told within {IN_TIME:g} s, and what its owner, a probe and Census ask is answered within "
        f"{ANSWERED:g} s; never more than {MOST_FILES} files, {MOST_MEMORY // 1_000_000} MB more memory, "
        f"{MOST_UNSENT // 1_000_000} MB of answers that nobody reads in the system, and {MOST_LINES} lines of log a "
        "minute about strangers, no error among them; at rest again by itself"
    ),
    run=siege,
    limits=(900, 1200),
)
