"""What a check found, as a value; and the one sentence in which each is told. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias, assert_never

from notifier.model.identity import Id
from notifier.model.times import counted, spoken


@dataclass(frozen=True, slots=True)
class Running:
    """A run has been running for longer than it may."""

    than: timedelta


@dataclass(frozen=True, slots=True)
class Standstill:
    """No run has completed for longer than may be."""

    than: timedelta


@dataclass(frozen=True, slots=True)
class Silent:
    """A workspace's API has given no usable answer for longer than may be."""

    than: timedelta
    error: str
    """What came in its place, last."""


@dataclass(frozen=True, slots=True)
class NotRead:
    """The runs of a sync, or one of them, could not be read for longer than may be."""

    than: timedelta
    error: str
    """What came in their place, last."""
    run_id: Id | None = None
    """The one run; None: all of the sync."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A run sent an unusual number of records."""

    sent: int
    mean: int
    """What the runs before it sent."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Records of a run that did not arrive: rejected, or invalid."""

    bad: int
    of: int
    """How many there were, those sent and those invalid."""


@dataclass(frozen=True, slots=True)
class AnotherError:
    """The sync still fails, with an error that is not like the one before."""


@dataclass(frozen=True, slots=True)
class Said:
    """What others said, in their words: a run of its failure, the API of a key, an older version of this notifier."""

    words: str


Measure: TypeAlias = Running | Standstill | Silent | NotRead | Counted | Lost | AnotherError | Said


def sentence(measure: Measure) -> str:
    """The sentence for people and programs that this becomes: an event's `summary`."""
    match measure:
        case Running(than):
            return f"running for more than {spoken(than)}"
        case Standstill(than):
            return f"no run has completed for more than {spoken(than)}"
        case Silent(than, error):
            return f"no usable answer for more than {spoken(than)}: {error}"
        case NotRead(than, error, run_id):
            what = "no readable answer" if run_id is None else f"run {run_id} can't be read"
            return f"{what} for more than {spoken(than)}: {error}"
        case Counted(sent, mean):
            return f"{counted(sent, 'record')} sent, the mean of the runs before is {mean:,}"
        case Lost(bad, of):
            were = "was" if bad == 1 else "were"
            return f"{bad:,} of {counted(of, 'record')} {were} rejected or invalid ({bad * 100 // of} %)"
        case AnotherError():
            return "another error"
        case Said(words):
            return words
        case unknown:
            assert_never(unknown)


def measure_json(measure: Measure | None) -> dict[str, Any] | None:
    """A measure as receivers get it, and as it is kept. None where the sentence is all there is."""
    match measure:
        case Running(than):
            return {"kind": "running", "than_seconds": _seconds(than)}
        case Standstill(than):
            return {"kind": "standstill", "than_seconds": _seconds(than)}
        case Silent(than, error):
            return {"kind": "silent", "than_seconds": _seconds(than), "error": error}
        case NotRead(than, error, run_id):
            return {"kind": "not_read", "than_seconds": _seconds(than), "error": error, "sync_run_id": run_id}
        case Counted(sent, mean):
            return {"kind": "counted", "records_sent": sent, "mean": mean}
        case Lost(bad, of):
            return {"kind": "lost", "records_lost": bad, "of": of}
        case AnotherError():
            return {"kind": "another_error"}
        case Said() | None:
            return None
        case unknown:
            assert_never(unknown)


def measure_of(given: object) -> Measure | None:
    """The measure that became this JSON; None for any other."""
    match given:
        case {"kind": "counted", "records_sent": int() as sent, "mean": int() as mean}:
            return Counted(sent, mean)
        case {"kind": "lost", "records_lost": int() as bad, "of": int() as of}:
            return Lost(bad, of)
        case {"kind": "another_error"}:
            return AnotherError()
        case {"kind": kind, "than_seconds": int() | float() as seconds}:
            than = _length(seconds)
            return _lasting(kind, than, given) if than is not None else None
        case _:
            return None


def _lasting(kind: object, than: timedelta, given: object) -> Measure | None:
    match kind, given:
        case "running", _:
            return Running(than)
        case "standstill", _:
            return Standstill(than)
        case "silent", {"error": str() as error}:
            return Silent(than, error)
        case "not_read", {"error": str() as error, "sync_run_id": int() | str() | None as run_id}:
            return NotRead(than, error, run_id)
        case _:
            return None


def _seconds(length: timedelta) -> int | float:
    seconds = length.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _length(seconds: float) -> timedelta | None:
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):  # which nobody of ours wrote
        return None
