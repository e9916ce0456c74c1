"""What both kinds of Slack receivers post: one message in Block Kit, or in plain text where its shape was refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from notifier.model import Message, Outcome, Refused
from notifier.receivers.blocks import Rendered, render
from notifier.receivers.slack_errors import Meaning, is_about_metadata, meaning_of
from notifier.receivers.slack_http import PACE

EVENT_TYPE: Final = "census_sync_run"

Post = Callable[[dict[str, Any]], Awaitable[tuple[Outcome, str]]]
"""Sends arguments; the outcome, and the error code where there was one."""


async def post_in_two_shapes(post: Post, message: Message, now: datetime) -> Outcome:
    """Posts the message, and once more as plain text where Slack refused its shape."""
    rendered = render(message.body, now)
    outcome, code = await post(arguments(message.event_id, rendered))
    if isinstance(outcome, Refused) and meaning_of(code) is Meaning.REFUSED:
        await asyncio.sleep(PACE)
        outcome, _ = await post(arguments(message.event_id, rendered, refused=code))
    return outcome


def arguments(event_id: str, rendered: Rendered, *, refused: str = "") -> dict[str, Any]:
    """What chat.postMessage and an incoming webhook get. `refused`: the code with which the blocks came back."""
    content: dict[str, Any] = {"text": rendered.plain}
    if not refused:
        content = {"text": rendered.text, "blocks": list(rendered.blocks)}
    if not is_about_metadata(refused):
        content["metadata"] = {"event_type": EVENT_TYPE, "event_payload": {"event_id": event_id}}
    # `mrkdwn` is about `text` alone, and `parse` keeps Slack from making links of what looks like one.
    return {**content, "unfurl_links": False, "unfurl_media": False, "mrkdwn": False, "parse": "none"}
