"""Which workers at one database are dead: those of whom nothing was seen for a while, by one's own clock. Pure.

No wall clock decides anything: each worker's row has counters that whatever it does moves, and silence is that they
stand still. It counts only while one looks, and shows signs of life: who was frozen himself, or could not reach the
database, or not write to it, accuses nobody.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

LEASE: Final = 10.0  # seconds of silence after which a worker is dead
LONGEST_MUTE: Final = 5.0  # seconds since one's own last sign, after which it is: perhaps nobody can write
LONGEST_GAP: Final = 2.0  # seconds between two looks, or in one: what is longer does not count
LONGEST_ABSENCE: Final = LEASE  # seconds between two looks, after which all that was seen is forgotten


class Sign(NamedTuple):
    """The counters of a worker's row, at one look."""

    beats: int
    written: int


class _Seen(NamedTuple):
    """What is known of a worker."""

    sign: Sign
    silent: float
    """Seconds for which that sign has been the last."""
    counted_to: float
    """From when on the next of them count."""


class Attendance:
    """What one worker knows of the others."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._looked_at: float | None = None
        self._written: tuple[object, Mapping[str, int]] = None, {}
        """In which life of one's own, and how far each worker had come at its last look, however long ago that was."""
        self._appended: tuple[object, int] = None, 0

    def is_behind(self, signs: Mapping[str, Sign], life: object) -> bool:
        """Whether a look shows less than one before it in this life: the database went back in time, as by a fail-over
        that lost commits. What one has read of others may not be there any more, though one's own writes are."""
        known, before = self._written
        self._written = life, {worker: sign.written for worker, sign in signs.items()}
        return life is known and any(sign.written < before.get(worker, 0) for worker, sign in signs.items())

    def is_short_of_some(self, appended: int, life: object) -> bool:
        """The same of how often deliveries were added. In the writer's thread, which may be late: without a life there
        is nothing to lose."""
        known, before = self._appended
        self._appended = life, appended
        return life is not None and life is known and appended < before

    def look(
        self, signs: Mapping[str, Sign], begun: float, ended: float, renewed: float | None = None
    ) -> dict[str, Sign]:
        """Takes one look, by the ID of each worker, and when it was begun and ended; gives the dead and their signs.

        `renewed` is when one's own last sign was given; left out, it was now.
        A sign is as new as the end of the look that showed it, and silence lasts until the beginning of one. A look
        that comes late, as on a machine with too much to do, leaves out what it did not see, and goes on counting."""
        gap = begun - self._looked_at if self._looked_at is not None else 0.0
        if gap > LONGEST_ABSENCE or (renewed is not None and begun - renewed > LONGEST_MUTE):
            self._seen = {}
        counts = max(gap, ended - begun) <= LONGEST_GAP
        self._looked_at = ended
        self._seen = {worker: self._now(worker, sign, begun, ended, counts) for worker, sign in signs.items()}
        return {worker: seen.sign for worker, seen in self._seen.items() if seen.silent >= LEASE}

    def _now(self, worker: str, sign: Sign, begun: float, ended: float, counts: bool) -> _Seen:
        known = self._seen.get(worker)
        if known is None or known.sign != sign:
            return _Seen(sign, 0.0, ended)
        if not counts:
            return _Seen(sign, known.silent, ended)
        return _Seen(sign, known.silent + begun - known.counted_to, begun)
