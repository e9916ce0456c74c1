"""An incident as one Slack message, which is edited to the present state. Pure.

Nobody edits it just because time passes: it says since when, never for how long, until the incident is over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from slack_sdk.models.blocks import Block, RichTextBlock, RichTextElement, RichTextSectionElement

from notifier.body import parsed_time
from notifier.model import Check, EventType, Reason
from notifier.receivers.slack_text import (
    BOLD,
    Rendered,
    RunError,
    Text,
    Whose,
    cleaned,
    count_of,
    emoji,
    grey,
    happened_at,
    is_canceled,
    lateness,
    line,
    linked,
    mentioned,
    rendered,
    run_words,
    spelled,
)
from notifier.spoken import spoken

LONGEST_SUMMARY: Final = 300
ANOTHER_ERROR: Final = "another error"  # the summary of a failure whose error is not what it was
GOOD: Final = "white_check_mark"
OVER: Final = "white_circle"


@dataclass(frozen=True, slots=True)
class Words:
    """How a check's incident is told behind the sync's name: now, in a reminder, and once it is over without having
    recovered; `runs`: what its bad runs did. `{for_}` and `{after}` say how long is too long."""

    emoji: str
    now: str
    still: str
    before: str
    runs: str = ""


_YELLOW, _UNUSUAL = "large_yellow_circle", "an unusual number of records"
WORDS: Final = {
    Check.FAILING: Words("red_circle", "is failing", "is still failing", "was failing", "failed"),
    Check.REJECTED_RECORDS: Words(
        _YELLOW, "rejects records", "still rejects records", "rejected records", "rejected records"
    ),
    Check.RECORD_COUNT: Words(
        _YELLOW, f"sent {_UNUSUAL}", f"still sends {_UNUSUAL}", f"sent {_UNUSUAL}", "sent unusual numbers"
    ),
    Check.SLOW_RUN: Words("turtle", "has been running{for_}", "is still running{after}", "was running{for_}"),
    Check.STALE: Words(
        "zzz", "has not completed a run{for_}", "still has not completed a run{for_}", "had not completed a run{for_}"
    ),
    Check.UNREACHABLE: Words(
        "electric_plug", "Census can't be read", "Census still can't be read", "Census could not be read"
    ),
}
_OTHER_ENDS: Final = {
    Reason.CHECK_OFF: "check turned off",
    Reason.UNWATCHED: "no longer watched",
    Reason.DELETED: "deleted in Census",
}
_OTHER_ENDS_OF: Final = {  # a paused sync can neither be stale nor slow; of a slow run, the run may be what is gone
    (Check.STALE, Reason.CHECK_OFF): "paused, or check turned off",
    (Check.SLOW_RUN, Reason.CHECK_OFF): "paused, or check turned off",
    (Check.SLOW_RUN, Reason.UNWATCHED): "slow run no longer watched",
    (Check.SLOW_RUN, Reason.DELETED): "slow run no longer in Census",
}
_KNOWS_LAST_GOOD: Final = frozenset({Check.FAILING, Check.REJECTED_RECORDS, Check.STALE})
_BY_ENDED_RUN: Final = frozenset({Check.FAILING, Check.REJECTED_RECORDS, Check.RECORD_COUNT})
_NAMES_RUN: Final = frozenset({Check.FAILING, Check.SLOW_RUN})
_TIMED: Final = frozenset({Check.SLOW_RUN, Check.STALE})
_LONG: Final = re.compile(r"(?:running|no run has completed) for (more than .{1,40})")
_UNUSUAL_COUNT: Final = re.compile(r"([\d,]{1,30}) records sent, the mean of .{1,40} is ([\d,]{1,30})")


class Incident:
    """An incident as one of its events has it, in words."""

    def __init__(self, event: Mapping[str, Any], now: datetime) -> None:
        data = event["data"]
        self._event, self._incident = event, data["incident"]
        self.type = EventType(event["type"])
        self.check = Check(self._incident["check"])
        self.words = WORDS[self.check]
        self.is_open = self._incident.get("state") != "resolved"
        self.whose = Whose.of(data)
        self.run: Mapping[str, Any] = data.get("sync_run") or {}
        self.run_name = f"run {line(self.run['id'], 40)}" if self.run.get("id") is not None else ""
        self.changes = {change["field"]: change for change in data.get("changes") or ()}
        self.error = RunError.of(self.run if self.check is Check.FAILING and self.is_open else {})
        self.reason = Reason.RECOVERED if self.is_open else Reason(self._incident.get("reason") or Reason.RECOVERED)
        self.runs = count_of(self._incident, "runs") or 0
        self.seen_at = parsed_time(event.get("timestamp")) or now
        self.opened_at = parsed_time(self._incident.get("opened_at"))
        self.resolved_at = parsed_time(self._incident.get("resolved_at"))
        said = line(data.get("summary"), LONGEST_SUMMARY)
        self.is_another_error = said == ANOTHER_ERROR
        self.summary = said if self.check is not Check.FAILING else ""

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
        return self.end_of_run[0] if self.check is Check.SLOW_RUN else GOOD

    @cached_property
    def happened_at(self) -> datetime:
        """When it happened. A run that goes on, and time that passed, happened when they were seen."""
        is_end = self.check in _BY_ENDED_RUN if self.is_open else self.recovered
        if not is_end or self.type is EventType.INCIDENT_REMINDER:
            return self.seen_at
        is_new = self.type is not EventType.INCIDENT_CHANGED or "status" in self.changes
        return min(happened_at(self._event, self.seen_at, ended=is_new), self.seen_at)

    # --- words ---

    def lasted(self, until: datetime | None, words: str = " after ") -> str:
        """How long it was open up to then: "after 3 h"; "" where that is unknown or no time at all."""
        if until is None or self.opened_at is None or (until - self.opened_at).total_seconds() < 1:
            return ""
        return f"{words}{spoken(until - self.opened_at)}"

    def counted(self, tense: str = "") -> str:
        """How many bad runs there were: "5 runs failed"."""
        if not self.runs or not self.words.runs:
            return ""
        return f"{self.runs:,} run{'s' if self.runs > 1 else ''} {tense}{self.words.runs}"

    def so_far(self) -> str:
        """How many bad runs there are, where the condition tells what they did."""
        if self.check is Check.FAILING or not self.counted():
            return self.counted()
        return f"{self.runs:,} run{'s' if self.runs > 1 else ''} so far"

    @property
    def end_of_run(self) -> tuple[str, str]:
        """The emoji of how a slow run ended, and the words."""
        began, ended = parsed_time(self.run.get("created_at")), parsed_time(self.run.get("completed_at"))
        took = f" after {spoken(ended - began)}" if began and ended and ended > began else ""
        if is_canceled(self.run):
            return "no_entry_sign", f"was canceled{took}"
        match self.run.get("status"):
            case "completed":
                return GOOD, f"completed{took}"
            case "failed":
                return WORDS[Check.FAILING].emoji, f"failed{took}"
            case _:
                return OVER, f"ended{took}"

    def good_run(self) -> str:
        """What the run did with which it recovered."""
        if not self.run_name:
            return ""
        match self.check:
            case Check.REJECTED_RECORDS:
                lost, of = self._lost()
                return f"{self.run_name} rejected {f'{lost:,} of {of:,}' if lost else 'none'}"
            case Check.RECORD_COUNT if (sent := count_of(self.run, "records_processed")) is not None:
                return f"{self.run_name} sent {sent:,}"
            case Check.FAILING if self.run.get("status") == "completed" and not is_canceled(self.run):
                return f"{self.run_name} succeeded"
            case _:
                return ""

    def _lost(self) -> tuple[int, int]:
        """How many records of the run were rejected or invalid, and of how many, as the check counts."""
        invalid = count_of(self.run, "records_invalid", "source_record_invalids") or 0
        lost = (count_of(self.run, "records_failed") or 0) + invalid
        return lost, max((count_of(self.run, "records_processed") or 0) + invalid, lost)

    @property
    def began_at(self) -> datetime | None:
        """Since when it is so: what takes too long began before it was too long."""
        if self.check is Check.SLOW_RUN:
            return parsed_time(self.run.get("created_at"))
        return self._last_good_at if self.check is Check.STALE else self.opened_at

    @property
    def _last_good_at(self) -> datetime | None:
        return parsed_time((self._incident.get("last_good_run") or {}).get("completed_at"))

    def standstill(self, words: str = " after ") -> str:
        """How long no run has completed, or had not."""
        last, ended = self._last_good_at, self.seen_at if self.is_open else parsed_time(self.run.get("completed_at"))
        return f"{words}{spoken(ended - last)}" if last and ended and ended > last else ""

    def last_good(self) -> list[str | datetime]:
        """The last good run, and when it was."""
        good = self._incident.get("last_good_run") or {}
        if self.check not in _KNOWS_LAST_GOOD or good.get("id") is None:
            return []
        name = f"last good run {line(good['id'], 40)}"
        return [f"{name},", self._last_good_at] if self._last_good_at else [name]

    def told(self, words: str) -> str:
        """Words of the check, with how long is too long."""
        found = _LONG.fullmatch(self.summary) if self.check in _TIMED else None
        return words.format(
            for_=f" for {found[1] if found else 'too long'}", after=f" after {found[1]}" if found else ""
        )

    def condition(self) -> str:
        """What is wrong, behind the sync's name; with a workspace, before it."""
        return self.told(self.words.still if self.type is EventType.INCIDENT_REMINDER else self.words.now)

    def explanation(self) -> str:
        """The summary, where the condition does not say it already."""
        if not self.is_open or (self.check in _TIMED and _LONG.fullmatch(self.summary)):
            return ""
        return _UNUSUAL_COUNT.sub(r"\1 records, usually about \2", self.summary)

    def ending(self) -> str:
        """How it ended, behind the sync's name; of a workspace, before it."""
        if not self.recovered:
            return _OTHER_ENDS_OF.get((self.check, self.reason)) or _OTHER_ENDS[self.reason]
        match self.check:
            case Check.SLOW_RUN:
                return self.end_of_run[1]
            case Check.STALE:
                return f"completed a run again{self.standstill()}"
            case Check.UNREACHABLE:
                return f"Census can be read again{self.lasted(self.resolved_at)}"
            case _:
                return f"recovered{self.lasted(self.resolved_at)}"


class IncidentStory:
    """An incident's message. `latest`: a run's event that came after the incident's newest one, while it is open."""

    def __init__(self, event: Mapping[str, Any], now: datetime, latest: Mapping[str, Any] | None) -> None:
        self.incident = Incident(event, now)
        self._latest = self._after(latest) if latest and self.incident.is_open else ""
        is_news = self.incident.type is not EventType.INCIDENT_CHANGED and not self._latest
        self._late = lateness(self.incident.happened_at, now) if is_news else ""

    def _after(self, event: Mapping[str, Any]) -> str:
        """What happened since, in a few words; an error that reads differently now just takes its place."""
        data, kind, run = event["data"], EventType(event["type"]), event["data"].get("sync_run")
        if not run or "incident" in data:
            return ""
        if kind is EventType.ERROR_CHANGED and self.incident.check is Check.FAILING and self._is_same(run):
            self.incident.error = RunError.of(run)
            return ""
        verb = run_words(kind, run, {change["field"]: change for change in data.get("changes") or ()})
        when = "now" if kind in (EventType.QUEUED, EventType.WORKING) else "then"
        return f"{when}: run {line(run.get('id'), 40)} {verb}"

    def _is_same(self, run: Mapping[str, Any]) -> bool:
        return bool(self.incident.run.get("id") == run.get("id"))

    # --- the words ---

    def _headline(self) -> tuple[str, str, str]:
        """What stands before the name, the name, and what stands behind it."""
        incident, name = self.incident, self.incident.whose.sync
        if incident.check is Check.UNREACHABLE and (incident.is_open or incident.recovered):
            return f"{incident.condition() if incident.is_open else incident.ending()}: ", name, ""
        if incident.is_open:
            return "", name, f" {incident.condition()}"
        return "", name, f"{' ' if incident.recovered else ': '}{incident.ending()}"

    def _facts(self) -> list[str | datetime]:
        """The grey line: how many runs, and the last good one; what the newest run does stands first."""
        incident, parts = self.incident, [self._latest]
        times: list[str | datetime] = []
        if incident.is_open:
            parts.append(incident.so_far() if incident.runs > 1 else "")
            times = incident.last_good()
        elif incident.recovered:
            parts += [incident.counted(), incident.good_run()]
        else:
            parts += [incident.told(incident.words.before), incident.counted() if incident.runs > 1 else ""]
        first, *more = times or [""]
        said = " · ".join(part for part in [*parts, str(first)] if part)
        return [said, *more] if said else []

    def _footer(self) -> list[str | datetime]:
        """Where, and from when to when."""
        incident = self.incident
        where = incident.whose.footer(incident.run_name)
        since, until = incident.began_at, incident.resolved_at
        if incident.is_open:
            told, time = ("since", since) if since else ("noticed", incident.opened_at)
            is_said = since is not None and incident.check is Check.STALE  # beside the last good run
            return [where] if time is None or is_said else [f"{where} · {told}", time]
        since = since or incident.opened_at
        if since and until:
            return [f"{where} · from", since, "to", until]
        return [f"{where} · until", until] if until else [where]

    def _text(self) -> str:
        """The notification: all of the story in one line."""
        incident, (before, name, after) = self.incident, self._headline()
        told = before + name + after
        if incident.is_open:
            reasons = [incident.explanation(), incident.run_name if incident.check in _NAMES_RUN else ""]
            reasons += [incident.error.reason, incident.so_far() if incident.runs > 1 else ""]
            why = ", ".join(reason for reason in reasons if reason)
            told += f": {why}" if why and not before else f", {why}" if why else ""
        elif more := incident.counted("had ") if incident.recovered else incident.told(incident.words.before):
            told += f", {more}"
        notes = [note for note in (self._latest, self._late) if note]
        return told + (f" ({', '.join(notes)})" if notes else "")

    # --- the message ---

    def rendered(self, mentions: Sequence[str]) -> Rendered:
        return rendered(self._text(), self._blocks(mentions), self._plain(), mentions)

    def _blocks(self, mentions: Sequence[str]) -> Iterator[Block]:
        elements: list[Any] = [RichTextSectionElement(elements=[*self._title(), *mentioned(mentions)])]
        if explanation := self.incident.explanation():
            elements.append(RichTextSectionElement(elements=[Text(text=explanation)]))
        yield RichTextBlock(elements=[*elements, *self.incident.error.elements()])
        if facts := self._facts():
            yield grey(facts)
        yield grey(self._footer())

    def _title(self) -> Iterator[RichTextElement]:
        before, name, after = self._headline()
        yield from emoji(self.incident.emoji)
        if before:
            yield Text(text=before)
        yield linked(name, self.incident.url)
        if after:
            yield Text(text=after)
        if self._late:
            yield Text(text=f" · {self._late}", style=BOLD)

    def _plain(self) -> Iterator[str]:
        yield "".join(self._headline()) + (f" ({self._late})" if self._late else "")
        yield self.incident.explanation()
        yield from self.incident.error.plain()
        yield spelled(self._facts())
        yield spelled(self._footer())
        yield cleaned(self.incident.url, 4_000)
