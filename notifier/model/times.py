"""Lengths of time and counts in words, and times as RFC 3339. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}


def spoken(length: timedelta) -> str:
    """A length of time in its two largest units: 1 min 13 s."""
    seconds = int(length.total_seconds())
    units = tuple(_UNITS.items())
    for place, (unit, size) in enumerate(units):
        if seconds >= size:
            rest = seconds % size
            name, finer = units[place + 1] if place + 1 < len(units) else ("", 1)
            return f"{seconds // size} {unit}" + (f" {rest // finer} {name}" if name and rest >= finer else "")
    return "under 1 s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """ "1 sync", "2 syncs", "1,200 deliveries"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: 2026-11-23T10:15:30.123Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parsed_time(value: object) -> datetime | None:
    """A time as the API or a body gives it, aware and in UTC; None for what can't be read as one."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: the year 1 or 9999, moved by its offset
        return None
