"""Runs the command as a process, and judges it from outside: by its exit code, its output, its sockets."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from notifier.simulator import SimulatorThread
from tests.acceptance import forked
from tests.databases import new_database

COMMAND = Path(sys.executable).with_name("notifier")
NO_CHECKS = "{failing: false, rejected_records: false, unreachable: false, reminders: false}"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5"
V1, V2 = "api_key: ${API_KEY}", "token: ${ACTIVATIONS_TOKEN}"
"""Keys of a workspace, for `write_watchlist`; one of each version may stand beside the other, a line each."""


def v2_of(base_url: str) -> str:
    """Where version 2 is of a simulator that serves both."""
    return f"{base_url.removesuffix('/v1')}/v2"


class Workplace:
    """A directory with a watchlist, and the worker that runs in it.

    `installed`: the command is started as it is installed, rather than forked with all that it loads (`forked.py`).
    """

    def __init__(self, directory: Path, simulator: SimulatorThread, *, installed: bool = True) -> None:
        self.directory = directory
        self.simulator = simulator
        self.installed = installed
        self.worker: subprocess.Popen[bytes] | forked.Forked | None = None
        self.log = directory / "worker.log"
        self.begins_empty = False
        self.database = "sqlite:///n.db"
        self.environment = {
            "PATH": os.environ["PATH"],
            "API_KEY": simulator.api_key,
            "ACTIVATIONS_TOKEN": simulator.token,
            "SECRET": SECRET,
        }
        self.write_watchlist()

    def write_watchlist(
        self,
        *,
        keys: Sequence[str] = (V1,),
        base_url: str | None = None,
        watches: str = "- syncs: all",
        receivers: str | None = None,
        workspace: str = "",
        rest: str = "",
        poll_interval: str = "1s",
        delivery: str = "first_retry: 200ms, longest_retry: 1s",
        limits: str = "max_requests_per_second: 200",
        checks: str = NO_CHECKS,
        name: str = "watchlist.yaml",
    ) -> None:
        """`checks` are off unless a test is about them. `base_url`: the simulator's, of the version that the `keys` are
        to use, unless told. A file of another `name` can be put in the watchlist's place."""
        hook = f"hook: {{type: webhook, url: '{self.simulator.sink_url}/hook', secret: '${{SECRET}}'}}"
        if base_url is None:
            base_url = v2_of(self.simulator.base_url) if V2 in keys else self.simulator.base_url
        of_each_version = "\n    ".join(keys)
        (self.directory / name).write_text(
            f"""version: 1
database: {self.database}
delivery: {{{delivery}}}
workspaces:
  production:
    {of_each_version}
    base_url: {base_url}
    poll_interval: {poll_interval}
    active_poll_interval: 200ms
    {limits}
    {workspace}
checks: {checks}
watches:
  {watches}
receivers:
  {receivers or hook}
{rest}
"""
        )

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end. Nobody ever sees a traceback."""
        if self.installed:
            ended = subprocess.run(
                [COMMAND, *arguments],
                cwd=self.directory,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        else:
            streams = Path(gettempdir())  # not the workplace: what is in it may be what a test is about
            ended = forked.run(arguments, self.directory, self.environment, streams, timeout)
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    def json(self, *arguments: str) -> Any:
        """Runs a command that must succeed, and reads its JSON."""
        ended = self.run(*arguments, "--json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def hooks(self, *names: str) -> str:
        """Webhook receivers for `write_watchlist`, each at the sink's path of its name."""
        url = self.simulator.sink_url
        return "\n  ".join(f"{name}: {{type: webhook, url: '{url}/{name}', secret: '${{SECRET}}'}}" for name in names)

    def migrated(self) -> None:
        """As `notifier migrate` leaves it, where that is not what is tested."""
        database = self.directory / "n.db"
        new_database(database)
        database.chmod(0o600)

    def start(self, *options: str) -> None:
        """Starts the worker; see `wait_for_baseline` for how to wait until it has seen all that was there.

        It finds an empty database, unless the test wants to see it made (`begins_empty`).
        """
        if not self.begins_empty and not (self.directory / "n.db").exists():
            self.migrated()
        arguments = ["run", *options]
        self.log.touch()
        if not self.installed:
            self.worker = forked.Forked(arguments, self.directory, self.environment, None, self.log)
            return
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen([COMMAND, *arguments], cwd=self.directory, env=self.environment, stderr=log)

    def start_watching(self, *sync_ids: int | str) -> None:
        """Makes these syncs, starts the worker, and waits until they have their baseline."""
        for sync_id in sync_ids:
            self.simulator.add_sync(id=sync_id)
        self.start()
        self.wait_for_baseline(*sync_ids)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.worker is not None
        self.worker.send_signal(signal.SIGTERM)
        code = self.worker.wait(timeout=15)
        self.worker = None
        return code

    def kill(self) -> None:
        """SIGKILL."""
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait(timeout=15)
        self.worker = None

    def logged(self) -> list[dict[str, Any]]:
        """The worker's log so far, a dictionary a line."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines]

    def wait_for_log(self, event: str, times: int = 1) -> None:
        """Until the worker has logged this sentence so often."""
        self.wait_until(lambda: self.log.read_text().count(json.dumps(event)) >= times)

    def states(self, receiver: str | None = None) -> Counter[str]:
        """How many deliveries are in which state, to one receiver if it is named.

        A look into the file, for what is waited for: a command takes half a second of a processor to say so, and who
        waits asks often. What a test asserts it asks the command.
        """
        try:
            with closing(sqlite3.connect(f"file:{self.directory / 'n.db'}?mode=ro", uri=True)) as database:
                rows = database.execute("SELECT state, receiver FROM deliveries").fetchall()
        except sqlite3.OperationalError:  # there is none yet
            return Counter()
        return Counter(state for state, name in rows if receiver in (None, name))

    def all_delivered(self) -> bool:
        """Whether there are deliveries, and everything that was recorded has been delivered."""
        return set(self.states()) == {"delivered"}

    def has_baseline(self) -> bool:
        """Whether the worker has kept what it found of a sync; a look into the file."""
        try:
            with closing(sqlite3.connect(f"file:{self.directory / 'n.db'}?mode=ro", uri=True)) as database:
                return bool(database.execute("SELECT 1 FROM syncs WHERE watched").fetchall())
        except sqlite3.OperationalError:  # there is none yet
            return False

    def wait_until(self, true: Callable[[], Any], timeout: float = 120) -> Any:
        """Asks again and again; what was asked for, or an AssertionError with the worker's log."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if value := true():
                return value
            if self.worker is not None and (code := self.worker.poll()) is not None:
                raise AssertionError(f"the worker ended with {code}; its log:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)
        raise AssertionError(f"not in {timeout} s; the worker's log:\n{self.log.read_text()[-4000:]}")

    def wait_for_baseline(self, *sync_ids: int | str) -> None:
        """Until the worker has polled these syncs twice: the first answer is recorded when the second is asked for."""

        def polled() -> bool:
            paths = [request.path for request in self.simulator.requests]
            return all(paths.count(f"/syncs/{sync_id}/sync_runs") >= 2 for sync_id in sync_ids)

        self.wait_until(polled)
