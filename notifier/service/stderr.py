"""The process' only way to standard error of whatever must not wait for its reader; see outlet.py."""

import sys
from typing import Final

from notifier.service.outlet import PATIENCE, Outlet


def _dropped(lines: int) -> bytes:
    return f"notifier: {lines} lines were dropped here: nobody took them\n".encode()


OUTLET: Final = Outlet(2, _dropped)


def tell(sentence: str) -> None:
    """A sentence for whoever started the command, on standard error, after what was logged before."""
    OUTLET.put(line(sentence))


def flush(patience: float = PATIENCE) -> None:
    """Waits until what was said is written, or its reader stands still for so many seconds."""
    OUTLET.flush(patience)


def line(text: str) -> bytes:
    """The bytes of a line."""
    return (text + "\n").encode(getattr(sys.stderr, "encoding", None) or "utf-8", "replace")
