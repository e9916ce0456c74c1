"""How long a look takes: `notifier status`, from the process' birth to its end, with byte code of before and without.

Beside it, in turns, a Python that does nothing and one that loads aiohttp alone: how quick the machine was just then.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.processes import NOTIFIER, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure

STATUS: Final = "notifier status"
COMMANDS: Final[Mapping[str, Sequence[str | Path]]] = {
    STATUS: [NOTIFIER, "status"],
    "nothing": [sys.executable, "-c", "pass"],
    "import aiohttp": [sys.executable, "-c", "import aiohttp"],
}
TO_REACH: Final = 0.25  # seconds


@dataclass(slots=True)
class _Taken:
    """Seconds of each run of a command."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, wall: float, cpu: float) -> None:
        self.wall.append(wall)
        self.cpu.append(cpu)

    def __str__(self) -> str:
        return f"{1e3 * median(self.wall):.0f} ms ({1e3 * median(self.cpu):.0f} of CPU)"


def measure(scene: Scene) -> list[Figure]:
    syncs, directory = scene.size(50, 5), scene.directory / "worker"
    with scene.api.workspace("commands", syncs) as workspace, worker(directory, workspace) as process:
        workspace.wait_for("polls", syncs)
        return [
            _figure(directory, process.log, scene.size(20, 2), "", kept=True),
            _figure(directory, process.log, scene.size(5, 1), ", no byte code", kept=False),
        ]


def _figure(directory: Path, log: Path, times: int, how: str, *, kept: bool) -> Figure:
    taken = {name: _Taken() for name in COMMANDS}
    for _ in range(times):
        for name, command in COMMANDS.items():
            taken[name].add(*_run(command, directory, log, kept))
    status, *others = (f"{each} for {name}" if name != STATUS else str(each) for name, each in taken.items())
    measured = f"{status}; {', '.join(others)}"
    if not kept:
        return Figure(f"start-up of `{STATUS}`{how}", measured, "shown")
    return Figure(
        f"start-up of `{STATUS}`", measured, f"<= {1e3 * TO_REACH:.0f} ms", median(taken[STATUS].wall) <= TO_REACH
    )


def _run(command: Sequence[str | Path], directory: Path, log: Path, kept: bool) -> tuple[float, float]:
    """Wall time and CPU; not `kept`: with nothing compiled beforehand, as where nobody may write byte code."""
    with TemporaryDirectory(dir=directory) as empty, log.open("ab") as out:
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        if not kept:
            environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": empty}
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=out, stderr=out)
        _, code, used = os.wait4(process.pid, 0)
        took = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}, see {log}")
    return took, used.ru_utime + used.ru_stime
