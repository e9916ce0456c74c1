"""What an incident's event says, in words. Pure."""

from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from notifier.model.body import EventBody, IncidentToldOf
from notifier.model.event import EventType
from notifier.model.incident import Check, Reason
from notifier.model.measure import AnotherError
from notifier.model.times import counted, parsed_time, spoken
from notifier.receivers.words.event import COUNTS, Parts, RunError, When, Whose, happened_at, line, name_of_run
from notifier.receivers.words.older import measure_of_older
from notifier.receivers.words.phrases import (
    GOOD,
    OVER,
    SILENT,
    WORDS,
    end_of_run,
    explained,
    good_run,
    has_completed,
    other_end,
    rejects,
    too_long,
    with_length,
)

LONGEST_SUMMARY: Final = 300
LONG: Final = timedelta(hours=1)  # from which on a message says from when to when; below, the end says it all
_KNOWS_LAST_GOOD: Final = frozenset({Check.FAILING, Check.REJECTED_RECORDS, Check.STALE, Check.UNREADABLE})
_BY_ENDED_RUN: Final = frozenset({Check.FAILING, Check.REJECTED_RECORDS, Check.RECORD_COUNT})
NAMES_RUN: Final = frozenset({Check.FAILING, Check.SLOW_RUN})


class IncidentWords:
    """An incident as one of its events has it, in words."""

    def __init__(self, event: EventBody, incident: IncidentToldOf, now: datetime) -> None:
        self._event = event
        self.type = EventType(event.type)
        self.check = Check(incident.check)
        self.words = WORDS[self.check]
        self.is_open = incident.is_open
        self.whose = Whose.of(event)
        self.run = event.run
        self.run_name = name_of_run(event.run)
        self.error = RunError.of(event.run if self.check is Check.FAILING and self.is_open else {})
        self.reason = Reason.RECOVERED if self.is_open else Reason(incident.reason or Reason.RECOVERED)
        self.runs = incident.runs if incident.runs in COUNTS else 0
        self.seen_at = event.seen_at or now
        self.opened_at = incident.opened_at
        self.resolved_at = incident.resolved_at
        self._good = incident.last_good_run
        said = line(event.summary, LONGEST_SUMMARY)
        self.measure = incident.measure or measure_of_older(self.check, said)
        self.explained = line(explained(self.measure, said), LONGEST_SUMMARY)

    @property
    def url(self) -> str:
        """Where the name leads to; what was deleted has no page."""
        run_url = str(self.run.get("url") or "")
        return "" if self.reason is Reason.DELETED else run_url or self.whose.url

    @property
    def recovered(self) -> bool:
        return not self.is_open and self.reason is Reason.RECOVERED

    @cached_property
    def emoji(self) -> str:
        if self.is_open:
            return self.words.emoji
        if not self.recovered:
            return OVER
        return end_of_run(self.run)[0] if self.check is Check.SLOW_RUN else GOOD

    @cached_property
    def happened_at(self) -> datetime:
        """When it happened. A run that goes on, and time that passed, happened when they were seen."""
        is_end = self.check in _BY_ENDED_RUN if self.is_open else self.recovered
        if not is_end or self.type is EventType.INCIDENT_REMINDER:
            return self.seen_at
        is_new = self.type is not EventType.INCIDENT_CHANGED or self._event.change_of("status") is not None
        return min(happened_at(self._event, self.seen_at, ended=is_new), self.seen_at)

    # --- words ---

    def lasted(self, until: datetime | None, words: str = " after ") -> str:
        """How long it was so up to then: "after 3 h"; "" where that is unknown or no time at all."""
        since = self.began_at if self.check in SILENT else self.opened_at
        if until is None or since is None or (until - since).total_seconds() < 1:
            return ""
        return f"{words}{spoken(until - since)}"

    def counted(self, tense: str = "") -> str:
        """How many bad runs there were: "5 runs failed"."""
        if not self.runs or not self.words.runs:
            return ""
        return f"{counted(self.runs, 'run')} {tense}{self.words.runs}"

    def so_far(self) -> str:
        """How many bad runs there are, where it is more than one and the condition tells what they did."""
        if self.check is Check.FAILING:
            return self.counted() if self.runs > 1 else ""
        return f"{self.times} so far" if self.times else ""

    @property
    def times(self) -> str:
        """How many bad runs there are, where it is more than one: "3 runs"."""
        return counted(self.runs, "run") if self.runs > 1 and self.words.runs else ""

    def good_run(self) -> str:
        """What the run did with which it recovered."""
        return good_run(self.check, self.run, self.run_name) if self.run_name else ""

    @property
    def began_at(self) -> datetime | None:
        """Since when it is so: what takes too long began before it was too long."""
        if self.check is Check.SLOW_RUN:
            return parsed_time(self.run.get("created_at"))
        if self.check is Check.STALE:
            return self._last_good_at
        return self._silent_since or self.opened_at if self.check in SILENT else self.opened_at

    @property
    def _silent_since(self) -> datetime | None:
        """When what takes too long began at the latest, by how long is too long."""
        length = too_long(self.measure)
        return _before(self.opened_at, length) if self.opened_at and length else None

    def so_long(self) -> str:
        """How long it has been so by now, where that can be said: "3 h 5 min"."""
        since = self.began_at or self._silent_since
        return spoken(self.seen_at - since) if since and (self.seen_at - since).total_seconds() >= 1 else ""

    @property
    def _last_good_at(self) -> datetime | None:
        return self._good.completed_at if self._good is not None else None

    def standstill(self) -> str:
        """How long no run had completed, until one did."""
        last, ended = self._last_good_at, parsed_time(self.run.get("completed_at"))
        return f" after {spoken(ended - last)}" if last and ended and ended > last else ""

    def last_good(self) -> Parts:
        """The last good run, and when it was."""
        if self.check not in _KNOWS_LAST_GOOD or self._good is None:
            return []
        name = f"last good run {line(self._good.id, 40)}"
        return [name, When(self._last_good_at, "(", ")")] if self._last_good_at else [name]

    def told(self, words: str) -> str:
        """Words of the check, with how long it is so at the least: in a reminder by now, else what is too long."""
        least, since = too_long(self.measure), self.began_at or self._silent_since
        if self.type is EventType.INCIDENT_REMINDER and least and since:
            least = max(least, self.seen_at - since)
        return with_length(words, self.measure, least)

    def condition(self) -> str:
        """What is wrong, behind the sync's name; with a workspace, before it."""
        return self.told(self.words.still if self.type is EventType.INCIDENT_REMINDER else self.words.now)

    def news(self) -> str:
        """What its event brought, behind the sync's name: for a message of that event alone."""
        if self.type is not EventType.INCIDENT_CHANGED or not self.words.again:
            return self.condition()
        if self.check is Check.FAILING and self.is_only_error:
            return "has another error"
        return self.words.again + (" with another error" if self.is_another_error else "")

    @property
    def is_another_error(self) -> bool:
        """Whether its error is not like the one before."""
        return isinstance(self.measure, AnotherError)

    @property
    def is_only_error(self) -> bool:
        """Whether nothing else changed than what the run says of its failure."""
        return bool(self._event.changes) and self._event.change_of("status") is None

    def explanation(self) -> str:
        """What was found, where the condition does not say it already; once it is over, what was wrong."""
        if not self.is_open:
            return self.what_was_wrong
        return self.explained if self.check is not Check.FAILING else ""  # whose run says it

    @property
    def what_was_wrong(self) -> str:
        """What was wrong, in a line, once it is over."""
        return f"what was wrong: {self.explained}" if self.explained and not self.is_open else ""

    def ending(self) -> str:
        """How it ended, behind the sync's name; of a workspace, before it."""
        if not self.recovered:
            return other_end(self.check, self.reason)
        match self.check:
            case Check.SLOW_RUN:
                return end_of_run(self.run)[1] + (rejects(self.run) if has_completed(self.run) else "")
            case Check.STALE:
                return f"completed a run again{self.standstill()}"
            case Check.UNREACHABLE:
                return f"Census can be read again{self.lasted(self.resolved_at)}"
            case Check.UNREADABLE:
                return self.told("{whose} can be read again") + self.lasted(self.resolved_at)
            case _:
                return self._recovery(self.lasted(self.resolved_at))

    def _recovery(self, after: str) -> str:
        """Of what it recovered: several incidents of a sync may be over at once."""
        if self.words.of:
            return f"recovered{after} of {self.words.of}" if after else f"recovered from {self.words.of}"
        return f"recovered{after}"


def _before(time: datetime, length: timedelta) -> datetime | None:
    try:
        return time - length
    except OverflowError:  # of the year 1, or a length that somebody made up
        return None
