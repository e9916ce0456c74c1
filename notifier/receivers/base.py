"""What a receiver is to the rest of the notifier."""

from typing import Protocol

from notifier.model import Message, Outcome


class Receiver(Protocol):
    """Where messages go. `send` makes one attempt and never raises for what the other side does."""

    name: str
    concurrency: int

    async def send(self, message: Message) -> Outcome:
        """One attempt; the outcome says what happens next."""
        ...
