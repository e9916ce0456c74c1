"""Which workers at one database are dead: those of whom nothing was seen for a while, by one's own clock. Pure.

No wall clock decides anything: each worker's row has counters that whatever it does moves, and silence is that they
stand still. It counts only while one looks, and shows signs of life: who was frozen himself, or could not reach the
database, or not write to it, accuses nobody.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

LEASE: Final = 10.0  # seconds of silence after which a worker is dead
LONGEST_MUTE: Final = 5.0  # seconds since one's own last sign, after which it is: perhaps nobody can write
LONGEST_GAP: Final = 2.0  # seconds between two looks, after which all that was seen is forgotten


class Sign(NamedTuple):
    """The counters of a worker's row, at one look."""

    beats: int
    written: int


class Attendance:
    """What one worker knows of the others."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Sign, float]] = {}
        self._looked_at: float | None = None

    def look(
        self, signs: Mapping[str, Sign], begun: float, ended: float, renewed: float | None = None
    ) -> dict[str, Sign]:
        """Takes one look, by the ID of each worker, and when it was begun and ended; gives the dead and their signs.

        `renewed` is when one's own last sign was given; left out, it was now.
        A sign is as new as the end of the look that showed it, and silence lasts until the beginning of one."""
        if self._looked_at is None or begun - self._looked_at > LONGEST_GAP or ended - begun > LONGEST_GAP:
            self._seen = {}
        if renewed is not None and begun - renewed > LONGEST_MUTE:
            self._seen = {}
        self._looked_at = ended
        known, self._seen = self._seen, {}
        dead: dict[str, Sign] = {}
        for worker, sign in signs.items():
            last, since = known.get(worker, (None, ended))
            if last != sign:
                since = ended
            self._seen[worker] = sign, since
            if begun - since >= LEASE:
                dead[worker] = sign
        return dead
