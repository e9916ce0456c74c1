"""What both kinds of Slack receivers send: one message in Block Kit, or in plain text where its shape was refused."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from notifier.model import Outcome, Refused
from notifier.receivers.blocks import Rendered
from notifier.receivers.slack_errors import GONE, Meaning, is_about_metadata, meaning_of
from notifier.receivers.slack_http import PACE

EVENT_TYPE: Final = "census_sync_run"

Send = Callable[[dict[str, Any]], Awaitable[tuple[Outcome, str]]]
"""Sends arguments; the outcome, and the error code where there was one."""
Shape = Callable[[str], dict[str, Any]]
"""The arguments: those with blocks for "", else those that follow the error code with which the blocks came back."""


async def send_in_two_shapes(send: Send, shape: Shape) -> tuple[Outcome, str]:
    """Sends a message, and once more as plain text where Slack refused its shape."""
    outcome, code = await send(shape(""))
    if isinstance(outcome, Refused) and meaning_of(code) is Meaning.REFUSED and code not in GONE:
        await asyncio.sleep(PACE)
        outcome, code = await send(shape(code))
    return outcome, code


def post_arguments(event_id: str, rendered: Rendered, through: str | None, refused: str) -> dict[str, Any]:
    """What chat.postMessage and an incoming webhook get. `through`: the last event that the message tells of."""
    content = edit_arguments(rendered, refused)
    if refused:
        del content["blocks"]
    if not is_about_metadata(refused):
        payload = {"event_id": event_id} | ({"through": through} if through not in (None, event_id) else {})
        content["metadata"] = {"event_type": EVENT_TYPE, "event_payload": payload}
    return {**content, "unfurl_links": False, "unfurl_media": False, "mrkdwn": False}


def edit_arguments(rendered: Rendered, refused: str) -> dict[str, Any]:
    """What chat.update gets. Without blocks among its arguments it would leave those that are there."""
    shape = (rendered.plain, ()) if refused else (rendered.text, rendered.blocks)
    content: dict[str, Any] = {"text": shape[0], "blocks": list(shape[1])}
    # `parse` keeps Slack from making links of what looks like one.
    return {**content, "parse": "none"}
