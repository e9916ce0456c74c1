"""An incident as one Slack message, which is edited to the present state. Pure.

Nobody edits it just because time passes: it says since when, never for how long, until the incident is over.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from slack_sdk.models.blocks import Block, RichTextBlock, RichTextElement, RichTextSectionElement

from notifier.judging.body import parsed_time
from notifier.model.delivery import Check, EventType, Reason
from notifier.model.times import counted, spoken
from notifier.receivers.slack.blocks.text import (
    BOLD,
    Parts,
    Rendered,
    RunError,
    Text,
    When,
    Whose,
    cleaned,
    count_of,
    emoji,
    grey,
    happened_at,
    lateness,
    line,
    linked,
    mentioned,
    rendered,
    spelled,
)
from notifier.receivers.words.phrases import (
    ANOTHER_ERROR,
    GOOD,
    OVER,
    SILENT,
    WORDS,
    behind,
    end_of_run,
    explained,
    good_run,
    has_completed,
    meanwhile,
    other_end,
    rejects,
    too_long,
    with_length,
)

LONGEST_SUMMARY: Final = 300
LONG: Final = timedelta(hours=1)  # from which on a message says from when to when; below, the end says it all
_KNOWS_LAST_GOOD: Final = frozenset({Check.FAILING, Check.REJECTED_RECORDS, Check.STALE, Check.UNREADABLE})
_BY_ENDED_RUN: Final = frozenset({Check.FAILING, Check.REJECTED_RECORDS, Check.RECORD_COUNT})
_NAMES_RUN: Final = frozenset({Check.FAILING, Check.SLOW_RUN})


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
        self.wrong = explained(self.check, said) if not self.is_open else ""

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
        is_new = self.type is not EventType.INCIDENT_CHANGED or "status" in self.changes
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
        length = too_long(self.check, self.summary)
        return _before(self.opened_at, length) if self.opened_at and length else None

    def so_long(self) -> str:
        """How long it has been so by now, where that can be said: "3 h 5 min"."""
        since = self.began_at or self._silent_since
        return spoken(self.seen_at - since) if since and (self.seen_at - since).total_seconds() >= 1 else ""

    @property
    def _last_good_at(self) -> datetime | None:
        return parsed_time((self._incident.get("last_good_run") or {}).get("completed_at"))

    def standstill(self) -> str:
        """How long no run had completed, until one did."""
        last, ended = self._last_good_at, parsed_time(self.run.get("completed_at"))
        return f" after {spoken(ended - last)}" if last and ended and ended > last else ""

    def last_good(self) -> Parts:
        """The last good run, and when it was."""
        good = self._incident.get("last_good_run") or {}
        if self.check not in _KNOWS_LAST_GOOD or good.get("id") is None:
            return []
        name = f"last good run {line(good['id'], 40)}"
        return [name, When(self._last_good_at, "(", ")")] if self._last_good_at else [name]

    def told(self, words: str) -> str:
        """Words of the check, with how long it is so at the least: in a reminder by now, else what is too long."""
        least, since = too_long(self.check, self.summary), self.began_at or self._silent_since
        if self.type is EventType.INCIDENT_REMINDER and least and since:
            least = max(least, self.seen_at - since)
        return with_length(words, self.check, self.summary, least)

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
    def is_only_error(self) -> bool:
        """Whether nothing else changed than what the run says of its failure."""
        return bool(self.changes) and "status" not in self.changes

    def explanation(self) -> str:
        """The summary, where the condition does not say it already; once it is over, what was wrong."""
        return explained(self.check, self.summary) if self.is_open else self.what_was_wrong

    @property
    def what_was_wrong(self) -> str:
        """What was wrong, in a line, once it is over."""
        return f"what was wrong: {self.wrong}" if self.wrong else ""

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


class IncidentStory:
    """An incident's message. `living`: it shows the incident as it is, edited by each event; otherwise it tells of this
    one event. `latest`: a run's event that came after the incident's newest one, while it is open."""

    def __init__(
        self, event: Mapping[str, Any], now: datetime, latest: Mapping[str, Any] | None, *, living: bool
    ) -> None:
        self.incident = Incident(event, now)
        self._living = living
        self._latest = self._after(latest) if latest and self.incident.is_open else ""
        is_edit = living and self.incident.type is EventType.INCIDENT_CHANGED
        self._late = "" if is_edit or self._latest else lateness(self.incident.happened_at, now)

    def _after(self, event: Mapping[str, Any]) -> str:
        """What happened since, in a few words; an error that reads differently now just takes its place."""
        incident, run = self.incident, event["data"].get("sync_run")
        if not run or "incident" in event["data"]:
            return ""
        is_same = incident.check is Check.FAILING and incident.run.get("id") == run.get("id")
        if is_same and event["type"] == EventType.ERROR_CHANGED:
            incident.error = RunError.of(run)
            return ""
        return meanwhile(event)

    # --- the words ---

    def _headline(self) -> tuple[str, str, str]:
        """What stands before the name, the name, and what stands behind it."""
        incident, name = self.incident, self.incident.whose.sync
        if incident.check is Check.UNREACHABLE and (incident.is_open or incident.recovered):
            return f"{incident.condition() if incident.is_open else incident.ending()}: ", name, ""
        if incident.is_open:
            told = incident.condition() if self._living else incident.news()
            return "", name, behind(told) + (f" · {incident.times}" if incident.times else "")
        return "", name, behind(incident.ending()) if incident.recovered else f": {incident.ending()}"

    def _facts(self) -> Parts:
        """The grey line: what the newest run does, and the last good one; once it is over, how many runs there were."""
        incident, parts = self.incident, [self._latest]
        more: Parts = []
        if incident.is_open:
            more = incident.last_good()
        elif incident.recovered:
            parts += [incident.counted(), incident.good_run()]
        else:
            parts += [incident.told(incident.words.before), incident.times]
        first, *times = more or [""]
        said = " · ".join(part for part in [*parts, str(first)] if part)
        return [said, *times] if said else []

    def _footer(self) -> Parts:
        """Where, and when."""
        where, times = self.incident.whose.footer(self.incident.run_name), self._times()
        return [f"{where} ·", *times] if times else [where]

    def _times(self) -> list[When]:
        """Since when it is so; once it is over, from when to when, or just when where it was short."""
        incident = self.incident
        since, until = incident.began_at, incident.resolved_at
        if incident.is_open:
            if since is None:
                return [When(incident.opened_at, "noticed ")] if incident.opened_at else []
            return [When(since, "since ")] if incident.check is not Check.STALE else []  # the last good run says it
        since = since or incident.opened_at
        if since and until and until - since >= LONG:
            return [When(since, "from "), When(until, "to ")]
        return [When(until)] if until else []

    def _text(self) -> str:
        """The notification: all of the story in one line."""
        incident, (before, name, after) = self.incident, self._headline()
        told = before + name + after
        if incident.is_open:
            reasons = [incident.explanation(), incident.run_name if incident.check in _NAMES_RUN else ""]
            why = ", ".join(reason for reason in [*reasons, incident.error.reason] if reason)
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
