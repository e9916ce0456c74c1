"""The clock that a worker at a server goes by, and how it waits for what the clock or another task brings about."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from notifier.model.errors import StoreError, StoreUnavailable

log = structlog.get_logger(__name__)

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


async def for_ever(
    act: Callable[[], Awaitable[bool]], every: float, put_off: Callable[[StoreUnavailable], None]
) -> None:
    """Acts every so many seconds, or again at once where `act` says so. Raises StoreError where that is for good.

    The loop's border: what can't be done now, by the database's fault or ours, is at the next time."""
    while True:
        try:
            again = await act()
        except StoreUnavailable as error:
            again = False
            put_off(error)
        except StoreError:
            raise
        except Exception:
            again = False
            log.exception("the other workers can't be seen by a fault of the notifier; please report it")
        if not again:
            await asyncio.sleep(every)
