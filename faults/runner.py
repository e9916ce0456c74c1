"""Runs rows, each in a process group of its own with a time limit, and tells what came of them.

The group takes what a row started with it: a row that hangs, crashes or is interrupted leaves no worker behind.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pkgutil import iter_modules

from faults import rows
from faults.row import Failed, Figures, Row, Size


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a row. `evidence` is empty where it passed."""

    row: Row
    seconds: float
    figures: Figures = field(default_factory=dict)
    evidence: str = ""

    @property
    def passed(self) -> bool:
        return not self.evidence


def all_rows() -> list[Row]:
    """Every module of `faults.rows` has one, as ROW."""
    modules = [import_module(f"{rows.__name__}.{found.name}") for found in iter_modules(rows.__path__)]
    return sorted((module.ROW for module in modules), key=lambda row: row.number)


def judge(row: Row, size: Size, stop: threading.Event | None = None) -> Verdict:
    """Runs one row. Never raises for what the row does, and never takes longer than its limit; `stop` ends it early."""
    context = multiprocessing.get_context("spawn")  # with nothing of ours: neither threads nor sockets
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_in_its_own_group, args=(row, size, theirs), name=f"row {row.number}")
    limit = size.pick(*row.limits)
    began = time.monotonic()
    process.start()
    theirs.close()
    with _group_ended(process.pid):
        figures, evidence = _heard(ours, limit, stop or threading.Event())
    process.kill()  # should it not have come as far as its group
    process.join()
    if figures is None and not evidence:
        evidence = f"the row's process ended without a word, exit code {process.exitcode}"
    return Verdict(row, time.monotonic() - began, figures or {}, evidence)


def _heard(pipe: Connection, limit: float, stop: threading.Event) -> tuple[Figures | None, str]:
    end = time.monotonic() + limit
    while not pipe.poll(0.2):
        if stop.is_set():
            return None, "it was interrupted"
        if time.monotonic() > end:
            return None, f"it did not end within its {limit:g} seconds"
    try:
        figures, evidence = pipe.recv()
    except EOFError:
        return None, ""
    return figures, evidence


@contextmanager
def _group_ended(leader: int | None) -> Iterator[None]:
    """Kills the row's processes in the end, however it came about. Its leader is not reaped yet: the ID is its own."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it has not made its group yet, or nothing is left of it
            os.killpg(leader or 0, signal.SIGKILL)


def _in_its_own_group(row: Row, size: Size, pipe: Connection) -> None:
    os.setsid()
    try:
        figures: Figures | None = dict(row.run(size))
        evidence = ""
    except Failed as failure:
        figures, evidence = None, str(failure) or "no reason given"
    except BaseException:  # noqa: BLE001 - a row that crashes has failed, and the table says how
        figures, evidence = None, traceback.format_exc()
    pipe.send((figures, evidence))
    pipe.close()


def table(verdicts: Sequence[Verdict], size: Size) -> str:
    """The rows with what was asked of each, the figures and the verdict; evidence below."""
    lines = [f"faults, {size.pick('short', 'long')} form, seed {size.seed}", ""]
    for verdict in verdicts:
        row = verdict.row
        lines += [
            f"{row.number:>3}  {'pass' if verdict.passed else 'FAIL'}  {verdict.seconds:6.1f} s  {row.title}",
            f"{'':22}must: {row.criterion}",
            *(f"{'':22}{name}: {value}" for name, value in verdict.figures.items()),
        ]
    for verdict in verdicts:
        if not verdict.passed:
            lines += ["", f"row {verdict.row.number} failed: {verdict.evidence}"]
    failed = sum(not verdict.passed for verdict in verdicts)
    took = sum(verdict.seconds for verdict in verdicts)
    lines += ["", f"{len(verdicts) - failed} of {len(verdicts)} rows pass, {took:.0f} s"]
    return "\n".join(lines)
