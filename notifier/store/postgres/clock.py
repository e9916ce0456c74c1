"""The clock of a worker at a server."""

import time


def passed() -> float:
    """Seconds by a clock that never leaps; what the machine slept through counts, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
