"""Which channel a receiver posts to. Pure.

The watchlist has a name or an ID for it. What identifies it is the ID in Slack's answers, which may be another one.
"""

from typing import Final

from notifier.receivers.slack.channel import Channel, is_channel_id

_BETWEEN: Final = "="


class Identity:
    """One channel: what the watchlist calls it, and the IDs by which Slack knows it."""

    def __init__(self, configured: str, note: str | None) -> None:
        """`note`: what the property of that name was before the last restart, or under an earlier watchlist."""
        self.configured = configured
        name, _, noted = (note or "").rpartition(_BETWEEN)
        by_id = configured if is_channel_id(configured) else None
        self.id = noted if noted and name == configured else by_id
        """The channel's ID as far as it is known."""
        self._ids = {known for known in (by_id, self.id) if known}
        self._was_in = noted if name != configured else ""
        self._others: set[str] = set()

    @property
    def note(self) -> str | None:
        """What to remember over a restart: the channel's ID, without which its history can't be read, and what the
        watchlist called it."""
        return f"{self.configured}{_BETWEEN}{self.id}" if self.id else None

    def is_answered(self, channel_id: str) -> None:
        """Slack answered with this ID. A channel's name may be another channel's by now; its IDs stay its own."""
        if channel_id != self.id:
            self._ids = {known for known in self._ids if known == self.configured}
            self._others.discard(channel_id)
        self.id = channel_id
        self._ids.add(channel_id)

    def is_it(self, channel_id: str) -> bool | None:
        """Whether an ID is this channel's; None where only Slack knows."""
        if channel_id in self._ids:
            return True
        if channel_id in self._others:
            return False
        if self.id is None and channel_id != self._was_in:
            return True  # nothing speaks against it: there is no note yet
        return None

    def shows(self, channel_id: str, found: Channel | None) -> None:
        """What Slack shows under an ID that `is_it` does not know; None where it shows nothing."""
        if found is not None and self._is_found(found):
            if self.id is None:
                self.is_answered(found.id)
            self._ids.add(channel_id)
        else:
            self._others.add(channel_id)

    def _is_found(self, found: Channel) -> bool:
        return found.id in self._ids or (self.id is None and found.name == self.configured.removeprefix("#"))
