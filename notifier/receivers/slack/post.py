"""What both kinds of Slack receivers send: one message in Block Kit, or less of it where Slack refused that."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import structlog

from notifier.model.delivery import Broken, Delivered, Outcome, Refused
from notifier.receivers.pace import PACE
from notifier.receivers.slack.blocks.text import Rendered
from notifier.receivers.slack.draft import Draft, Forbidden
from notifier.receivers.slack.errors import is_about_metadata

log = structlog.get_logger(__name__)

EVENT_TYPE: Final = "census_sync_run"
LONGEST_NAME: Final = 100  # characters of a receiver's name: all metadata together is less than 1 kB

Send = Callable[[Draft], Awaitable[tuple[Outcome, str]]]
"""Sends one shape of a message; the outcome, and the error code where there was one."""


class LeftOut:
    """What one receiver's messages go without, because Slack refuses it; told in the log once."""

    def __init__(self, receiver: str, clock: Callable[[], datetime]) -> None:
        self.forbidden = Forbidden()
        self._receiver = receiver
        self._clock = clock

    async def send(self, send: Send, whole: Draft) -> tuple[Outcome, str]:
        """Sends a message, and again with less of it while Slack refuses what may be left out."""
        draft = whole.allowed(self.forbidden, self._clock())
        outcome, code = await send(draft)
        while isinstance(outcome, Broken | Refused) and (less := draft.after(code)) is not None:
            await asyncio.sleep(PACE)
            draft = less
            outcome, code = await send(draft)
        if not isinstance(outcome, Delivered) or draft.caveat is None:
            return outcome, code
        self._tell(draft)
        return replace(outcome, caveat=draft.caveat, answer=f"{outcome.answer}; {draft.caveat}"), code

    def _tell(self, draft: Draft) -> None:
        now = self._clock()
        for part, why in draft.left_out:
            if self.forbidden.why(part, now) is None and self.forbidden.add(part, why, now):
                log.warning(
                    "Slack refuses a part of this receiver's messages; they go without it",
                    receiver=self._receiver,
                    part=part,
                    error=why,
                )


def post_arguments(
    event_id: str, receiver: str, rendered: Rendered, through: str | None, refused: str
) -> dict[str, Any]:
    """What chat.postMessage and an incoming webhook get. `through`: the last event that the message tells of.

    `receiver`: another one may post of the same event to the same channel.
    """
    content = edit_arguments(rendered, refused)
    if refused:
        del content["blocks"]
    if not is_about_metadata(refused):
        payload = {"event_id": event_id, "receiver": receiver[:LONGEST_NAME]}
        payload |= {"through": through} if through not in (None, event_id) else {}
        content["metadata"] = {"event_type": EVENT_TYPE, "event_payload": payload}
    return {**content, "unfurl_links": False, "unfurl_media": False, "mrkdwn": False}


def edit_arguments(rendered: Rendered, refused: str) -> dict[str, Any]:
    """What chat.update gets. Without blocks among its arguments it would leave those that are there."""
    shape = (rendered.plain, ()) if refused else (rendered.text, rendered.blocks)
    content: dict[str, Any] = {"text": shape[0], "blocks": list(shape[1])}
    # `parse` keeps Slack from making links of what looks like one.
    return {**content, "parse": "none"}
