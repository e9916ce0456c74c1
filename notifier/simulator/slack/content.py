"""What a message may hold, for chat.postMessage and incoming webhooks alike: the text, the blocks, the metadata.

Stricter than Slack where its documentation recommends: a text over 4,000 characters is refused, not only one over
40,000, and so are blocks with more than 9,000 characters.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from notifier.simulator.slack.block_kit import problems_of, text_length
from notifier.simulator.slack.workspace import Content

LONGEST_TEXT: Final = 4_000
LONGEST_BLOCKS: Final = 9_000
LARGEST_METADATA: Final = 1_000
_CALLS_ALL: Final = re.compile(r"<!(here|channel|everyone)\b")


class Refused(Exception):
    """Slack answers with this error code, and with `extra` beside it."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra


def invalid_arguments(sentence: str) -> Refused:
    """The refusal of an argument that is missing or of the wrong type."""
    return Refused("invalid_arguments", response_metadata={"messages": [f"[ERROR] {sentence}"]})


def flag(arguments: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """An argument that is true or false, as JSON or as text of a form."""
    given = arguments.get(name)
    return default if given is None else given in (True, "1", "true")


def read_content(arguments: Mapping[str, Any]) -> Content:
    """The message that is asked for. Raises Refused."""
    text = arguments.get("text")
    if text is None:
        text = ""
    if not isinstance(text, str):
        raise invalid_arguments("must provide a string [json-pointer:/text]")
    blocks = _blocks(arguments.get("blocks"))
    if not blocks and not text.strip():
        raise Refused("no_text")
    if len(text) > LONGEST_TEXT:
        raise Refused("msg_too_long")
    return Content(text, blocks, _metadata(arguments.get("metadata")), flag(arguments, "mrkdwn", default=True))


def calls_all(content: Content) -> bool:
    """Whether a message mentions @here, @channel or @everyone; its text counts where it has no blocks."""
    shown = orjson.dumps(content.blocks).decode() if content.blocks else content.text
    return '"type":"broadcast"' in shown or _CALLS_ALL.search(shown) is not None


def _blocks(given: object) -> list[Any]:
    if given is None:
        return []
    blocks = _decoded(given, "invalid_blocks_format")
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format")
    problems = problems_of(blocks)
    if problems:
        raise Refused("invalid_blocks", errors=problems, response_metadata={"messages": problems})
    if text_length(blocks) > LONGEST_BLOCKS:
        raise Refused("msg_blocks_too_long")
    return blocks


def _metadata(given: object) -> dict[str, Any] | None:
    if given is None:
        return None
    metadata = _decoded(given, "invalid_metadata_format")
    match metadata:
        case {"event_type": str(event_type), "event_payload": dict(), **rest} if event_type and not rest:
            pass
        case _:
            raise Refused("invalid_metadata_format")
    try:
        size = len(orjson.dumps(metadata))
    except orjson.JSONEncodeError:  # nested deeper than it can write
        raise Refused("invalid_metadata_format") from None
    if size > LARGEST_METADATA:
        raise Refused("metadata_too_large")
    return {**metadata}


def _decoded(given: object, code: str) -> Any:
    """A form can hold an object only as text, and Slack takes that in JSON too."""
    if not isinstance(given, str):
        return given
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        raise Refused(code) from None
