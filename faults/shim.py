"""A shim between the worker and its disk: kills it at named points, and keeps what a power loss would leave.

Needs a C compiler and a Python whose SQLite is linked to the C library, as all that we know are.
"""

import os
import random
import shutil
from pathlib import Path
from typing import Literal

from faults.preload import built
from tests.acceptance.workplace import Workplace

SOURCE = Path(__file__).with_name("shim.c")
Point = Literal["wal-write", "wal-sync", "wal-synced", "db-write", "db-sync", "db-synced"]
SECTOR = 512


class Shim:
    """The shim of one workplace; from now on its worker starts with it."""

    def __init__(self, workplace: Workplace) -> None:
        self._database = Path(os.path.realpath(workplace.directory / "n.db"))
        self.control = workplace.directory / "control"
        self.control.mkdir()
        self._synced = self.control / "synced"
        workplace.environment |= {
            "LD_PRELOAD": str(built(SOURCE, self.control)),
            "FAULTS_CONTROL": str(self.control),
            "FAULTS_DATABASE": str(self._database),
        }

    def kill_at(self, point: Point) -> None:
        """The worker dies when it next comes by this point."""
        (self.control / f"kill-{point}").touch()

    def has_killed(self, point: Point) -> bool:
        """Whether it came by since; if not, it may pass from now on."""
        armed = self.control / f"kill-{point}"
        passed = not armed.exists()
        armed.unlink(missing_ok=True)
        return passed

    def keep_what_is_synced(self) -> None:
        """From now on a copy of each file is kept as it was at its last sync; none is kept yet."""
        shutil.rmtree(self._synced, ignore_errors=True)
        self._synced.mkdir()

    def lose_power(self, chance: random.Random | None) -> bool:
        """The worker is dead: gives back only what was synced; with `chance`, any sectors of what was not, too.

        Whether the database itself had been synced since the last loss, so by a checkpoint.
        """
        checkpointed = False
        for kept, suffix in (("database", ""), ("wal", "-wal"), ("journal", "-journal")):
            file = self._database.with_name(self._database.name + suffix)
            synced = self._synced / kept
            checkpointed |= not suffix and _differ(synced, self.control / kept)
            if not synced.exists():  # neither its content nor its name was safe, or both are gone for good
                file.unlink(missing_ok=True)
                continue
            survives = synced.read_bytes()
            if chance is not None and file.exists():
                survives = _torn(survives, file.read_bytes(), chance)
            for place in (file, synced, self.control / kept):
                place.write_bytes(survives)
        self._database.with_name(self._database.name + "-shm").unlink(missing_ok=True)
        return checkpointed


def _differ(one: Path, other: Path) -> bool:
    return one.exists() and not (other.exists() and one.read_bytes() == other.read_bytes())


def _torn(synced: bytes, written: bytes, chance: random.Random) -> bytes:
    """Of each sector that was written and not synced, the old or the new; so of the length."""
    size = chance.choice((len(synced), len(written)))
    survives = bytearray(synced[:size].ljust(size, b"\0"))
    for at in range(0, size, SECTOR):
        if chance.random() < 0.5 and (new := written[at : at + SECTOR]):
            survives[at : at + len(new)] = new
    return bytes(survives[:size])
