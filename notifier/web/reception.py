"""What the server goes by now.

A reload puts another worker behind the same socket: whoever answers a request asks here, and keeps nothing of it for
the next.
"""

import asyncio
from dataclasses import dataclass, field

from notifier.web.access import Door
from notifier.web.insight import Insight


@dataclass(slots=True)
class Reception:
    """`insight` and `door` are those of the watchlist in force. `taking` is held while a webhook is taken."""

    insight: Insight
    door: Door
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def close(self) -> None:
        """From now on webhooks wait, and the last one is taken: the worker behind is about to go."""
        await self.taking.acquire()

    def reopen(self, insight: Insight, door: Door) -> None:
        """Another worker is there."""
        self.insight, self.door = insight, door
        self.taking.release()
