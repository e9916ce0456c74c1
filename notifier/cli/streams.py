"""The standard streams as they may be: closed, full, or without a reader any more. None of that is a traceback.

What can't be written of the output is an error; a reader that has seen enough is none; and what standard error does not
take changes nothing.
"""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from notifier.model.errors import OutputUnwritable, ReaderGone


class _Output(TextIOWrapper):
    """Standard output. Raises OutputUnwritable, or ReaderGone."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _ours(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _ours(error) from error


class _Complaints(TextIOWrapper):
    """Standard error: there is nobody left to tell that it takes nothing."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _ours(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return ReaderGone("the reader has seen enough")
    return OutputUnwritable(f"the output can't be written: {error.strerror}")


def set_up() -> None:
    """Replaces the standard streams by such ones. A terminal that lacks a label's letters still shows the rest."""
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - a descriptor, for the process' life
    sys.stdout = _wrapped(_Output, sys.stdout, 1)
    sys.stderr = _wrapped(_Complaints, sys.stderr, 2)


def _wrapped(kind: type[TextIOWrapper], stream: object, descriptor: int) -> TextIOWrapper:
    if not isinstance(stream, TextIOWrapper):  # Python found the descriptor closed
        raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115
        return kind(raw, encoding="utf-8", errors="replace", line_buffering=descriptor == 2)
    encoding, by_line, at_once = stream.encoding, stream.line_buffering, stream.write_through
    return kind(stream.detach(), encoding=encoding, errors="replace", line_buffering=by_line, write_through=at_once)


def give_up_output() -> None:
    """Sends what still waits to be written nowhere: at its end Python would try again, and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
