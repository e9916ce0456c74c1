"""Slack receivers, until they are built: their messages wait in the database, and `status` says why."""

from notifier.model import Broken, Message, Outcome


class UnbuiltSender:
    """Sends nothing and says so."""

    concurrency = 1

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self._kind = kind

    async def send(self, message: Message) -> Outcome:
        """Always broken: the delivery stays pending for the version that can send it."""
        return Broken(f"this version can't send to {self._kind} yet; the message waits for one that can")
