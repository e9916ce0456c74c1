"""One of Census' own alerts as a Slack message. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from slack_sdk.models.blocks import (
    Block,
    RichTextBlock,
    RichTextElement,
    RichTextPreformattedElement,
    RichTextSectionElement,
)

from notifier.model.event import EventType
from notifier.model.times import parsed_time
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
)

ALERT_EMOJI: Final[Mapping[EventType, str]] = {
    EventType.CENSUS_ALERT_RAISED: "bell",
    EventType.CENSUS_ALERT_RESOLVED: "white_check_mark",
}
WORDS: Final[Mapping[EventType, str]] = {
    EventType.CENSUS_ALERT_RAISED: " has an alert in Census",
    EventType.CENSUS_ALERT_RESOLVED: ": an alert in Census is over",
}


def alert_message(event: Mapping[str, Any], now: datetime, mentions: Sequence[str]) -> Rendered:
    """What a channel shows: whose alert, what Census says of it, and its link."""
    data, kind = event["data"], EventType(event["type"])
    alert, whose, seen_at = data["alert"], Whose.of(data), parsed_time(event["timestamp"]) or now
    message, details = line(alert.get("message"), LONGEST_LABEL), cleaned(alert.get("details"), LONGEST_DETAIL)
    verb = f"{WORDS[kind]}: {message}" if message else WORDS[kind]
    late, url = lateness(seen_at, now), str(alert.get("url") or whose.url)
    said = f"{whose.sync}{verb}" + (f" ({late})" if late else "")
    footer = whose.footer(line(alert.get("type"), LONGEST_CODE), *_run(data))

    def blocks() -> Iterator[Block]:
        headline: list[RichTextElement] = [*emoji(ALERT_EMOJI[kind]), linked(whose.sync, url), Text(text=verb)]
        if late:
            headline.append(Text(text=f" · {late}", style=BOLD))
        under = [RichTextPreformattedElement(elements=[Text(text=details)])] if details else []
        yield RichTextBlock(elements=[RichTextSectionElement(elements=[*headline, *mentioned(mentions)]), *under])
        yield grey([f"{footer} ·", When(seen_at)])

    return rendered(said, blocks(), [said, details, spelled([f"{footer} ·", When(seen_at)]), url], mentions)


def _run(data: Mapping[str, Any]) -> Iterator[str]:
    if run := data.get("sync_run"):
        yield f"run {line(run.get('id'), 40)}"
