"""What of a message may be left out so that Slack accepts it: its blocks, whom it mentions, that the channel sees a
reply. Each is left out only after Slack refused the message with it. Pure.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from notifier.receivers.slack.errors import Fault, fault_of, shown

TRIED_AGAIN_AFTER: Final = timedelta(hours=1)  # an administrator may have allowed it meanwhile
IN_CHANNEL: Final = "that the channel sees a reply"
THREADS: Final = "replies in the channel's threads"
_MENTIONS_AT_FAULT: Final = frozenset({Fault.RIGHTS, Fault.SHAPES, Fault.UNKNOWN})


class Forbidden:
    """What Slack refused of one receiver's messages: it is left out from then on, and tried again an hour later.

    In memory: after a restart it is tried at once.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[datetime, str]] = {}

    def add(self, what: str, why: str, now: datetime) -> bool:
        """Keeps it; whether that is news."""
        is_news = what not in self._known
        self._known[what] = (now, why)
        return is_news

    def why(self, what: str, now: datetime) -> str | None:
        """The reason why this is left out; None where it may be tried."""
        at, why = self._known.get(what, (None, ""))
        return why if at is not None and timedelta(0) <= now - at < TRIED_AGAIN_AFTER else None


@dataclass(frozen=True, slots=True)
class Draft:
    """One shape of a message."""

    mentions: tuple[str, ...] = ()
    in_channel: bool = False
    """Whether the channel sees it, though it is a reply in a thread."""
    refused: str = ""
    """The code with which Slack refused its blocks, so that it goes as plain text."""
    left_out: tuple[tuple[str, str], ...] = ()
    """What it has lost, each with the reason, in the order in which it was lost."""

    def after(self, code: str) -> "Draft | None":
        """The shape to try once Slack refused this one for good; None where no other could fare better.

        Whether it is the mention, only a message without it can show: the same word says that nobody may post there.
        """
        fault = fault_of(code)
        if fault is Fault.SHAPES and not self.refused:
            return replace(self, refused=code)
        if fault is Fault.BROADCASTS and self.in_channel:
            return self.without(IN_CHANNEL, shown(code))
        if code and fault in _MENTIONS_AT_FAULT and self.mentions:
            # Mostly it is @channel and @here that are forbidden, while people and groups may be called.
            all_at_once = [mention for mention in self.mentions if mention.startswith("@")] or self.mentions
            draft = self
            for mention in all_at_once:
                draft = draft.without(mention, shown(code))
            return draft
        return None

    def without(self, what: str, why: str) -> "Draft":
        """The same less one mention, or no longer shown in the channel."""
        if what == IN_CHANNEL:
            return replace(self, in_channel=False, left_out=(*self.left_out, (what, why)))
        others = tuple(mention for mention in self.mentions if mention != what)
        return replace(self, mentions=others, left_out=(*self.left_out, (what, why)))

    def allowed(self, forbidden: Forbidden, now: datetime) -> "Draft":
        """The same less what is known to be forbidden."""
        draft = self
        for what in (*self.mentions, *((IN_CHANNEL,) if self.in_channel else ())):
            if (why := forbidden.why(what, now)) is not None:
                draft = draft.without(what, why)
        return draft

    @property
    def caveat(self) -> str | None:
        """What is missing of a message that was accepted, and why."""
        if not self.left_out:
            return None
        reasons = dict.fromkeys(why for _, why in self.left_out)
        parts = (f"{', '.join(what for what, of in self.left_out if of == why)}: {why}" for why in reasons)
        return f"Slack refuses {'; '.join(parts)}"
