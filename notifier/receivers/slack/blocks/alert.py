"""One of Census' own alerts as a Slack message. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from slack_sdk.models.blocks import (
    Block,
    RichTextBlock,
    RichTextElement,
    RichTextPreformattedElement,
    RichTextSectionElement,
)

from notifier.model.body import AlertToldOf, EventBody
from notifier.model.event import EventType
from notifier.receivers.slack.blocks.text import (
    BOLD,
    Rendered,
    Text,
    emoji,
    grey,
    linked,
    mentioned,
    rendered,
    spelled,
)
from notifier.receivers.words.event import (
    LONGEST_CODE,
    LONGEST_DETAIL,
    LONGEST_LABEL,
    When,
    Whose,
    cleaned,
    lateness,
    line,
    name_of_run,
)

ALERT_EMOJI: Final[Mapping[EventType, str]] = {
    EventType.CENSUS_ALERT_RAISED: "bell",
    EventType.CENSUS_ALERT_RESOLVED: "white_check_mark",
}
WORDS: Final[Mapping[EventType, str]] = {
    EventType.CENSUS_ALERT_RAISED: " has an alert in Census",
    EventType.CENSUS_ALERT_RESOLVED: ": an alert in Census is over",
}


def alert_message(event: EventBody, alert: AlertToldOf, now: datetime, mentions: Sequence[str]) -> Rendered:
    """What a channel shows: whose alert, what Census says of it, and its link."""
    kind, whose, seen_at = EventType(event.type), Whose.of(event), event.seen_at or now
    message, details = line(alert.message, LONGEST_LABEL), cleaned(alert.details, LONGEST_DETAIL)
    verb = f"{WORDS[kind]}: {message}" if message else WORDS[kind]
    late, url = lateness(seen_at, now), alert.url or whose.url
    said = f"{whose.sync}{verb}" + (f" ({late})" if late else "")
    footer = whose.footer(line(alert.kind, LONGEST_CODE), name_of_run(event.run))

    def blocks() -> Iterator[Block]:
        headline: list[RichTextElement] = [*emoji(ALERT_EMOJI[kind]), linked(whose.sync, url), Text(text=verb)]
        if late:
            headline.append(Text(text=f" · {late}", style=BOLD))
        under = [RichTextPreformattedElement(elements=[Text(text=details)])] if details else []
        yield RichTextBlock(elements=[RichTextSectionElement(elements=[*headline, *mentioned(mentions)]), *under])
        yield grey([f"{footer} ·", When(seen_at)])

    return rendered(said, blocks(), [said, details, spelled([f"{footer} ·", When(seen_at)]), url], mentions)
