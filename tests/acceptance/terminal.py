"""A command on a terminal of its own: what it shows, and a person who answers its questions."""

import os
import pty
import select
import subprocess
from time import monotonic
from types import TracebackType
from typing import Self

from .conftest import COMMAND, Workplace


class Terminal:
    """`with Terminal(workplace, "init") as terminal:`"""

    def __init__(self, workplace: Workplace, *arguments: str) -> None:
        self._terminal, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=workplace.directory,
            env=workplace.environment | {"COLUMNS": "200", "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(timeout=15)
        os.close(self._terminal)
        assert "Traceback" not in self.shown, self.shown

    def answers(self, question: str, answer: str) -> None:
        """Waits for this and for the question after it, and types a line. A question for a secret ends with its space
        only when the terminal no longer echoes."""
        while question not in self.shown[self._seen :] or not self.shown.endswith(": "):
            assert self._read(), f"was not asked {question!r}; shown was:\n{self.shown}"
        self._seen = len(self.shown)
        os.write(self._terminal, answer.encode() + b"\n")

    def ends(self) -> int:
        """Reads to the end; the exit code."""
        while self._read():
            pass
        return self._process.wait(timeout=15)

    def _read(self) -> bool:
        end = monotonic() + 30
        while monotonic() < end:
            if select.select([self._terminal], [], [], 0.5)[0]:
                try:
                    content = os.read(self._terminal, 65_536)
                except OSError:  # what Linux says when the other end is closed
                    return False
                self.shown += content.decode(errors="replace").replace("\r\n", "\n")
                return bool(content)
        raise AssertionError(f"nothing for 30 s; shown was:\n{self.shown}")
