"""An incident as one Slack message, which is edited to the present state. Pure.

Nobody edits it just because time passes: it says since when, never for how long, until the incident is over.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from slack_sdk.models.blocks import Block, RichTextBlock, RichTextElement, RichTextSectionElement

from notifier.model.body import EventBody, IncidentToldOf
from notifier.model.event import EventType
from notifier.model.incident import Check
from notifier.receivers.slack.blocks.text import (
    BOLD,
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
from notifier.receivers.words.event import Parts, RunError, When, cleaned, lateness
from notifier.receivers.words.incident import (
    LONG,
    NAMES_RUN,
    IncidentWords,
)
from notifier.receivers.words.phrases import (
    behind,
    meanwhile,
)


class IncidentStory:
    """An incident's message."""

    def __init__(
        self, event: EventBody, incident: IncidentToldOf, now: datetime, latest: EventBody | None, *, living: bool
    ) -> None:
        """`living`: it shows the incident as it is, and each event edits it; otherwise it tells of this one event.
        `latest`: a run's event that came after this one."""
        self.incident = IncidentWords(event, incident, now)
        self._living = living
        self._latest = self._after(latest) if latest and self.incident.is_open else ""
        is_edit = living and self.incident.type is EventType.INCIDENT_CHANGED
        self._late = "" if is_edit or self._latest else lateness(self.incident.happened_at, now)

    def _after(self, event: EventBody) -> str:
        """What happened since, in a few words; an error that reads differently now just takes its place."""
        incident, run = self.incident, event.run
        if not run or event.incident is not None:
            return ""
        is_same = incident.check is Check.FAILING and incident.run.get("id") == run.get("id")
        if is_same and event.type == EventType.ERROR_CHANGED:
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
            reasons = [incident.explanation(), incident.run_name if incident.check in NAMES_RUN else ""]
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
        yield RichTextBlock(elements=[*elements, *error_below(self.incident.error)])
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
