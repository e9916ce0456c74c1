"""When the next message may go to one destination: its pace, and the holds that it asked for. Pure: times are given.

Receivers that post to the same destination share a turnstile. Times are seconds of one monotonic clock.
"""

from dataclasses import dataclass, field
from typing import Final

HEAD_START: Final = 0.02  # seconds by which whoever was served least recently comes before the next one
LONGEST_HEAD_START: Final = 0.2  # however many share a pace: they must not stretch it
NEVER: Final = float("-inf")
PACE: Final = 1.0  # seconds between two messages to a channel (Slack: rate limits, "Posting messages")
EDIT_PACE: Final = 1.2  # seconds between two edits by one token (Slack: Tier 3, 50 a minute)


class Turnstile:
    """One destination. `interval`: seconds between two messages to it; 0 where it takes them at any pace."""

    def __init__(self, interval: float = 0.0) -> None:
        self._interval = interval
        self._held_until = 0.0
        self._last_left = NEVER
        self._inside: set[Passage] = set()
        self._served: list[str] = []  # who shares it, least recently served first

    def join(self, name: str) -> None:
        """Another receiver posts here."""
        if name not in self._served:
            self._served.append(name)

    def disband(self) -> None:
        """Forgets who shares it, until they join again or enter."""
        self._served.clear()

    def hold(self, until: float) -> None:
        """The destination asked to be left alone until then."""
        self._held_until = max(self._held_until, until)

    def is_held(self, now: float) -> bool:
        return now < self._held_until

    def opens_at(self, name: str) -> float:
        """When this receiver may send. Those that share a pace take turns: who was served last has to wait longest."""
        if not self._interval:
            return self._held_until
        place = self._served.index(name) if name in self._served else 0
        last = max((passage.at for passage in self._inside), default=NEVER)
        return max(
            self._held_until, max(last, self._last_left) + self._interval + min(place * HEAD_START, LONGEST_HEAD_START)
        )

    def enter(self, name: str, now: float) -> "Passage":
        """An attempt of this receiver begins. The others wait from its begin, not for its end: it may hang."""
        turn = self._served.index(name) if name in self._served else 0
        passage = Passage(self, name, now, turn)
        self._inside.add(passage)
        self._move(name, len(self._served))
        return passage

    def _move(self, name: str, turn: int) -> None:
        if name in self._served:
            self._served.remove(name)
        self._served.insert(turn, name)

    def _end(self, passage: "Passage", left_at: float) -> None:
        self._inside.discard(passage)
        self._last_left = max(self._last_left, left_at)

    def take_over(self, other: "Turnstile") -> None:
        """Another turnstile turned out to lead to the same destination: its holds, its attempts under way and the time
        of its last message count here from now on."""
        self._held_until = max(self._held_until, other._held_until)
        self._last_left = max(self._last_left, other._last_left)
        for passage in other._inside:
            passage.turnstile = self
        self._inside |= other._inside
        other._inside = set()


@dataclass(slots=True, eq=False)
class Passage:
    """One attempt on its way through a turnstile."""

    turnstile: Turnstile
    name: str
    """Of its receiver."""
    at: float
    """When it began."""
    turn: int
    """How many receivers had their turn before this one, for `turn_back`."""

    def leave(self, now: float) -> None:
        """The attempt is over, and the next one waits from now: a slow connection may have delivered its message only
        now, and must not bring two messages together."""
        self.turnstile._end(self, now)

    def turn_back(self) -> None:
        """There was no attempt after all: all is as if it had never entered."""
        self.turnstile._end(self, NEVER)
        self.turnstile._move(self.name, self.turn)


class Turnstiles:
    """A turnstile for each destination. A destination may have several names, as a channel has a name and an ID."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._by_name: dict[tuple[str, ...], Turnstile] = {}

    def of(self, *destination: str) -> Turnstile:
        """The turnstile of a destination, whose name has these parts. They may be secrets, and are never shown."""
        return self._by_name.setdefault(destination, Turnstile(self._interval))

    def same(self, turnstile: Turnstile, *destination: str) -> Turnstile:
        """The destination of a turnstile has this name too. Says which turnstile it has from now on, by all its names:
        the one that had this name before, or else the one that was given."""
        shared = self._by_name.setdefault(destination, turnstile)
        if shared is not turnstile:
            shared.take_over(turnstile)
            names = [name for name, known in self._by_name.items() if known is turnstile]
            self._by_name |= dict.fromkeys(names, shared)
        return shared

    def disband(self) -> None:
        """Forgets which receivers there are, before those of another watchlist join. Paces and holds go on."""
        for turnstile in self._by_name.values():
            turnstile.disband()


@dataclass(frozen=True, slots=True, repr=False)
class Paces:
    """When each destination of Slack's may be sent to next."""

    messages: Turnstiles = field(default_factory=lambda: Turnstiles(PACE))
    """By channel."""
    edits: Turnstiles = field(default_factory=lambda: Turnstiles(EDIT_PACE))
    """By token."""

    def disband(self) -> None:
        """Before the receivers of another watchlist join: who is gone keeps no turn."""
        self.messages.disband()
        self.edits.disband()
