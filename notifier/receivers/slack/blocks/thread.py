"""A reply in the thread of an incident's message: a line for each later event. Pure.

Shown in the channel too, it stands there without its thread and has to make sense by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slack_sdk.models.blocks import RichTextBlock, RichTextElement, RichTextElementParts, RichTextSectionElement

from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.incident import Check
from notifier.model.times import counted
from notifier.receivers.slack.blocks.run import EMOJI, records_of
from notifier.receivers.slack.blocks.text import (
    BOLD,
    CODE,
    LARGEST_TEXT,
    Rendered,
    Text,
    emoji,
    escaped,
    in_bytes,
    linked,
    mentioned,
    rendered,
)
from notifier.receivers.words.event import LONGEST_URL, RunError, Whose, happened_at, lateness, line, name_of_run
from notifier.receivers.words.incident import IncidentWords
from notifier.receivers.words.phrases import SILENT, behind, end_of_run, has_completed, run_words

LARGEST_REPLY: Final = LARGEST_TEXT - 400  # bytes; older lines give way to newer ones
LONGEST_ERROR: Final = 200
_RUN_ENDS: Final = frozenset({EventType.COMPLETED, EventType.FAILED, EventType.CANCELED, EventType.SKIPPED})


@dataclass(frozen=True, slots=True)
class _Line:
    """What is said of one event."""

    words: str
    named: str = ""
    """What stands behind the sync's name, where that is told; by default a colon and the words."""
    error: RunError | None = None
    """What the run says went wrong, where that is to be said."""

    @property
    def behind_name(self) -> str:
        return self.named or f": {self.words}"

    @property
    def reason(self) -> tuple[str, str]:
        """The error's code, and what it says, short."""
        if not self.error:
            return "", ""
        return self.error.code, line(self.error.message or self.error.detail, LONGEST_ERROR)


def lines(
    events: Sequence[EventBody],
    now: datetime,
    *,
    mentions: Sequence[str] = (),
    in_channel: bool = False,
    over: EventBody | None = None,
) -> Rendered:
    """The reply that tells of these events, oldest first. `in_channel`: it is shown in the channel too.

    `over`: the event with which the incident was over before these were told, by a retry, say. The
    notification then begins with that; else with the end, if that is among them, or with the newest.
    """
    end = _Told(over, now) if over is not None else None
    all_told = [_Told(event, now, "earlier: " if end else "") for event in events]
    first, *others = told = _that_fit(all_told)
    left_out = _left_out(len(all_told) - len(told))
    rows: list[list[RichTextElement]] = [[Text(text=left_out)]] if left_out else []
    rows.append([*first.elements_of_first(in_channel=in_channel)])
    rows += [[*one.elements(in_channel=in_channel)] for one in others]
    rows[-1] += mentioned(mentions)
    rest = [one.text() for one in others]
    blocks = [RichTextBlock(elements=[RichTextSectionElement(elements=row) for row in rows])]
    plain = [first.text(is_named=in_channel), left_out, *rest]
    return rendered(_notification(told, end), blocks, plain, mentions)


def _notification(told: list["_Told"], end: "_Told | None") -> str:
    """What a phone shows of it, which is seldom more than the first line: what matters most, then the newest first."""
    newest_first = [*([end] if end else []), *reversed(told)]
    newest_first.sort(key=lambda one: not one.is_end)
    head, *others = newest_first
    return "\n".join([head.text(is_named=True), *(one.text() for one in others)])


def _that_fit(told: list["_Told"]) -> list["_Told"]:
    """The newest of them that one message holds; one at the least."""
    size, first = 0, len(told)
    for place in reversed(range(len(told))):
        size += told[place].size
        if size > LARGEST_REPLY and first < len(told):
            break
        first = place
    return told[first:]


def _left_out(count: int) -> str:
    return f"… {counted(count, 'event')} before" if count else ""


class _Told:
    """What is told of one event, behind words that come `before` it."""

    def __init__(self, event: EventBody, now: datetime, before: str = "") -> None:
        self._before = before
        self.is_end = event.type == EventType.INCIDENT_RESOLVED
        self._whose = Whose.of(event)
        self._run = event.run
        self._run_name = name_of_run(event.run)
        if event.incident is not None:
            incident = IncidentWords(event, event.incident, now)
            self._emoji, self._url = incident.emoji, incident.url
            self._line, happened = _of_incident(incident), incident.happened_at
        else:
            kind = EventType(event.type)
            self._emoji, self._url = EMOJI[kind], str(self._run.get("url") or self._whose.url)
            self._line = _of_run(event, self._run_name)
            happened = happened_at(event, now, ended=kind in _RUN_ENDS)
        self._late = lateness(happened, now)

    @property
    def size(self) -> int:
        """The bytes that it takes at most, escaped."""
        return in_bytes(escaped(self.text(is_named=True), LARGEST_REPLY)) + 1

    def text(self, *, is_named: bool = False) -> str:
        reason = ": ".join(part for part in self._line.reason if part)
        words = self._before + self._line.words
        told = f"{self._whose.sync}{self._behind_name}" if is_named else words
        return told + (f": {reason}" if reason else "") + (f" ({self._late})" if self._late else "")

    @property
    def _behind_name(self) -> str:
        return f": {self._before}{self._line.words}" if self._before else self._line.behind_name

    def elements_of_first(self, *, in_channel: bool) -> Iterator[RichTextElement]:
        """The first line: in the channel, the sync's name leads to the run."""
        if not in_channel:
            yield from self.elements(in_channel=False)
            return
        yield from emoji(self._emoji)
        yield linked(self._whose.sync, self._url)
        yield Text(text=self._behind_name)
        yield from self._end()

    def elements(self, *, in_channel: bool) -> Iterator[RichTextElement]:
        """Any other line, with a link on the run where the words name it."""
        if in_channel:
            yield from emoji(self._emoji)
        if self._before:
            yield Text(text=self._before)
        url = str(self._run.get("url") or "")
        before, name, after = self._line.words.partition(self._run_name or "\0")
        if not name or not 0 < len(url) <= LONGEST_URL:
            before, name, after = self._line.words, "", ""
        if before:
            yield Text(text=before)
        if name:
            yield RichTextElementParts.Link(url=url, text=name)
        if after:
            yield Text(text=after)
        yield from self._end()

    def _end(self) -> Iterator[RichTextElement]:
        code, message = self._line.reason
        if code or message:
            yield Text(text=": ")
        if code:
            yield Text(text=code, style=CODE)
        if message:
            yield Text(text=f" {message}" if code else message)
        if self._late:
            yield Text(text=f" · {self._late}", style=BOLD)


# --- the words of an incident's events ---


def _of_incident(incident: IncidentWords) -> _Line:
    match incident.type:
        case EventType.INCIDENT_OPENED:
            return _opened(incident)
        case EventType.INCIDENT_REMINDER:
            return _reminder(incident)
        case EventType.INCIDENT_RESOLVED:
            return _resolved(incident)
        case _:
            return _changed(incident)


def _opened(incident: IncidentWords) -> _Line:
    run, condition, why = incident.run_name or "a run", incident.condition(), incident.explanation()
    match incident.check:
        case Check.UNREACHABLE:
            return _Line(", ".join(part for part in (condition, why) if part))
        case Check.UNREADABLE:
            return _Line(f"the sync{_with(condition, why)}", _with(condition, why))
        case Check.FAILING:
            return _Line(f"{run} failed", f" {condition}", incident.error)
        case Check.SLOW_RUN:
            return _Line(f"{run} {_with(condition, why)}", f" {_with(condition, why)}")
        case Check.STALE:
            return _Line(f"the sync {_with(condition, why)}", f" {_with(condition, why)}")
        case _:
            return _Line(f"{run}{f': {why}' if why else f' {condition}'}", f" {_with(condition, why)}")


def _changed(incident: IncidentWords) -> _Line:
    run = incident.run_name or "a run"
    if incident.check in SILENT:
        return _opened(incident)
    if incident.check is not Check.FAILING:
        why = incident.explanation()
        return _Line(f"{run}: {why}" if why else f"{run} {incident.condition()} too")
    if incident.is_only_error:
        return _Line(f"{run} has another error", error=incident.error)
    if incident.is_another_error:
        return _Line(f"{run} failed with another error", error=incident.error)
    return _Line(f"{run} failed too")


def _reminder(incident: IncidentWords) -> _Line:
    after, more = incident.lasted(incident.seen_at), incident.lasted(incident.seen_at, "more than ")
    so_long = incident.so_long() or more
    match incident.check:
        case Check.FAILING:
            told = _with(f"still failing{after}", incident.so_far())
            return _Line(told, f" is {told}")
        case Check.SLOW_RUN:
            told = f"still running{f' after {so_long}' if so_long else ''}"
            return _Line(told, f" is {told}")
        case Check.STALE:
            return _Line(f"still no completed run{f' for {so_long}' if so_long else ''}")
        case Check.UNREACHABLE:
            return _Line(f"{incident.condition()}{after}")
        case Check.UNREADABLE:
            return _Line(f"the sync{incident.condition()}{after}", f"{incident.condition()}{after}")
        case _:
            told = _with(f"{incident.condition()}{after}", incident.so_far())
            return _Line(told, f" {told}")


def _resolved(incident: IncidentWords) -> _Line:
    """The end; and what was wrong, where the thread had no line of it."""
    ending, wrong = incident.ending(), incident.what_was_wrong if incident.runs <= 1 else ""
    if not incident.recovered:
        return _Line(ending)
    match incident.check:
        case Check.UNREACHABLE:
            return _Line(_also(ending, wrong))
        case Check.UNREADABLE:
            return _Line(f"the sync{_also(ending, wrong)}", _also(ending, wrong))
        case Check.SLOW_RUN:
            return _ended(incident)
        case Check.STALE:
            told = _with(ending, incident.good_run() or incident.run_name)
        case _:
            told = _with(ending, ", ".join(part for part in (incident.counted(), incident.good_run()) if part))
    return _Line(_also(told, wrong), behind(_also(told, wrong)))


def _ended(incident: IncidentWords) -> _Line:
    """How a slow run ended, and what it did."""
    run, (_, ending) = incident.run, end_of_run(incident.run)
    did = records_of(run) if has_completed(run) else ""
    error = RunError.of(run) if run.get("status") == "failed" else None
    named = ", ".join(part for part in ("" if error else incident.run_name, did) if part)
    return _Line(_with(f"{incident.run_name or 'the slow run'} {ending}", did), f" {_with(ending, named)}", error)


def _of_run(event: EventBody, name: str) -> _Line:
    """A run's event while the incident goes on, or one of the sync itself."""
    words = run_words(event)
    if not name:
        return _Line(f"the sync {words}", f" {words}")
    tells_why = event.type in (EventType.FAILED, EventType.ERROR_CHANGED)
    return _Line(f"{name} {words}", error=RunError.of(event.run) if tells_why else None)


def _also(words: str, more: str) -> str:
    return " · ".join(part for part in (words, more) if part)


def _with(words: str, more: str) -> str:
    return ": ".join(part for part in (words, more) if part)
