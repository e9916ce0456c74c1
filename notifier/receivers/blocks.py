"""Events as Slack messages: Block Kit, the text of the notification, and a plain text where Slack refuses the blocks.

Pure. What comes from the API stands in `rich_text` and `plain_text` only, where Slack reads neither markup nor
mentions nor links, and is cut long before Slack's limits (docs.slack.dev/reference/block-kit).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    MarkdownTextObject,
    PlainTextObject,
    RichTextBlock,
    RichTextElementParts,
    RichTextPreformattedElement,
    RichTextSectionElement,
)

from notifier.body import ELLIPSIS, TEST_TYPE, parsed_time
from notifier.model import EventType

LATE_AFTER: Final = timedelta(minutes=10)
LONGEST_TEXT: Final = 3_500  # characters, escaped; Slack takes 4,000
LONGEST_URL: Final = 3_000
LONGEST_LABEL: Final = 150
LONGEST_CODE: Final = 120
LONGEST_MESSAGE: Final = 600
LONGEST_DETAIL: Final = 1_500
LONGEST_FACTS: Final = 900
LONGEST_FOOTER: Final = 400
LARGEST_COUNT: Final = 10**15

_Text = RichTextElementParts.Text
_BOLD = RichTextElementParts.TextStyle(bold=True)
_CODE = RichTextElementParts.TextStyle(code=True)
# Control characters but for line break and tab, marks that turn the direction of what follows, halves of characters.
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_BREAKS: Final = re.compile("\r\n?|[\u2028\u2029]")

EMOJI: Final = {
    EventType.FAILED: "red_circle",
    EventType.CANCELED: "no_entry_sign",
    EventType.SKIPPED: "fast_forward",
    EventType.COMPLETED: "white_check_mark",
    EventType.WORKING: "arrows_counterclockwise",
    EventType.QUEUED: "hourglass_flowing_sand",
    EventType.STATUS_CHANGED: "grey_question",
    EventType.ERROR_CHANGED: "warning",
}
PARTLY: Final = "large_yellow_circle"
VERBS: Final = {
    EventType.FAILED: "failed",
    EventType.CANCELED: "was canceled",
    EventType.SKIPPED: "was skipped",
    EventType.WORKING: "is running",
    EventType.QUEUED: "is queued",
}
_ENDS: Final = frozenset({EventType.FAILED, EventType.CANCELED, EventType.SKIPPED, EventType.COMPLETED})
_WITHOUT_DURATION: Final = frozenset({EventType.QUEUED, EventType.WORKING, EventType.SKIPPED})
_COUNTS: Final = (  # what Slack calls it, the API's fields for it, and whether 0 is worth a word
    ("sent", ("records_processed",), True),
    ("succeeded", ("records_updated",), True),
    ("rejected", ("records_failed",), False),
    ("invalid", ("records_invalid", "source_record_invalids"), False),
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message. `text` is the notification beside `blocks`; `plain` says all of it without them."""

    text: str
    blocks: tuple[Mapping[str, Any], ...]
    plain: str


def render(body: bytes, now: datetime) -> Rendered:
    """What a channel shows of an event's body when it is sent at `now`."""
    event = json.loads(body)  # not orjson, which refuses a number that no float holds: the body may have one
    return _test_message(event) if event["type"] == TEST_TYPE else _Story(event, now).rendered()


def _test_message(event: Mapping[str, Any]) -> Rendered:
    title, receiver = "Test message from the Census notifier", cleaned(event["data"]["receiver"], LONGEST_LABEL)
    line = f"The receiver {receiver} works. No sync did anything."
    first = [RichTextElementParts.Emoji(name="wave"), _Text(text=" "), _Text(text=title, style=_BOLD)]
    block = RichTextBlock(elements=[RichTextSectionElement(elements=[*first, _Text(text=f"\n{line}")])])
    text = escaped(f"{title}. {line}", LONGEST_TEXT)
    return Rendered(text, (block.to_dict(),), text)


class _Story:
    """What one event of a sync run tells."""

    def __init__(self, event: Mapping[str, Any], now: datetime) -> None:
        data = event["data"]
        self.type = EventType(event["type"])
        self.run: Mapping[str, Any] = data["sync_run"]
        self.changes = {change["field"]: change for change in data["changes"]}
        self.sync = _line(data["sync"]["label"], LONGEST_LABEL) or f"sync {data['sync']['id']}"
        self.workspace = _line(data["workspace"], LONGEST_LABEL)
        self.labels = {_line(key, 40): _line(value, 60) for key, value in data["labels"].items()}
        self.rejected = _count(self.run, "records_failed") or 0
        self.failed_before = self._failed_before(data["previous_run"])
        self.code = _line(self.run.get("error_code"), LONGEST_CODE)
        self.message = cleaned(self.run.get("error_message"), LONGEST_MESSAGE)
        detail = cleaned(self.run.get("error_detail"), LONGEST_DETAIL)
        self.detail = detail if detail != self.message else ""
        self.happened_at = self._happened_at(parsed_time(event["timestamp"]) or now)
        self.late_by = now - self.happened_at

    def _failed_before(self, previous: Mapping[str, Any] | None) -> str:
        """The failed run that a completed one recovers from, in words."""
        if self.type is EventType.COMPLETED and previous and previous["status"] == "failed":
            return f"run {previous['id']} had failed"
        return ""

    def _happened_at(self, seen_at: datetime) -> datetime:
        """When it happened, as far as the API says; never after it was seen."""
        ended_at = parsed_time(self.run.get("completed_at")) if self.type in _ENDS else None
        said = ended_at or parsed_time(self.run.get("updated_at"))
        return min(said, seen_at) if said else seen_at

    # --- the words ---

    @property
    def verb(self) -> str:
        if self.type is EventType.COMPLETED:
            return ("recovered" if self.failed_before else "completed") + self._rejects()
        if self.type is EventType.STATUS_CHANGED:
            return self._odd_status()
        if self.type is EventType.ERROR_CHANGED:
            return "has a new error" if self.code or self.message or self.detail else "has no error any more"
        return VERBS[self.type]

    def _rejects(self) -> str:
        """A run that completed without some of its records is no plain success."""
        return f", {self.rejected:,} rejected" if self.rejected else ""

    def _odd_status(self) -> str:
        if "status" not in self.changes:
            return "is no longer canceled"
        status = _line(self.changes["status"]["new"], LONGEST_CODE)
        return f"is now “{status}”" if status else "has no status"

    @property
    def lateness(self) -> str:
        return f"{spoken(self.late_by)} late" if self.late_by > LATE_AFTER else ""

    def text(self) -> str:
        verb = f"completed, the sync has recovered{self._rejects()}" if self.failed_before else self.verb
        told = f"{self.sync}: run {self.run['id']} {verb}"
        if reason := self.code or _line(self.message, LONGEST_LABEL):
            told += f", {reason}"
        return told + (f" ({self.lateness})" if self.lateness else "")

    def facts(self) -> str:
        """The grey line, what matters most first: on a phone it wraps."""
        parts = [self.failed_before, self._reason_of_skip(), self._records(), self._duration(), self._trigger()]
        return cleaned(" · ".join(part for part in [*parts, self._transition()] if part), LONGEST_FACTS)

    def _transition(self) -> str:
        status, parts = self.changes.get("status"), []
        if status and (status["old"] or status["new"]):
            old, new = (_line(status[side], LONGEST_CODE) for side in ("old", "new"))
            parts.append(f"{old or 'new'} → {new or 'none'}")
        if self.changes.get("canceled", {}).get("new"):
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

    def _records(self) -> str:
        told = []
        for word, fields, zero_counts in _COUNTS:
            count = _count(self.run, *fields)
            if count or (count == 0 and zero_counts):
                told.append(f"{count:,} {word}")
        return ", ".join(told)

    def _trigger(self) -> str:
        reason = self.run.get("sync_trigger_reason")
        if not isinstance(reason, Mapping):
            return _line(reason, 200)
        tag, detail = (_line(reason.get(name), 200) for name in ("ui_tag", "ui_detail"))
        return detail if tag.lower() in detail.lower() else ": ".join(part for part in (tag, detail) if part)

    def footer(self) -> str:
        labels = [f"{key}: {value}" for key, value in self.labels.items()]
        return cleaned(" · ".join([self.workspace, *labels, f"run {self.run['id']}"]), LONGEST_FOOTER)

    # --- the message ---

    def rendered(self) -> Rendered:
        blocks = tuple(block.to_dict() for block in self._blocks())
        return Rendered(escaped(self.text(), LONGEST_TEXT), blocks, self._plain())

    def _blocks(self) -> Iterator[Block]:
        elements: list[Any] = [RichTextSectionElement(elements=list(self._headline()))]
        if self.code or self.message:
            elements.append(RichTextSectionElement(elements=list(self._error())))
        if self.detail:
            elements.append(RichTextPreformattedElement(elements=[_Text(text=self.detail)]))
        yield RichTextBlock(elements=elements)
        if facts := self.facts():
            yield ContextBlock(elements=[PlainTextObject(text=facts, emoji=False)])
        time = MarkdownTextObject(text=_date(self.happened_at), verbatim=True)
        yield ContextBlock(elements=[PlainTextObject(text=self.footer(), emoji=False), time])

    def _headline(self) -> Iterator[Any]:
        emoji = PARTLY if self.type is EventType.COMPLETED and self.rejected else EMOJI[self.type]
        yield RichTextElementParts.Emoji(name=emoji)
        yield _Text(text=" ")
        url = self.run["url"]
        if len(url) <= LONGEST_URL:
            yield RichTextElementParts.Link(url=url, text=self.sync, style=_BOLD)
        else:
            yield _Text(text=self.sync, style=_BOLD)
        yield _Text(text=f" {self.verb}")
        if self.lateness:
            yield _Text(text=f" · {self.lateness}", style=_BOLD)

    def _error(self) -> Iterator[Any]:
        if self.code:
            yield _Text(text=self.code, style=_CODE)
        if self.message:
            yield _Text(text=f" {self.message}" if self.code else self.message)

    def _plain(self) -> str:
        error = ": ".join(part for part in (self.code, self.message) if part)
        late = f" ({self.lateness})" if self.lateness else ""
        lines = [
            f"{self.sync}: run {self.run['id']} {self.verb}{late}",
            error,
            self.detail,
            self.facts(),
            f"{self.footer()} · {self.happened_at:%Y-%m-%d %H:%M} UTC",
            self.run["url"],
        ]
        return escaped("\n".join(line for line in lines if line), LONGEST_TEXT)


def _count(run: Mapping[str, Any], *fields: str) -> int | None:
    """The first of these fields that holds a whole number which may be one of records."""
    values = (run.get(name) for name in fields)
    counts = (value for value in values if isinstance(value, int) and not isinstance(value, bool))
    return next((count for count in counts if 0 <= count <= LARGEST_COUNT), None)


def _date(time: datetime) -> str:
    """Slack's date format, so that each reader sees their own zone."""
    fallback = f"{time:%Y-%m-%d %H:%M} UTC"
    seconds = int(time.timestamp())
    return f"<!date^{seconds}^{{date_short_pretty}} at {{time}}|{fallback}>" if seconds > 0 else fallback


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


def cleaned(value: object, most: int) -> str:
    """Text of at most `most` characters that Slack can show; "" for nothing. What is no text is shown as JSON."""
    if value is None:
        return ""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = _UNFIT.sub("", _BREAKS.sub("\n", shown)).strip()
    return text if len(text) <= most else text[: most - 1].rstrip() + ELLIPSIS


def _line(value: object, most: int) -> str:
    """As `cleaned`, on one line."""
    return cleaned(" ".join(cleaned(value, most * 4).split()), most)


def escaped(text: str, most: int) -> str:
    """For a `text` argument: Slack's three entities, cut to `most` characters but never inside of one."""
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    parts = [entities.get(character, character) for character in text]
    length = 0
    for place, part in enumerate(parts):
        length += len(part)
        if length > most - len(ELLIPSIS) and sum(map(len, parts)) > most:
            return "".join(parts[:place]) + ELLIPSIS
    return "".join(parts)
