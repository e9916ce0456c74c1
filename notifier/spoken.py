"""Lengths of time in words. Pure."""

from datetime import timedelta


def spoken(length: timedelta) -> str:
    """A length of time in its two largest units: 1 min 13 s."""
    seconds = int(length.total_seconds())
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    for place, (size, unit) in enumerate(units):
        if seconds >= size:
            rest = seconds % size
            finer, name = units[place + 1] if place + 1 < len(units) else (1, "")
            return f"{seconds // size} {unit}" + (f" {rest // finer} {name}" if name and rest >= finer else "")
    return "under 1 s"
