"""What the bodies of older versions say: theirs have no `measure`, and outlive an upgrade. Pure."""

import re
from datetime import timedelta
from typing import Final

from notifier.model.incident import Check
from notifier.model.measure import AnotherError, Counted, Measure, NotRead, Running, Said, Silent, Standstill

_UNITS: Final = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_LENGTH: Final = re.compile(r"(\d{1,7}) (d|h|min|s)(?: (\d{1,7}) (h|min|s))?")
_SLOW_RUN: Final = re.compile(r"running for more than (.{1,40})")
_STALE: Final = re.compile(r"no run has completed for more than (.{1,40})")
_UNREACHABLE: Final = re.compile(r"no usable answer for more than ([\w ]{1,40}): (.*)")
_UNREADABLE: Final = re.compile(
    r"(?:no readable answer|run (\d{1,19}) can't be read) for more than ([\w ]{1,40}): (.*)"
)
_RECORD_COUNT: Final = re.compile(r"(\d[\d,]{0,25}) records? sent, the mean of the runs before is (\d[\d,]{0,25})")


def measure_of_older(check: Check, summary: str) -> Measure:
    """What the check had found, from its sentence: the only place that reads one."""
    if summary == "another error":
        return AnotherError()
    if check is Check.SLOW_RUN and (found := _SLOW_RUN.fullmatch(summary)):
        return Running(_length(found[1]))
    if check is Check.STALE and (found := _STALE.fullmatch(summary)):
        return Standstill(_length(found[1]))
    if check is Check.UNREACHABLE and (found := _UNREACHABLE.fullmatch(summary)):
        return Silent(_length(found[1]), found[2])
    if check is Check.UNREADABLE and (found := _UNREADABLE.fullmatch(summary)):
        return NotRead(_length(found[2]), found[3], int(found[1]) if found[1] else None)
    if check is Check.RECORD_COUNT and (found := _RECORD_COUNT.fullmatch(summary)):
        return Counted(_number(found[1]), _number(found[2]))
    return Said(summary)


def _length(words: str) -> timedelta:
    """A length as it was spoken; none at all where it was too short for that."""
    found = _LENGTH.fullmatch(words)
    if found is None:
        return timedelta(0)
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]] + int(found[3] or 0) * _UNITS[found[4] or "s"])


def _number(words: str) -> int:
    return int(words.replace(",", ""))
