"""Two checkouts of the project beside each other, in one run: what a change of the code costs whoever does not use it.

    python -m benchmarks pair OLD NEW        each with its own .venv; without them this one stands beside itself

Commands run in turns, now one first and now the other. Two workers, each on a file of its own, run at once and are
looked at in the same spans. A ratio is of what ran side by side; a checkout beside itself shows what chance makes of 1.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.processes import Process, Workspace, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure, spread

NAMES: Final = ("old", "new")
LOADED: Final = "import notifier.cli, notifier.service.run"
SPANS: Final = 5
PEAK: Final = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def is_checkout(place: Path) -> bool:
    """Whether the project is there, installed into its own environment."""
    return _notifier(place).exists()


def _notifier(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "notifier"


class _Side:
    """A checkout, its worker, and a workspace for it."""

    def __init__(self, checkout: Path, directory: Path, workspace: Workspace) -> None:
        self.checkout = checkout
        self.directory = directory
        self.workspace = workspace
        self.idle = 0.0
        """Seconds of CPU a second that polls at rest take."""

    def start(self, interval: int) -> Process:
        """Its worker."""
        notifier = _notifier(self.checkout)
        self.process = worker(
            self.directory, self.workspace, poll_interval=f"{interval}s", hints=False, notifier=notifier
        )
        return self.process

    def command(self, *words: str) -> tuple[float, float]:
        """One of its commands: milliseconds of CPU, and the most memory in MB."""
        return _run(self.directory, [_notifier(self.checkout), *words])

    def load(self) -> tuple[float, float]:
        """The same of loading all that a worker with a webhook loads at first."""
        return _run(self.directory, [self.checkout / ".venv" / "bin" / "python", "-c", LOADED])


def _run(directory: Path, command: Sequence[str | Path]) -> tuple[float, float]:
    """What it used. The kernel's own peak of a child begins with what its parent has, so that this one is looked at."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
    peak, ended = 0, 0
    while not ended:
        found = PEAK.search(Path(f"/proc/{process.pid}/status").read_text())
        peak = max(peak, int(found.group(1)) if found else 0)  # there is none once it has ended
        time.sleep(0.005)
        ended, code, used = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}, see {directory / 'log'}")
    return 1e3 * (used.ru_utime + used.ru_stime), peak * 1024 / 1e6


def measure(scene: Scene) -> list[Figure]:
    syncs, interval = scene.size(1_000, 20), scene.size(10, 1)
    with ExitStack() as stack:
        sides = []
        for name, checkout in zip(NAMES, scene.checkouts, strict=True):
            workspace = stack.enter_context(scene.api.workspace(f"pair-{name}", syncs))
            sides.append(_Side(checkout, scene.directory / name, workspace))
        with ExitStack() as workers:
            _start(sides, workers, syncs, interval)
        figures = _commands(scene, sides)
        with ExitStack() as workers:
            _start(sides, workers, syncs, interval)
            return [*figures, *_at_rest(scene, sides), *_changes(scene, sides, syncs)]


def _start(sides: Sequence[_Side], workers: ExitStack, syncs: int, interval: int) -> None:
    """Both workers; each has polled all once when this returns."""
    polls = [side.workspace.count("polls") for side in sides]
    for side in sides:
        workers.enter_context(side.start(interval))
    for side, old in zip(sides, polls, strict=True):
        side.workspace.wait_for("polls", old + 2 * syncs)


def _commands(scene: Scene, sides: Sequence[_Side]) -> list[Figure]:
    """Nothing else of either runs meanwhile."""
    syncs = f"{scene.size(1_000, 20):,} syncs"
    return [
        *_in_turns("loading the worker", sides, scene.size(30, 2), _Side.load),
        *_in_turns("`notifier status`", sides, scene.size(30, 2), lambda side: side.command("status")),
        *_in_turns(
            f"`notifier run --once`, {syncs}", sides, scene.size(10, 2), lambda side: side.command("run", "--once")
        ),
    ]


def _in_turns(
    what: str, sides: Sequence[_Side], times: int, do: Callable[[_Side], tuple[float, float]]
) -> list[Figure]:
    """Milliseconds of CPU and MB, which `do` gives, of both."""
    taken: dict[_Side, list[tuple[float, float]]] = {side: [] for side in sides}
    for side in sides:
        do(side)  # which leaves byte code
    for number in range(times):
        for side in sides if number % 2 else reversed(sides):
            taken[side].append(do(side))
    cpu, memory = ([[each[which] for each in of] for of in taken.values()] for which in (0, 1))
    return [_figure(f"{what}: CPU", "ms", *cpu), _figure(f"{what}: peak memory", "MB", *memory)]


def _at_rest(scene: Scene, sides: Sequence[_Side]) -> list[Figure]:
    """In the same spans."""
    a_second: list[list[float]] = [[] for _ in sides]
    a_poll: list[list[float]] = [[] for _ in sides]
    for _ in range(SPANS):
        before = [(time.monotonic(), side.process.cpu, side.workspace.count("polls")) for side in sides]
        time.sleep(scene.size(10, 1))
        for number, (side, (at, cpu, polls)) in enumerate(zip(sides, before, strict=True)):
            used = side.process.cpu - cpu
            a_second[number].append(used / (time.monotonic() - at))
            a_poll[number].append(1e6 * used / max(side.workspace.count("polls") - polls, 1))
    for side, used_a_second in zip(sides, a_second, strict=True):
        side.idle = median(used_a_second)
    memory = [[side.process.memory("VmRSS") / 1e6] for side in sides]
    return [_figure("a poll at rest: CPU", "us", *a_poll), _figure("the worker at rest: memory", "MB", *memory)]


def _changes(scene: Scene, sides: Sequence[_Side], syncs: int) -> list[Figure]:
    """All syncs of both change at once; a webhook is told of each. What polls at rest take is taken off."""
    costs: list[list[float]] = [[] for _ in sides]
    for _ in range(scene.size(5, 1)):
        posts = [side.workspace.count("posts") for side in sides]
        before = [(time.monotonic(), side.process.cpu) for side in sides]
        for side in sides:
            side.workspace.tell("add_runs", list(range(1, syncs + 1)))
        for side, old in zip(sides, posts, strict=True):
            side.workspace.wait_for("posts", old + syncs)
        time.sleep(1)  # the last outcomes are kept
        for number, (side, (at, cpu)) in enumerate(zip(sides, before, strict=True)):
            used = side.process.cpu - cpu - (time.monotonic() - at) * side.idle
            costs[number].append(1e3 * used / syncs)
    return [_figure("a change to a webhook: CPU", "ms", *costs)]


def _figure(what: str, unit: str, old: Sequence[float], new: Sequence[float]) -> Figure:
    ratios = [one / other for one, other in zip(new, old, strict=True)]
    said = f"{spread(ratios)} x: {median(new):.4g} {unit} beside {median(old):.4g}"
    return Figure(f"new beside old, {what}", said, "shown")
