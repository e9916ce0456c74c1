"""A connection with a thread of its own, whichever database it leads to."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class ConnectionThread(Protocol):
    """A connection that only its thread uses."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, or raises, in the thread; it runs to its end whatever becomes of the caller."""
        ...
