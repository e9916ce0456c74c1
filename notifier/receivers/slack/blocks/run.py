"""Events as Slack messages: Block Kit, the text of the notification, and a plain text where Slack refuses the blocks.

Pure. An incident's message is in `incident.py`, the replies in its thread are in `thread.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from slack_sdk.models.blocks import Block, RichTextBlock, RichTextElement, RichTextSectionElement

from notifier.model.body import EventBody
from notifier.model.event import TEST_TYPE, EventType
from notifier.model.run import PreviousRun
from notifier.model.times import parsed_time, spoken
from notifier.receivers.slack.blocks.alert import ALERT_EMOJI, alert_message
from notifier.receivers.slack.blocks.incident import IncidentStory
from notifier.receivers.slack.blocks.text import (
    BOLD,
    LONGEST_FACTS,
    Rendered,
    Text,
    emoji,
    error_below,
    grey,
    linked,
    mentioned,
    rendered,
    spelled,
)
from notifier.receivers.words.event import (
    LONGEST_CODE,
    LONGEST_LABEL,
    Parts,
    RunError,
    When,
    Whose,
    cleaned,
    count_of,
    happened_at,
    lateness,
    line,
)
from notifier.receivers.words.phrases import PARTLY, VERBS, has_completed, rejects, run_words

EMOJI: Final = {
    EventType.FAILED: "red_circle",
    EventType.CANCELED: "no_entry_sign",
    EventType.SKIPPED: "fast_forward",
    EventType.COMPLETED: "white_check_mark",
    EventType.WORKING: "arrows_counterclockwise",
    EventType.QUEUED: "hourglass_flowing_sand",
    EventType.STATUS_CHANGED: "grey_question",
    EventType.ERROR_CHANGED: "warning",
    EventType.FULL_SYNC: "repeat",
    EventType.SYNC_PAUSED: "double_vertical_bar",
    EventType.SYNC_RESUMED: "arrow_forward",
    EventType.SYNC_DELETED: "wastebasket",
    **ALERT_EMOJI,
}
_SYNC_EVENTS: Final = frozenset({EventType.SYNC_PAUSED, EventType.SYNC_RESUMED, EventType.SYNC_DELETED})
_ENDS: Final = frozenset({EventType.FAILED, EventType.CANCELED, EventType.SKIPPED, EventType.COMPLETED})
_WITHOUT_DURATION: Final = frozenset({EventType.QUEUED, EventType.WORKING, EventType.SKIPPED})
_COUNTS: Final = (  # what Slack calls it, the API's fields for it, and whether 0 is worth a word
    ("sent", ("records_processed",), True),
    ("succeeded", ("records_updated",), True),
    ("rejected", ("records_failed",), False),
    ("invalid", ("records_invalid", "source_record_invalids"), False),
)


def render(
    event: EventBody,
    now: datetime,
    *,
    mentions: Sequence[str] = (),
    latest: EventBody | None = None,
    living: bool = False,
) -> Rendered:
    """What a channel shows of an event when it is sent at `now`. `mentions`: as in the watchlist.

    `living`: an incident's message shows the incident as it is after this event, and is edited by the next one;
    otherwise it tells of this event. `latest`: a run's event that came after this one of an open incident.
    """
    if event.type == TEST_TYPE:
        return _test_message(event)
    if event.incident is not None:
        return IncidentStory(event, event.incident, now, latest, living=living).rendered(mentions)
    if event.alert is not None:
        return alert_message(event, event.alert, now, mentions)
    if event.type in _SYNC_EVENTS:
        return _sync_message(event, now, mentions)
    return _Story(event, now).rendered(mentions)


def _test_message(event: EventBody) -> Rendered:
    title, receiver = "Test message from the Census notifier", cleaned(event.receiver, LONGEST_LABEL)
    said = f"The receiver {receiver} works. No sync did anything."
    pieces = [*emoji("wave"), Text(text=title, style=BOLD), Text(text=f"\n{said}")]
    text = f"{title}. {said}"
    return rendered(text, [RichTextBlock(elements=[RichTextSectionElement(elements=pieces)])], [text])


def _sync_message(event: EventBody, now: datetime, mentions: Sequence[str]) -> Rendered:
    """What became of a sync. A deleted one has no page to lead to."""
    kind, whose, seen_at = EventType(event.type), Whose.of(event), event.seen_at or now
    url = "" if kind is EventType.SYNC_DELETED else whose.url
    late = lateness(seen_at, now)
    pieces = [*emoji(EMOJI[kind]), linked(whose.sync, url), Text(text=f" {VERBS[kind]}")]
    if late:
        pieces.append(Text(text=f" · {late}", style=BOLD))
    pieces += mentioned(mentions)
    said = f"{whose.sync} {VERBS[kind]}" + (f" ({late})" if late else "")
    blocks: list[Block] = [RichTextBlock(elements=[RichTextSectionElement(elements=pieces)])]
    footer: Parts = [f"{whose.footer()} ·", When(seen_at)]
    blocks.append(grey(footer))
    return rendered(said, blocks, [said, spelled(footer), url], mentions)


def records_of(run: Mapping[str, Any]) -> str:
    """What became of the run's records."""
    told = []
    for word, fields, zero_counts in _COUNTS:
        count = count_of(run, *fields)
        if count or (count == 0 and zero_counts):
            told.append(f"{count:,} {word}")
    return ", ".join(told)


class _Story:
    """What one event of a sync run tells."""

    def __init__(self, event: EventBody, now: datetime) -> None:
        self._event = event
        self.type = EventType(event.type)
        self.run = event.run
        self.whose = Whose.of(event)
        self.sync = self.whose.sync
        self.failed_before = self._failed_before(event.previous_run)
        self.error = RunError.of(self.run)
        is_end = self.type in _ENDS or self.type is EventType.FULL_SYNC
        self.happened_at = happened_at(event, now, ended=is_end)
        self.lateness = lateness(self.happened_at, now)

    def _failed_before(self, previous: PreviousRun | None) -> str:
        """The failed run that a completed one recovers from, in words."""
        if self.type is EventType.FULL_SYNC and not has_completed(self.run):
            return ""
        if self.type in (EventType.COMPLETED, EventType.FULL_SYNC) and previous and previous.status == "failed":
            return f"run {previous.id} had failed"
        return ""

    # --- the words ---

    @property
    def verb(self) -> str:
        if self.type is EventType.COMPLETED and self.failed_before:
            return "recovered" + rejects(self.run)
        return run_words(self._event)

    @property
    def emoji(self) -> str:
        """A full sync that did not go well has the emoji of that."""
        if self.type is EventType.FULL_SYNC and self.run.get("status") == "failed":
            return EMOJI[EventType.FAILED]
        ends_well = self.type is EventType.COMPLETED or self.verb.startswith("completed")
        return PARTLY if ends_well and rejects(self.run) else EMOJI[self.type]

    def text(self) -> str:
        verb = self.verb
        if self.type is EventType.COMPLETED and self.failed_before:
            verb = f"completed, the sync has recovered{rejects(self.run)}"
        told = f"{self.sync}: run {self.run['id']} {verb}"
        if self.error.reason:
            told += f", {self.error.reason}"
        return told + (f" ({self.lateness})" if self.lateness else "")

    def facts(self) -> str:
        """The grey line, what matters most first: on a phone it wraps."""
        parts = [self.failed_before, self._reason_of_skip(), records_of(self.run), self._duration(), self._trigger()]
        return cleaned(" · ".join(part for part in [*parts, self._transition()] if part), LONGEST_FACTS)

    def _transition(self) -> str:
        status, canceled, parts = self._event.change_of("status"), self._event.change_of("canceled"), []
        if status and (status.old or status.new):
            old, new = (line(value, LONGEST_CODE) for value in (status.old, status.new))
            parts.append(f"{old or 'new'} → {new or 'none'}")
        if canceled and canceled.new:
            parts.append("canceled")
        return ", ".join(parts)

    def _reason_of_skip(self) -> str:
        return "the run before it had not ended" if self.type is EventType.SKIPPED else ""

    def _duration(self) -> str:
        if self.type in _WITHOUT_DURATION:
            return ""
        began, ended = parsed_time(self.run.get("created_at")), parsed_time(self.run.get("completed_at"))
        if ended is None and self.type in _ENDS:  # later, updated_at is when its error changed
            ended = parsed_time(self.run.get("updated_at"))
        return f"took {spoken(ended - began)}" if began and ended and ended >= began else ""

    def _trigger(self) -> str:
        reason = self.run.get("sync_trigger_reason")
        if not isinstance(reason, Mapping):
            return line(reason, 200)
        tag, detail = (line(reason.get(name), 200) for name in ("ui_tag", "ui_detail"))
        return detail if tag.lower() in detail.lower() else ": ".join(part for part in (tag, detail) if part)

    # --- the message ---

    def rendered(self, mentions: Sequence[str]) -> Rendered:
        return rendered(self.text(), self._blocks(mentions), self._plain(), mentions)

    def _blocks(self, mentions: Sequence[str]) -> Iterator[Block]:
        headline = RichTextSectionElement(elements=[*self._headline(), *mentioned(mentions)])
        yield RichTextBlock(elements=[headline, *error_below(self.error)])
        if facts := self.facts():
            yield grey([facts])
        yield grey(self._footer())

    def _footer(self) -> Parts:
        where = self.whose.footer(f"run {self.run['id']}")
        return [f"{where} ·", When(self.happened_at)]

    def _headline(self) -> Iterator[RichTextElement]:
        yield from emoji(self.emoji)
        yield linked(self.sync, self.run["url"])
        yield Text(text=f" {self.verb}")
        if self.lateness:
            yield Text(text=f" · {self.lateness}", style=BOLD)

    def _plain(self) -> Iterator[str]:
        late = f" ({self.lateness})" if self.lateness else ""
        yield f"{self.sync}: run {self.run['id']} {self.verb}{late}"
        yield from self.error.plain()
        yield self.facts()
        yield spelled(self._footer())
        yield self.run["url"]
