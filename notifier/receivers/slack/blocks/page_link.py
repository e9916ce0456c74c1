"""A link to the status page, at the end of a message's last grey line. Pure."""

from dataclasses import replace
from urllib.parse import urlencode

from notifier.model.body import EventBody
from notifier.receivers.slack.blocks.text import Rendered, escaped
from notifier.receivers.words.event import LONGEST_URL


def with_page(rendered: Rendered, event: EventBody, public_url: str | None) -> Rendered:
    """The message, with a link to what the status page shows of its event's sync, or of all where it has none.

    `public_url`: where people find the page, from the watchlist; None: there is no link.
    """
    *others, last = rendered.blocks
    if public_url is None or last["type"] != "context":  # a test message is about no sync
        return rendered
    url = page_of(event, public_url)
    if len(url) > LONGEST_URL:
        return rendered
    link = {"type": "mrkdwn", "text": f"· <{escaped(url, LONGEST_URL)}|status page>", "verbatim": True}
    return replace(rendered, blocks=(*others, {**last, "elements": [*last["elements"], link]}))


def page_of(event: EventBody, public_url: str) -> str:
    """The page's address for an event."""
    if event.sync is None:
        return f"{public_url}/"
    return f"{public_url}/?{urlencode({'workspace': event.workspace, 'sync': event.sync.id})}"
