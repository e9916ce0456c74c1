"""The pace that Slack asks for: a message a second to a channel or a webhook, and Tier 3 for edits.

https://docs.slack.dev/apis/web-api/rate-limits
"""

import math
import time
from typing import Final

from notifier.simulator.slack.call import Call
from notifier.simulator.slack.faults import POST_MESSAGE, UPDATE

EDITS_PER_WINDOW: Final = 50
EDIT_WINDOW: Final = 60.0
"""Seconds. Slack says "50+ per minute"; no burst is allowed for, so that nobody relies on one."""

_BETWEEN_MESSAGES: Final = 0.95
"""Seconds between two messages to one channel. Slack says one; the tolerance is for the way there."""


class Pace:
    """When what was accepted, and how long the next call of its kind has to wait for that."""

    def __init__(self) -> None:
        self._last_message: dict[str, float] = {}
        self._edits: dict[str, list[float]] = {}

    def count(self, call: Call, channel: str | None) -> None:
        """Counts a call that was accepted."""
        now, place = time.monotonic(), _place(call, channel)
        if place is not None:
            self._last_message[place] = now
        if call.method == UPDATE:
            self._edits.setdefault(call.token or "", []).append(now)

    def wait(self, call: Call, channel: str | None, edits: int, window: float) -> int | None:
        """The whole seconds for which a call comes too soon, at least 1; None for one that may go on.

        `edits`, at least 1, is how many calls of chat.update with one token fit into `window` seconds.
        """
        if call.method == UPDATE:
            return self._wait_to_edit(call.token or "", edits, window)
        last = self._last_message.get(_place(call, channel) or "")
        return None if last is None or time.monotonic() - last >= _BETWEEN_MESSAGES else 1

    def clear(self) -> None:
        """Forgets what was accepted."""
        self._last_message.clear()
        self._edits.clear()

    def _wait_to_edit(self, token: str, edits: int, window: float) -> int | None:
        now = time.monotonic()
        recent = [at for at in self._edits.get(token, ()) if now - at < window]
        if len(recent) < edits:
            return None
        # The one that has to leave the window for one more to fit in: the oldest, unless the limit was lowered.
        return max(1, math.ceil(recent[-edits] + window - now))


def _place(call: Call, channel: str | None) -> str | None:
    """Whose pace a message counts against: the channel's, or that of the incoming webhook; None for other calls."""
    if call.is_webhook:
        return call.path
    return channel if call.method == POST_MESSAGE else None
