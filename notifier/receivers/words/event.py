"""What an event's body says, cleaned and cut for people to read. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from notifier.model.body import EventBody
from notifier.model.foreign import ELLIPSIS, safe, without_code
from notifier.model.times import parsed_time, spoken

LATE_AFTER: Final = timedelta(minutes=10)
LONGEST_URL: Final = 3_000
LONGEST_LABEL: Final = 150
LONGEST_CODE: Final = 120
LONGEST_MESSAGE: Final = 600
LONGEST_DETAIL: Final = 1_500
LONGEST_FOOTER: Final = 400
COUNTS: Final = range(10**15 + 1)  # what may be a number of records, or of runs


@dataclass(frozen=True, slots=True)
class When:
    """A time that each reader sees in their own zone, with the words around it.

    A receiver that formats times itself is given the words with them: Slack then writes "since today at 09:01" rather
    than "since Today at 09:01".
    """

    time: datetime
    before: str = ""
    """With a space at its end."""
    after: str = ""

    @property
    def in_utc(self) -> str:
        return f"{self.before}{self.time:%Y-%m-%d %H:%M} UTC{self.after}"


Parts: TypeAlias = Sequence[str | When]
"""A grey line: words, and times."""


@dataclass(frozen=True, slots=True)
class Whose:
    """The sync of an event, its workspace and its labels, in words; without a sync, the workspace."""

    sync: str
    url: str
    workspace: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, event: EventBody) -> "Whose":
        sync, workspace = event.sync, line(event.workspace, LONGEST_LABEL)
        name = (line(sync.label, LONGEST_LABEL) or f"sync {line(sync.id, 40)}") if sync else workspace
        labels = tuple(f"{line(key, 40)}: {line(value, 60)}" for key, value in event.labels.items())
        return cls(name, sync.url if sync else "", workspace, labels)

    def footer(self, *more: str) -> str:
        """Where it was: the last grey line, less its times."""
        return cleaned(" · ".join(part for part in (self.workspace, *self.labels, *more) if part), LONGEST_FOOTER)


@dataclass(frozen=True, slots=True)
class RunError:
    """What a run says went wrong; falsy where it says nothing."""

    code: str
    message: str
    detail: str

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "RunError":
        code, message = line(run.get("error_code"), LONGEST_CODE), cleaned(run.get("error_message"), LONGEST_MESSAGE)
        detail = cleaned(run.get("error_detail"), LONGEST_DETAIL)
        return cls(code, without_code(message, code), detail if detail not in (message, code) else "")

    def __bool__(self) -> bool:
        return bool(self.code or self.message or self.detail)

    @property
    def reason(self) -> str:
        """The shortest form of it, which says something whenever any of the three does."""
        return self.code or line(self.message or self.detail, LONGEST_LABEL)

    def plain(self) -> tuple[str, str]:
        """All of it, as lines."""
        return ": ".join(part for part in (self.code, self.message) if part), self.detail


# --- values ---


def name_of_run(run: Mapping[str, Any]) -> str:
    """ "run 93"; "" where there is none."""
    return f"run {line(run['id'], 40)}" if run.get("id") is not None else ""


def happened_at(event: EventBody, now: datetime, *, ended: bool) -> datetime:
    """When it happened, as far as the API says; never after it was seen. `ended`: it is about how its run ended."""
    seen_at = event.seen_at or now
    ended_at = parsed_time(event.run.get("completed_at")) if ended else None
    said = ended_at or parsed_time(event.run.get("updated_at"))
    return min(said, seen_at) if said else seen_at


def lateness(happened: datetime, now: datetime) -> str:
    """How late the message is, where that is worth a word."""
    return f"{spoken(now - happened)} late" if now - happened > LATE_AFTER else ""


def count_of(run: Mapping[str, Any], *fields: str) -> int | None:
    """The first of these fields that holds a whole number which may be one of records."""
    values = (run.get(name) for name in fields)
    counts = (value for value in values if isinstance(value, int) and not isinstance(value, bool))
    return next((count for count in counts if count in COUNTS), None)


def cleaned(value: object, most: int) -> str:
    """Text of at most `most` characters that Slack can show; "" for nothing. What is no text is shown as JSON."""
    if value is None:
        return ""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = safe(shown, "").strip()
    return text if len(text) <= most else text[: most - 1].rstrip() + ELLIPSIS


def line(value: object, most: int) -> str:
    """As `cleaned`, on one line."""
    return cleaned(" ".join(cleaned(value, most * 4).split()), most)
