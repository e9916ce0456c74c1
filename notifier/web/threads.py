"""What would hold up the event loop, such as reading the database, is done in threads: a few at a time, so that whoever
asks much delays neither polling nor delivery."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
MOST_THREADS: Final = 2


class Threads:
    """The threads of one kind of requests."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MOST_THREADS)

    async def run(self, act: Callable[[], T]) -> T:
        """Waits for a thread, and then for what it does."""
        async with self._places:
            return await asyncio.to_thread(act)
