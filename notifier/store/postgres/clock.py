"""The clock that a worker at a server goes by, and how it waits for what the clock or another task brings about."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

GLANCE: Final = 0.1  # seconds between two looks


def passed() -> float:
    """Seconds by a clock that never leaps; what the machine slept through counts, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds; raises what it raises."""
    while True:
        if holds():
            return
        await asyncio.sleep(GLANCE)
