"""A shim between the worker and its disk: kills it at named points, and keeps what a power loss would leave.

Needs a C compiler and a Python whose SQLite is linked to the C library, as all that we know are.
"""

import os
import subprocess
from pathlib import Path
from typing import Literal

from faults.row import must
from tests.acceptance.workplace import Workplace

SOURCE = Path(__file__).with_name("shim.c")
Point = Literal["wal-write", "wal-sync", "wal-synced"]


class Shim:
    """The shim of one workplace; from now on its worker starts with it."""

    def __init__(self, workplace: Workplace) -> None:
        self.control = workplace.directory / "control"
        self.control.mkdir()
        self.synced = self.control / "synced"
        library = self.control / "shim.so"
        compiler = os.environ.get("CC", "cc")
        built = subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, SOURCE, "-ldl"],
            capture_output=True,
            text=True,
            check=False,
        )
        must(built.returncode == 0, f"{compiler} can't build {SOURCE.name} (apt-get install gcc): {built.stderr}")
        workplace.environment |= {
            "LD_PRELOAD": str(library),
            "FAULTS_CONTROL": str(self.control),
            "FAULTS_DATABASE": os.path.realpath(workplace.directory / "n.db"),
        }

    def kill_at(self, point: Point) -> None:
        """The worker dies when it next comes by this point."""
        (self.control / f"kill-{point}").touch()

    def has_killed(self, point: Point) -> bool:
        """Whether it came by since."""
        return not (self.control / f"kill-{point}").exists()
