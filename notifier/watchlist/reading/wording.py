"""What a problem says: what may be quoted from the file, and what the writer may have meant."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from notifier.watchlist.reading.nodes import Path
from notifier.watchlist.scalars import FromEnvironment

MASS_MENTIONS: Final = ("here", "channel", "everyone")
SECRET_KEYS: Final = frozenset({"api_key", "token", "url", "secret", "headers"})
_LONGEST_QUOTE: Final = 60
_MOST_NAMES: Final = 8
_MOST_COMPARED: Final = 500
_SLACK_ID: Final = re.compile(r"[UWS](?=[A-Z]*[0-9])[A-Z0-9]{3,}")  # with a digit: a name may be in capitals
_CLOSE: Final = 0.7  # difflib's 0.6 takes "checks" for "watches"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with the data; `at_key` where the key is wrong rather than its value."""

    path: Path
    message: str
    at_key: bool = False


class Quotes:
    """Knows which values may be repeated: those written in the file, unless a secret key has the same one."""

    def __init__(self, data: object) -> None:
        self._secrets = frozenset(_secrets(data))

    def quote(self, value: object) -> str | None:
        """The value in quotes; None for what came from the environment, is secret, or is no text or number."""
        if isinstance(value, FromEnvironment) or not isinstance(value, str | int | float):
            return None
        text = str(value)
        if text in self._secrets or not text.isprintable():
            return None
        return f'"{text[: _LONGEST_QUOTE - 1]}…"' if len(text) > _LONGEST_QUOTE else f'"{text}"'

    def unknown(self, kind: str, value: object, known: Collection[str]) -> str:
        """`no receiver is named "growht"; did you mean "growth"?` Without quotable text: what there is."""
        quoted = self.quote(value)
        if quoted is None:
            return f"no {kind} has this name; {_listed(known)}"
        meant = closest(str(value), known)
        remedy = f'did you mean "{meant}"?' if meant else _listed(known)
        return f"no {kind} is named {quoted}; {remedy}"


def closest(word: str, known: Collection[str]) -> str | None:
    """The known word that the writer probably meant; None too where comparing with all would take long."""
    if len(known) > _MOST_COMPARED:
        return None
    for spelling in (word[:_LONGEST_QUOTE], word[:_LONGEST_QUOTE].lower()):
        if matches := get_close_matches(spelling, known, n=1, cutoff=_CLOSE):
            return matches[0]
    return None


def meant_mention(text: str) -> str | None:
    """The mention that the writer probably meant by `here`, `@U0123ABCD` or `<@U0123ABCD|anna>`."""
    bare = text.strip("<>@! ").split("|")[0].removeprefix("subteam^")
    if bare.lower() in MASS_MENTIONS:
        return f"@{bare.lower()}"
    if not _SLACK_ID.fullmatch(bare):
        return None
    return f"<!subteam^{bare}>" if bare.startswith("S") else f"<@{bare}>"


def _listed(known: Collection[str]) -> str:
    names = [f'"{name}"' for name in known]
    if not names:
        return "there is none"
    more = ", …" if len(names) > _MOST_NAMES else ""
    return f"known: {', '.join(names[:_MOST_NAMES])}{more}"


def _secrets(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _texts(child) if key in SECRET_KEYS else _secrets(child)
    elif isinstance(value, tuple):
        for child in value:
            yield from _secrets(child)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        for child in value:
            yield from _texts(child)
    else:
        yield str(value)
