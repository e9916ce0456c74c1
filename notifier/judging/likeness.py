"""What a run says went wrong, and what an error is like: what stays of it from one run to the next. Pure."""

import re
from typing import Final

from notifier.model.foreign import error_line
from notifier.model.run import SyncRun, Watched

# None of these looks at a character more often than a few times, however long and odd a message is.
_QUOTED: Final = re.compile(r""""[^"]*"|`[^`]*`|“[^“”]*”|«[^«»]*»|(?<!\w)['‘][^'‘’]*['’](?!\w)""")
_WORD: Final = re.compile(r"[\w-]+")
_NUMBERS: Final = re.compile(r"#(?:[.,:]#)+")  # 1,234 or 3.5 or 10:15:30


def wrong_with(run: SyncRun | None) -> str | None:
    """What a run says went wrong, in a line."""
    said = run.watched if run is not None else Watched()
    return error_line(said.error_code, said.error_message, said.error_detail) or None


def likeness(watched: Watched) -> str:
    """An error without what differs from one run to the next: numbers, quoted values and IDs."""
    message = _WORD.sub(_without_digits, _QUOTED.sub("'…'", watched.error_message or ""))
    return f"{watched.error_code or ''}: {' '.join(_NUMBERS.sub('#', message).split())}"[:1_000]


def _without_digits(word: re.Match[str]) -> str:
    text = word.group()
    return "#" if any(character.isdigit() for character in text) else text
