"""When the next message may go to one destination: its pace, and the holds that it asked for. Pure: times are given.

Receivers that post to the same place share one. Times are seconds of one monotonic clock.
"""

from dataclasses import dataclass, field
from typing import Final

HEAD_START: Final = 0.02  # seconds by which whoever was served least recently comes before the next one
LONGEST_HEAD_START: Final = 0.2  # however many share a pace: they must not stretch it
NEVER: Final = float("-inf")
PACE: Final = 1.0  # seconds between two messages to a channel (Slack: rate limits, "Posting messages")
EDIT_PACE: Final = 1.2  # seconds between two edits by one token (Slack: Tier 3, 50 a minute)


class Turnstile:
    """One destination. `interval`: seconds that lie between two messages, 0 where it has no pace."""

    def __init__(self, interval: float = 0.0) -> None:
        self._interval = interval
        self._held_until = 0.0
        self._last_left = NEVER
        self._inside: set[Passage] = set()
        self._served: list[str] = []  # who shares it, least recently served first

    def join(self, name: str) -> None:
        """Another receiver that posts here."""
        if name not in self._served:
            self._served.append(name)

    def disband(self) -> None:
        """Nobody shares it until they join again, or enter."""
        self._served.clear()

    def hold(self, until: float) -> None:
        """The destination asked to be left alone."""
        self._held_until = max(self._held_until, until)

    def is_held(self, now: float) -> bool:
        return now < self._held_until

    def opens_at(self, name: str) -> float:
        """When this receiver may send. Those that share a pace take turns: the last one served comes last."""
        if not self._interval:
            return self._held_until
        place = self._served.index(name) if name in self._served else 0
        last = max((passage.at for passage in self._inside), default=NEVER)
        return max(
            self._held_until, max(last, self._last_left) + self._interval + min(place * HEAD_START, LONGEST_HEAD_START)
        )

    def enter(self, name: str, now: float) -> "Passage":
        """An attempt begins. If it hangs, the others need not wait for its end."""
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
        """Another one turned out to lead to the same place: what was asked for there, and who is being sent or was sent
        last, holds here."""
        self._held_until = max(self._held_until, other._held_until)
        self._last_left = max(self._last_left, other._last_left)
        for passage in other._inside:
            passage.turnstile = self
        self._inside |= other._inside
        other._inside = set()


@dataclass(slots=True, eq=False)
class Passage:
    """One attempt on its way through a turnstile. `turn`: the place of its receiver before."""

    turnstile: Turnstile
    name: str
    at: float
    turn: int

    def leave(self, now: float) -> None:
        """The attempt is over. Only now is it certain that its message is not still on its way: the pace counts there,
        and a slow connection must not bring two messages together."""
        self.turnstile._end(self, now)

    def turn_back(self) -> None:
        """There was no attempt after all: all is as if it had never entered, and others' attempts still count."""
        self.turnstile._end(self, NEVER)
        self.turnstile._move(self.name, self.turn)


class Turnstiles:
    """A turnstile for each destination. One destination may go by several names: a channel's name and its ID."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._by_name: dict[tuple[str, ...], Turnstile] = {}

    def of(self, *destination: str) -> Turnstile:
        """The one of a destination; the parts of its name may be secrets."""
        return self._by_name.setdefault(destination, Turnstile(self._interval))

    def same(self, turnstile: Turnstile, *destination: str) -> Turnstile:
        """What a turnstile leads to goes by this name too: the one that was known by it before, or else itself. From
        then on it is the one of all names by which either was known."""
        shared = self._by_name.setdefault(destination, turnstile)
        if shared is not turnstile:
            shared.take_over(turnstile)
            names = [name for name, known in self._by_name.items() if known is turnstile]
            self._by_name |= dict.fromkeys(names, shared)
        return shared

    def disband(self) -> None:
        """Before the receivers of another watchlist join: who is gone keeps no turn. Paces and holds go on."""
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
