"""The words and signs for what runs did, what checks found, and how that ended. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.incident import Check, Reason
from notifier.model.measure import Counted, Measure, NotRead, Running, Silent, Standstill, sentence
from notifier.model.times import counted, parsed_time, spoken
from notifier.receivers.words.event import LONGEST_CODE, RunError, count_of, line

GOOD: Final = "white_check_mark"
PARTLY: Final = "large_yellow_circle"
OVER: Final = "white_circle"

# --- what a run did ---

VERBS: Final = {
    EventType.FAILED: "failed",
    EventType.CANCELED: "was canceled",
    EventType.SKIPPED: "was skipped",
    EventType.WORKING: "is running",
    EventType.QUEUED: "is queued",
    EventType.SYNC_PAUSED: "was paused",
    EventType.SYNC_RESUMED: "was resumed",
    EventType.SYNC_DELETED: "was deleted in Census",
}


def run_words(event: EventBody) -> str:
    """What one event says of its run: "is running"; or of its sync."""
    kind, run, status = EventType(event.type), event.run, event.change_of("status")
    match kind:
        case EventType.COMPLETED:
            return "completed" + rejects(run)
        case EventType.FULL_SYNC:
            return _full_sync(run)
        case EventType.ERROR_CHANGED:
            return "has a new error" if RunError.of(run) else "has no error any more"
        case EventType.STATUS_CHANGED if status is not None:
            now = line(status.new, LONGEST_CODE)
            return f"is now “{now}”" if now else "has no status"
        case EventType.STATUS_CHANGED:
            return "is no longer canceled"
        case _:
            return VERBS[kind]


def meanwhile(event: EventBody) -> str:
    """What another run did while an incident goes on, or does by now: "now: run 96 is running"."""
    when = "now" if event.type in (EventType.QUEUED, EventType.WORKING) else "then"
    return f"{when}: run {line(event.run.get('id'), 40)} {run_words(event)}"


def rejects(run: Mapping[str, Any]) -> str:
    """A run that completed without some of its records is no plain success."""
    rejected = count_of(run, "records_failed")
    return f", {rejected:,} rejected" if rejected else ""


def is_canceled(run: Mapping[str, Any]) -> bool:
    """By its flag or by its status."""
    return run.get("canceled") is True or run.get("status") in ("canceled", "cancelled")


def has_completed(run: Mapping[str, Any]) -> bool:
    """Whether it went through to its end."""
    return run.get("status") == "completed" and not is_canceled(run)


def end_of_run(run: Mapping[str, Any]) -> tuple[str, str]:
    """The emoji of how a run that took long ended, and the words."""
    began, ended = parsed_time(run.get("created_at")), parsed_time(run.get("completed_at"))
    took = f" after {spoken(ended - began)}" if began and ended and ended > began else ""
    if is_canceled(run):
        return "no_entry_sign", f"was canceled{took}"
    match run.get("status"):
        case "completed":
            return PARTLY if rejects(run) else GOOD, f"completed{took}"
        case "failed":
            return WORDS[Check.FAILING].emoji, f"failed{took}"
        case _:
            return OVER, f"ended{took}"


def _full_sync(run: Mapping[str, Any]) -> str:
    if is_canceled(run):
        return "was canceled, it was a full sync"
    match run.get("status"):
        case "completed":
            return "completed a full sync" + rejects(run)
        case "working":
            return "is running a full sync"
        case "failed":
            return "failed, it was a full sync"
        case "skipped":
            return "was skipped, it was a full sync"
        case _:
            return "is a full sync"


# --- what a check found ---


@dataclass(frozen=True, slots=True)
class Words:
    """How a check's incident is told, behind the sync's name. `{for_}` and `{after}` become how long is too long,
    `{whose}` whose runs it is about."""

    emoji: str
    now: str
    """While it is open."""
    still: str
    """In a reminder."""
    before: str
    """Once it is over, though nothing recovered."""
    runs: str = ""
    """What its bad runs did."""
    again: str = ""
    """What one more of them did."""
    of: str = ""
    """From what it recovered."""


_UNUSUAL: Final = "an unusual number of records"
WORDS: Final = {
    Check.FAILING: Words("red_circle", "is failing", "is still failing", "was failing", "failed", "failed again"),
    Check.REJECTED_RECORDS: Words(
        PARTLY,
        "rejects records",
        "still rejects records",
        "rejected records",
        "rejected records",
        "rejected records again",
        "rejected records",
    ),
    Check.RECORD_COUNT: Words(
        PARTLY,
        f"sent {_UNUSUAL}",
        f"still sends {_UNUSUAL}",
        f"sent {_UNUSUAL}",
        "sent unusual numbers",
        f"sent {_UNUSUAL} again",
        "unusual numbers of records",
    ),
    Check.SLOW_RUN: Words("turtle", "has been running{for_}", "is still running{after}", "was running{for_}"),
    Check.STALE: Words(
        "zzz", "has not completed a run{for_}", "still has not completed a run{for_}", "had not completed a run{for_}"
    ),
    Check.UNREACHABLE: Words(
        "electric_plug", "Census can't be read", "Census still can't be read", "Census could not be read"
    ),
    Check.UNREADABLE: Words(
        "satellite_antenna", "{whose} can't be read", "{whose} still can't be read", "runs could not be read"
    ),
}
SILENT: Final = frozenset({Check.UNREACHABLE, Check.UNREADABLE})
"""What nobody answers, so that it began before it was opened."""
_SHORTEST: Final = timedelta(seconds=1)  # a length that has words


def too_long(measure: Measure | None) -> timedelta | None:
    """How long is too long; None where it is not a matter of time, or of less than a second."""
    match measure:
        case Running(than) | Standstill(than) | Silent(than) | NotRead(than):
            return than if than >= _SHORTEST else None
        case _:
            return None


def with_length(words: str, measure: Measure | None, length: timedelta | None) -> str:
    """Words of a check, with how long it has been so at the least, and of which runs."""
    more = f"more than {spoken(length)}" if length else ""
    one = measure.run_id if isinstance(measure, NotRead) else None
    return words.format(
        for_=f" for {more or 'too long'}",
        after=f" after {more}" if more else "",
        whose=f"'s run {one}" if one is not None else "'s runs",
    )


def behind(words: str) -> str:
    """Words as they stand behind a sync's name."""
    return words if words.startswith("'") else f" {words}"


def explained(measure: Measure | None, summary: str) -> str:
    """What was found, where the check's words do not say it already. `summary`: the whole of it in a sentence."""
    match measure:
        case Running() | Standstill():
            return ""
        case NotRead(than, error, int() | str()):
            return sentence(NotRead(than, error))  # which run, the check's words say
        case Counted(sent, mean):
            return f"{counted(sent, 'record')}, usually about {mean:,}"
        case _:
            return summary


# --- how it ended ---

_OTHER_ENDS: Final = {
    Reason.CHECK_OFF: "check turned off",
    Reason.UNWATCHED: "no longer watched",
    Reason.DELETED: "deleted in Census",
}
_RESTS: Final = "paused or no longer checked"  # or without a schedule; the check itself may well be on
_OTHER_ENDS_OF: Final = {  # of a slow run, the run may be what is gone
    (Check.STALE, Reason.CHECK_OFF): _RESTS,
    (Check.SLOW_RUN, Reason.CHECK_OFF): _RESTS,
    (Check.SLOW_RUN, Reason.UNWATCHED): "slow run no longer watched",
    (Check.SLOW_RUN, Reason.DELETED): "slow run no longer in Census",
}


def other_end(check: Check, reason: Reason) -> str:
    """How it ended without having recovered."""
    return _OTHER_ENDS_OF.get((check, reason)) or _OTHER_ENDS[reason]


def good_run(check: Check, run: Mapping[str, Any], name: str) -> str:
    """What the run of this name did with which it recovered."""
    match check:
        case Check.REJECTED_RECORDS:
            lost, of = _lost(run)
            return f"{name} rejected {f'{lost:,} of {of:,}' if lost else 'none'}"
        case Check.RECORD_COUNT if (sent := count_of(run, "records_processed")) is not None:
            return f"{name} sent {sent:,}"
        case Check.FAILING if has_completed(run):
            return f"{name} succeeded{rejects(run)}"
        case Check.STALE if rejects(run):
            return f"{name} completed{rejects(run)}"
        case _:
            return ""


def _lost(run: Mapping[str, Any]) -> tuple[int, int]:
    """How many records of the run were rejected or invalid, and of how many, as the check counts."""
    invalid = count_of(run, "records_invalid", "source_record_invalids") or 0
    lost = (count_of(run, "records_failed") or 0) + invalid
    return lost, max((count_of(run, "records_processed") or 0) + invalid, lost)
