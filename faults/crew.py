"""Several workers on one PostgreSQL server, each a process with a name; and what the database knows of them."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from faults.account import CHANNEL, RECORDED, WEBHOOKS, Kill, has_told_the_truth
from faults.crew_watchlist import LIVING, write_for_crew
from faults.database import Rows
from faults.line import Line
from faults.row import Size, must
from faults.workspaces import Workspaces
from notifier.model.part import EVERYTHING, UPKEEP, kind_of, workspace_part
from tests.acceptance.story import Story
from tests.acceptance.workplace import COMMAND, Workplace
from tests.postgres.server import OwnPostgres, name_of, own_server

NAMES: Final = ("first", "second", "third")
AGAIN: Final = 15.0
"""Seconds within which what a worker that died had is another's (interface, section 12)."""
BESIDE_OTHERS: Final = 40.0
"""The same in the short form, which CI runs beside the tests: who has to wait for a processor for two seconds begins
to count anew."""
OWNERS: Final = (
    "SELECT parts.name, replicas.name, replicas.pid FROM parts LEFT JOIN replicas ON replicas.id = parts.owner "
    "ORDER BY parts.name"
)
LIVES: Final = "SELECT name, id FROM replicas ORDER BY name, id"
PENDING: Final = "SELECT receiver, event_id FROM deliveries WHERE state = 'pending'"


STAYS: Final = 2.0
"""Seconds in which no part changes hands once all have what they are to have."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a row wants of its crew."""

    ports: tuple[int, ...] = ()
    """Where the workers find the server, if not at its own: of something in between, or of several servers."""
    rate: float = 200
    """How often a second each workspace may be asked."""
    living: tuple[int, ...] = ()
    """Syncs whose runs are told in messages that are edited too, in a channel of their own."""


def again(size: Size) -> float:
    """After how many seconds at most all parts must be others'."""
    return size.pick(BESIDE_OTHERS, AGAIN)


def receivers_of(parts: Collection[str]) -> frozenset[str]:
    """Those to whom whoever has these parts sends."""
    if EVERYTHING in parts:
        return frozenset((*WEBHOOKS, CHANNEL, LIVING))
    to_slack = (CHANNEL, LIVING) if "slack" in parts else ()
    return frozenset((*to_slack, *(name for name in WEBHOOKS if f"webhook:{name}" in parts)))


class Crew:
    """Workers on one database with one watchlist, and the simulators that they meet.

    Each says its name to the server too (`application_name`).
    """

    def __init__(
        self, workplace: Workplace, simulator: Workspaces, server: OwnPostgres, url: str, asked: Asked
    ) -> None:
        self.workplace = workplace
        self.simulator = simulator
        self.server = server
        self.database = name_of(url)
        self._url = server.url(self.database, *asked.ports)
        self._parts = (
            {UPKEEP, "slack"} | {f"webhook:{name}" for name in WEBHOOKS} | set(map(workspace_part, simulator.each))
        )
        self.again = AGAIN
        self.lines: dict[str, Line] = {}
        """Between the server and a worker of this name, where it has one of its own."""
        self._admin: psycopg.Connection | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.away: set[str] = set()
        """Those that are there and can do nothing: frozen, or cut off."""
        workplace.database = "${DATABASE_URL}"
        workplace.environment["DATABASE_URL"] = self._url
        write_for_crew(workplace, simulator, asked.rate, asked.living)

    # --- what is done to them ---

    def start(self, *names: str) -> None:
        """All at once."""
        for name in names:
            url = self.server.url(self.database, self.lines[name].port) if name in self.lines else self._url
            url = f"{url}?application_name={name}"
            environment = {**self.workplace.environment, "DATABASE_URL": url, "NOTIFIER_REPLICA": name}
            with self.log(name).open("ab") as log:
                self.workers[name] = subprocess.Popen(
                    [COMMAND, "run"], cwd=self.workplace.directory, env=environment, stderr=log
                )

    def start_watching(self, names: Sequence[str], sync_ids: Sequence[int]) -> None:
        """Makes these syncs, starts the workers, and waits until the syncs have their baseline and all have joined."""
        for sync_id in sync_ids:
            self.simulator.add_sync(id=sync_id)
        self.start(*names)
        self.wait_until(lambda: self._is_watching(sync_ids) and {name for name, _ in self.lives()} == set(names))

    def kill(self, name: str) -> Kill:
        """Kills a worker. What it had sent before is received; unsettled is what it may have begun."""
        began = time.monotonic()
        worker = self.workers.pop(name)
        worker.kill()
        worker.wait(timeout=15)
        return Kill(began, time.monotonic() + 0.05, self.left_by(worker.pid))

    def freeze(self, name: str) -> Kill:
        """Stops a worker's process; `thaw` says until when that held."""
        began = time.monotonic()
        self.away.add(name)
        os.kill(self.workers[name].pid, signal.SIGSTOP)
        return Kill(began, began, self.left_by(self.workers[name].pid))

    def thaw(self, name: str) -> None:
        """It goes on, and what it had sent arrives."""
        if name in self.lines:
            self.lines[name].mend()
        os.kill(self.workers[name].pid, signal.SIGCONT)
        self.away.discard(name)

    def must_stop_well(self) -> None:
        """SIGTERM to all at once ends each with exit code 0, and it is gone from the database."""
        pids = [worker.pid for worker in self.workers.values()]
        for worker in self.workers.values():
            worker.send_signal(signal.SIGTERM)
        for name, worker in self.workers.items():
            code = worker.wait(timeout=30)
            must(code == 0, f"after SIGTERM {name} ended with {code}; its log:\n{self.told(name)}")
        self.workers.clear()
        left = self.look("SELECT name, id FROM replicas WHERE pid = ANY(%s)", pids)
        must(not left, f"all have ended, and in the database are {left}")

    def end(self) -> None:
        """Whatever is left is killed."""
        for worker in self.workers.values():
            worker.kill()
            worker.wait(timeout=15)
        if self._admin is not None:
            self._admin.close()

    def moved(self, server: OwnPostgres) -> None:
        """The database is there now, and looked at there."""
        self.server = server
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    # --- what is seen of them ---

    def log(self, name: str) -> Path:
        """What a worker of this name logged, in all its lives."""
        return self.workplace.directory / f"{name}.log"

    def told(self, name: str) -> str:
        """The end of its log."""
        return self.log(name).read_text()[-3000:]

    def look(self, query: str, *parameters: object) -> Rows:
        """What the database says, by the superuser, past whatever is between the workers and the server."""
        if self._admin is None or self._admin.closed:
            self._admin = self.server.admin(self.database)
        try:
            return self._admin.execute(query.encode(), parameters or None).fetchall()
        except psycopg.OperationalError:  # the server was restarted, or this connection ended with all others
            self._admin = self.server.admin(self.database)
            return self._admin.execute(query.encode(), parameters or None).fetchall()

    def lives(self) -> list[tuple[str, str]]:
        """The names and the IDs of those that have a place."""
        return [(str(name), str(life)) for name, life in self.look(LIVES)]

    def owners(self) -> dict[str, str | None]:
        """By part, the name of whoever has it, if that process is there and not away."""
        found: dict[str, str | None] = {}
        for part, name, pid in self.look(OWNERS):
            there = name in self.workers and self.workers[name].pid == pid and name not in self.away
            found[part] = str(name) if there else None
        return found

    def all_owned(self) -> dict[str, str]:
        """By part, whoever has it, if there are all parts and each has somebody who lives; else nothing."""
        owners = self.owners()
        owned = {part: name for part, name in owners.items() if name is not None}
        whole = owners.keys() >= self._parts or owners.keys() == {EVERYTHING}
        return owned if whole and len(owned) == len(owners) else {}

    def wait_until_owned(self, timeout: float = 60) -> dict[str, str]:
        """Until each part has somebody who lives; by part, whom."""
        return dict(self.wait_until(self.all_owned, timeout=timeout))

    def wait_until_settled(self, timeout: float = 60) -> dict[str, str]:
        """Until each part has somebody who lives, and keeps him for a while."""
        end = time.monotonic() + timeout
        before, since = self.wait_until_owned(timeout), time.monotonic()
        while time.monotonic() < since + STAYS:
            must(time.monotonic() < end, f"parts do not come to rest: {before}")
            time.sleep(0.1)
            if (now := self.wait_until_owned(timeout)) != before:
                before, since = now, time.monotonic()
        return before

    def workers_with(self, *kinds: str) -> list[str]:
        """Once all parts are owned, the names of those that have one of such a kind; without any, of whatever kind."""
        owned = self.wait_until_owned()
        wanted = {name for part, name in owned.items() if not kinds or kind_of(part) in (*kinds, EVERYTHING)}
        return sorted(wanted)

    def wait_until_polled(self, timeout: float = 60) -> None:
        """Until each workspace has been asked once more."""
        before = self.simulator.counts()
        self.wait_until(lambda: all(now > before[name] for name, now in self.simulator.counts().items()), timeout)

    def wait_until(self, true: Callable[[], Any], timeout: float = 120) -> Any:
        """Asks again and again; what was asked for. Failed when it does not come, or when a worker ended."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if value := true():
                return value
            self.must_live()
            time.sleep(0.05)
        logs = "\n".join(f"{name}: {self.told(name)}" for name in self.workers)
        raise AssertionError(f"not in {timeout} s; the logs:\n{logs}")

    def must_live(self) -> None:
        """No worker has ended by itself."""
        for name, worker in self.workers.items():
            must(worker.poll() is None, f"{name} ended with {worker.returncode}; its log:\n{self.told(name)}")

    def has_told_all(self, story: Story) -> bool:
        """Whether both webhooks know how each run is now, and nothing waits."""
        return has_told_the_truth(self.simulator, story) and not self.look(PENDING)

    def recorded(self) -> Rows:
        """For `settle`."""
        return self.look(RECORDED)

    def unsettled(self, receivers: Collection[str]) -> dict[str, set[str]]:
        """By receiver, of these, the events that wait or are under way."""
        found: dict[str, set[str]] = {}
        for receiver, event_id in self.look(PENDING):
            if receiver in receivers:
                found.setdefault(receiver, set()).add(event_id)
        return found

    def left_by(self, pid: int) -> dict[str, set[str]]:
        """By receiver, what is unsettled of what this process had: once its last transaction is over."""
        time.sleep(0.1)
        return self.unsettled(receivers_of(self.parts_of(pid)))

    def parts_of(self, pid: int) -> list[str]:
        """What this process has."""
        return [str(part) for part, _, owner in self.look(OWNERS) if owner == pid]

    def _is_watching(self, sync_ids: Sequence[int]) -> bool:
        paths = [request.path for request in self.simulator.requests]
        return all(paths.count(f"/syncs/{sync_id}/sync_runs") >= 2 for sync_id in sync_ids)


@contextmanager
def a_server() -> Iterator[OwnPostgres]:
    """A server of the row's own. Failed says what to install."""
    try:
        with own_server() as server:
            yield server
    except RuntimeError as wrong:
        must(False, f"this row needs PostgreSQL's programs: {wrong}")


@contextmanager
def a_crew(server: OwnPostgres, asked: Asked = Asked()) -> Iterator[Crew]:
    """A database with nothing in it, and no worker yet. Whatever was done there, nobody has seen a traceback.

    The database goes with its server, which may not be the one that has it in the end."""
    with tempfile.TemporaryDirectory(prefix="faults.") as directory, Workspaces() as simulator:
        crew = Crew(Workplace(Path(directory), simulator), simulator, server, server.create(), asked)
        try:
            yield crew
        finally:
            crew.end()
        for log in Path(directory).glob("*.log"):
            before, found, after = log.read_text().partition("Traceback")
            must(not found, f"a traceback in {log.name}:\n{before[-1000:]}{found}{after[:6000]}")
