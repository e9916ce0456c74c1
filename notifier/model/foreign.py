"""Text that others wrote, made fit to be shown to people: on a terminal, on the page, in Slack. Pure.

Whoever shows it still does what is special to the place: escapes it, and cuts it.
"""

import re
from functools import lru_cache
from typing import Final

ELLIPSIS: Final = "…"
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

# ECMA-48 (the same as ISO 6429), and what xterm makes of it: strings (OSC, DCS, SOS, PM, APC) up to BEL or ST, control
# sequences (CSI), and ESC with what follows; each also as one C1 character. A string that never ends is taken for its
# first characters alone, or it would hide all that comes. No string holds another's beginning, so that none of this
# looks at a character twice, however long and odd a text is.
_SEQUENCE: Final = re.compile(
    "(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\\\|\x9c)"
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"
    "|\x1b[ -/]*[0-~]"
)
UNSAFE: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""DEL and C1, marks and overrides of direction (Unicode TR 9), line separators, the byte order mark, halves of
characters."""
_BREAK: Final = re.compile("\r\n?|[\u2028\u2029]")
_CONTROL: Final = re.compile(" ?[\x00-\x08\x0b-\x1f\x7f-\x9f]+ ?")
_BLANK_LINES: Final = re.compile("\n(?:[ \t]*\n){2,}")
_BETWEEN: Final = re.compile(r"\s*[:;,.|]\s*|\s+[-–—]\s+|\s*")


def tidied(text: str) -> str:
    """The text without terminal sequences. Other control characters, except tab and line break, become spaces, so that
    no words run together. Several blank lines become one."""
    text = _CONTROL.sub(" ", _SEQUENCE.sub("", _BREAK.sub("\n", text)))
    return _BLANK_LINES.sub("\n\n", text)


@lru_cache(maxsize=16)  # a message shows the same long text in several places
def safe(text: str, instead: str = REPLACEMENT) -> str:
    """The text tidied, with something else for each character that would change how what is around it looks."""
    return UNSAFE.sub(instead, tidied(text))


def disarmed_json(text: str) -> str:
    """JSON in which what a terminal obeys is written as JSON's own escapes, which mean the same."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_code(message: str, code: str) -> str:
    """An error's message without the code that it begins with, which is shown beside it."""
    rest = message[len(code) :]
    if not code or message[: len(code)].casefold() != code.casefold() or rest[:1].isalnum() or rest[:1] == "_":
        return message
    between = _BETWEEN.match(rest)
    return rest[between.end() :] if between else rest


def error_line(code: object, message: object, detail: object = None, most: int = 300) -> str:
    """What a run says went wrong, on one line of at most so many characters; "" where it says nothing."""
    first, *others = (" ".join(tidied(str(part or "")).split()) for part in (code, message, detail))
    said = next((part for part in (without_code(other, first) for other in others) if part), "")
    line = ": ".join(part for part in (first, said) if part)
    return line if len(line) <= most else line[: most - 1].rstrip() + ELLIPSIS
