"""When the next message may go to one destination: its pace, and the holds that it asked for. Pure: times are given.

Receivers that post to the same place share one. Times are seconds of one monotonic clock.
"""

from typing import Final

HEAD_START: Final = 0.02  # seconds by which whoever was served least recently comes before the next one


class Turnstile:
    """One destination. `interval`: seconds that lie between two messages, 0 where it has no pace."""

    def __init__(self, interval: float = 0.0) -> None:
        self._interval = interval
        self._held_until = 0.0
        self._next = 0.0
        self._served: list[str] = []  # who shares it, least recently served first

    def join(self, name: str) -> None:
        """Another receiver that posts here."""
        if name not in self._served:
            self._served.append(name)

    def hold(self, until: float) -> None:
        """The destination asked to be left alone."""
        self._held_until = max(self._held_until, until)

    def is_held(self, now: float) -> bool:
        return now < self._held_until

    def opens_at(self, name: str) -> float:
        """When this receiver may send. Those that share a pace take turns: the last one served comes last."""
        place = self._served.index(name) if name in self._served else 0
        return max(self._held_until, self._next + place * HEAD_START if self._interval else 0.0)

    def enter(self, name: str, now: float) -> None:
        """An attempt begins. If it hangs, the others need not wait for its end."""
        self._next = max(self._next, now + self._interval)
        if name in self._served:
            self._served.remove(name)
            self._served.append(name)

    def turn_back(self, now: float) -> None:
        """What entered made no attempt after all."""
        self._next = min(self._next, now)

    def leave(self, now: float) -> None:
        """An attempt is over. Only now is it certain that its message is not still on its way: the pace counts there,
        and a slow connection must not bring two messages together."""
        self._next = max(self._next, now + self._interval)

    def take_over(self, other: "Turnstile") -> None:
        """Another one turned out to lead to the same place: what was asked for there, and who was sent last, holds."""
        self._held_until = max(self._held_until, other._held_until)
        self._next = max(self._next, other._next)


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
