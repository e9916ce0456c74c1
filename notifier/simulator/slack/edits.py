"""What chat.update may make of a message: as chat.postMessage, but for the differences that Slack documents.

https://docs.slack.dev/reference/methods/chat.update
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from notifier.simulator.slack.content import Refused, read_content
from notifier.simulator.slack.workspace import Content, SlackMessage

LONGEST_EDIT: Final = 4_000
"""Bytes of the text, after escaping."""

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Entities and what is in angle brackets (links, mentions) are escaped already; the group holds what is not.
_ESCAPABLE = re.compile(r"&(?:amp|lt|gt);|<[^<>\s][^<>]*>|([&<>])")


def read_edit(message: SlackMessage, arguments: Mapping[str, Any]) -> Content:
    """What the message is to say from now on. Raises Refused.

    Metadata that is not given is kept, and an empty object takes it away. Blocks that are not given go away: the text
    is shown instead. A text that is not given beside blocks becomes empty: Slack documents nothing there.
    """
    removes_metadata = arguments.get("metadata") in ({}, "{}")
    content = read_content({**arguments, "metadata": None} if removes_metadata else arguments)
    if len(_escaped(content.text).encode()) > LONGEST_EDIT:
        raise Refused("msg_too_long")
    keeps_metadata = content.metadata is None and not removes_metadata
    metadata = message.metadata if keeps_metadata else content.metadata
    # chat.update has no argument `mrkdwn`.
    return replace(content, metadata=metadata, mrkdwn=message.mrkdwn)


def _escaped(text: str) -> str:
    """The text as Slack keeps it, whoever escaped it."""
    return _ESCAPABLE.sub(lambda found: _ENTITIES[found[1]] if found[1] else found[0], text)
