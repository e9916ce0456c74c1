"""The processes of a benchmark: the API, the worker as users start it, and what it is compared with."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parent.parent
NOTIFIER: Final = Path(sys.executable).with_name("notifier")
LOOK_EVERY: Final = 0.05


class Api:
    """The API's process. `workspace` gives its view of one benchmark's syncs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.api"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(15)

    @contextmanager
    def workspace(self, name: str, syncs: int, **more: object) -> Iterator["Workspace"]:
        """A workspace that is there for as long as the block lasts."""
        workspace = Workspace(self._port, name)
        workspace.set_up(syncs=syncs, **more)
        try:
            yield workspace
        finally:
            workspace.tell("forget")


class Workspace:
    """One workspace of the API, from outside."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self._name = name
        root = f"http://127.0.0.1:{port}/{name}"
        self.url, self.hook, self.slack = f"{root}/api/v1", f"{root}/hook", f"{root}/slack/"

    def tell(self, verb: str, what: object = None) -> dict[str, Any]:
        """Has it do something; see Server.control of benchmarks/api.py."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request("POST", f"/control/{self._name}/{verb}", json.dumps(what))
            told: dict[str, Any] = json.load(connection.getresponse())
            return told

    def set_up(self, **wanted: object) -> None:
        self.tell("set_up", wanted)

    def seen(self) -> dict[str, Any]:
        """What it was asked and told so far, and when."""
        return self.tell("seen")

    def count(self, what: str) -> int:
        """Of polls, requests, connections, posts."""
        return int(self.tell("counts")[what])

    def wait_for(self, what: str, number: int, within: float = 300) -> None:
        wait_until(lambda: self.count(what) >= number, within)


class Process:
    """A process whose use of the machine is looked at."""

    def __init__(self, command: Sequence[str | Path], directory: Path, *, cores: set[int] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "log"
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        with self.log.open("ab") as log:
            self.started_at = time.monotonic()
            self._process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
        if cores:
            os.sched_setaffinity(self._process.pid, cores)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def cpu(self) -> float:
        """Seconds of CPU used so far, of all its threads; to the nanosecond, unlike /proc's ticks."""
        return cpu_of(self._process.pid)

    def memory(self, name: str) -> int:
        """VmHWM, VmRSS ... of /proc, in bytes."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {name} in /proc; the process is gone, see {self.log}")

    def wait(self, within: float) -> None:
        self._process.wait(within)

    def stop(self) -> None:
        """Asks it to end, as whoever runs it does."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(30)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used so far."""
    clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) gives on Linux
    return time.clock_gettime(clock)


def worker(
    directory: Path,
    workspace: Workspace,
    *,
    poll_interval: str = "60s",
    active_poll_interval: str = "10s",
    rate: int = 5_000,
    concurrency: int = 16,
    hints: bool = True,
    rest: str = "",
    cores: set[int] | None = None,
    notifier: Path = NOTIFIER,
) -> Process:
    """`notifier run` in a directory of its own. `rest`: watches, receivers and routes, if not all to one webhook."""
    directory.mkdir(parents=True, exist_ok=True)
    everything = f"watches: [{{syncs: all}}]\nreceivers: {{hook: {{type: webhook, url: '{workspace.hook}'}}}}\n"
    (directory / "watchlist.yaml").write_text(
        f"""version: 1
workspaces:
  production:
    api_key: key
    base_url: {workspace.url}
    poll_interval: {poll_interval}
    active_poll_interval: {active_poll_interval}
    max_requests_per_second: {rate}
    max_concurrent_requests: {concurrency}
    hints: {str(hints).lower()}
{rest or everything}"""
    )
    return Process([notifier, "run"], directory, cores=cores)


@contextmanager
def worker_at_rest(
    directory: Path, workspace: Workspace, syncs: int, *, poll_interval: str
) -> Iterator[tuple[Process, int]]:
    """A worker that was started again after its very first round, and has polled every sync once since.

    Beside it, the most memory (bytes) that the first start took, with the making of the database and all baselines.
    """
    with worker(directory, workspace, poll_interval=poll_interval) as first:
        workspace.wait_for("polls", syncs)
        peak = first.memory("VmHWM")
    polls = workspace.count("polls")
    with worker(directory, workspace, poll_interval=poll_interval) as process:
        workspace.wait_for("polls", polls + syncs)
        yield process, peak


def lean(
    directory: Path,
    workspace: Workspace,
    syncs: int,
    *,
    concurrency: int = 16,
    interval: float = 0,
    rounds: int = 0,
    tick: float = 0,
) -> Process:
    """The loop to compare with, see benchmarks/lean.py."""
    numbers = [str(number) for number in (syncs, concurrency, interval, rounds, tick)]
    return Process([sys.executable, ROOT / "benchmarks" / "lean.py", workspace.url, *numbers], directory)


def plain(directory: Path, workspace: Workspace, syncs: int, rate: float) -> Process:
    """What a user would script, see benchmarks/plain.py. `rate`: requests a second."""
    numbers = [str(number) for number in (syncs, rate)]
    return Process(
        [sys.executable, ROOT / "benchmarks" / "plain.py", workspace.url, workspace.hook, *numbers], directory
    )


def wait_until(condition: Callable[[], bool], within: float, every: float = LOOK_EVERY) -> None:
    """Looks now and then until it holds. Raises TimeoutError."""
    give_up = time.monotonic() + within
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {within:g} s in vain")
        time.sleep(every)
