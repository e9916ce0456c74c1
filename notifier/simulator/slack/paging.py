"""How Slack's lists are cut: by time (`oldest`, `latest`, `inclusive`) and by cursor (`limit`, `cursor`)."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from notifier.simulator.slack.content import Refused, flag
from notifier.simulator.slack.workspace import SlackMessage

DEFAULT_LIMIT: Final = 100
LARGEST_LIMIT: Final = 999

_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_T = TypeVar("_T")


def between(messages: Sequence[SlackMessage], arguments: Mapping[str, Any]) -> list[SlackMessage]:
    """Those of the messages that lie in the time asked for, bounds only when `inclusive`. Raises Refused."""
    oldest, latest = _time(arguments, "oldest"), _time(arguments, "latest")
    inclusive = flag(arguments, "inclusive")

    def fits(ts: Decimal) -> bool:
        after = oldest is None or ts > oldest or (inclusive and ts == oldest)
        before = latest is None or ts < latest or (inclusive and ts == latest)
        return after and before

    return [message for message in messages if fits(Decimal(message.ts))]


def page(
    items: Sequence[_T], arguments: Mapping[str, Any], identity: Callable[[_T], str]
) -> tuple[Sequence[_T], str | None]:
    """The page asked for and the cursor of the next one. Raises Refused.

    A cursor names the item that comes next, so that what is posted meanwhile moves nothing.
    """
    start, limit = 0, _limit(arguments.get("limit"))
    cursor = arguments.get("cursor")
    if cursor not in (None, ""):
        cursors = [_cursor(identity(item)) for item in items]
        if cursor not in cursors:
            raise Refused("invalid_cursor")
        start = cursors.index(cursor)
    following = items[start + limit : start + limit + 1]
    return items[start : start + limit], _cursor(identity(following[0])) if following else None


def _cursor(identity: str) -> str:
    return base64.b64encode(f"next:{identity}".encode()).decode()


def _limit(given: object) -> int:
    if given is None:
        return DEFAULT_LIMIT
    text = str(given)
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= LARGEST_LIMIT):
        raise Refused("invalid_limit")
    return int(text)


def _time(arguments: Mapping[str, Any], name: str) -> Decimal | None:
    given = arguments.get(name)
    if given is None:
        return None
    if not _TIME.fullmatch(str(given)):
        raise Refused(f"invalid_ts_{name}")
    return Decimal(str(given))
