"""What a receiver is to the rest of the notifier."""

from typing import Protocol

from notifier.model.delivery import Message, Outcome
from notifier.receivers.pace import Turnstile


class Receiver(Protocol):
    """Where messages go. `send` makes one attempt and never raises for what the other side does.

    `turnstile` is shared by all receivers of one destination. `can_be_asked`: whether it can look up a message that it
    may have sent before, and so wants to know when an earlier attempt began. `most_at_once`: how many events of a story
    that wait it takes together.
    """

    name: str
    concurrency: int
    can_be_asked: bool
    most_at_once: int

    @property
    def turnstile(self) -> Turnstile:
        """What each message has to pass."""
        ...

    def gate(self, message: Message) -> Turnstile | None:
        """What this message has to pass besides, if anything."""
        ...

    async def send(self, message: Message) -> Outcome:
        """One attempt; the outcome says what happens next."""
        ...
