"""The way to standard error: lines in order, none lost while there is a reader, nobody held up where there is none."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import pytest

from notifier.service.outlet import Outlet

LINES = [b"line %d\n" % number for number in range(40_000)]  # several times what a pipe holds


def notice(lines: int) -> bytes:
    return b"%d lost\n" % lines


class Pipe:
    """A pipe, whose reader reads when it is told to."""

    def __init__(self) -> None:
        reading, self.descriptor = os.pipe()
        self.reader: BinaryIO = os.fdopen(reading, "rb")

    def read(self) -> list[bytes]:
        """All lines to the end."""
        os.close(self.descriptor)
        return self.reader.readlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.reader.close()
    with suppress(OSError):
        os.close(pipe.descriptor)


def test_lines_come_out_in_the_order_in_which_they_were_put(pipe: Pipe) -> None:
    outlet = Outlet(pipe.descriptor, notice)
    for line in LINES[:1_000]:
        outlet.put(line)
    assert outlet.flush()
    assert pipe.read() == LINES[:1_000]


def test_what_is_said_while_the_writer_rests_is_written_together(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    rests, go_on = threading.Event(), threading.Event()

    class Watched(Outlet):
        def _write(self, lines: list[bytes]) -> int:
            writes.append(b"".join(lines))
            return 0

    def sleep(_: float) -> None:
        rests.set()
        go_on.wait(10)

    monkeypatch.setattr("notifier.service.outlet.sleep", sleep)
    outlet = Watched(pipe.descriptor, notice)
    outlet.put(b"at once\n")
    assert rests.wait(10)
    for line in LINES[:3]:
        outlet.put(line)
    go_on.set()
    assert outlet.flush()
    assert writes == [b"at once\n", b"".join(LINES[:3])]


def test_a_reader_that_stands_still_holds_nobody_up_and_learns_where_and_how_much_it_missed(pipe: Pipe) -> None:
    outlet = Outlet(pipe.descriptor, notice, most=100_000)  # more than the pipe holds
    for line in LINES[:8_000]:  # which may wait whole
        outlet.put(line)
    assert not outlet.flush(patience=0.5), "the pipe is full, so that no room comes up between two losses"
    for line in LINES[8_000:]:
        outlet.put(line)
    assert not outlet.flush(patience=0.01)
    got: list[bytes] = []
    while not got or not got[-1].endswith(b"lost\n"):
        got.append(pipe.reader.readline())
    missed = int(got.pop().split()[0])
    assert got == LINES[: len(got)]
    assert missed == len(LINES) - len(got)
    outlet.put(b"after\n")
    assert outlet.flush()
    assert pipe.read() == [b"after\n"]


def test_the_loss_is_told_before_the_line_that_comes_after_it(pipe: Pipe) -> None:
    outlet = Outlet(pipe.descriptor, notice, most=10)
    outlet.put(b"longer than what may wait\n")
    outlet.put(b"short\n")
    assert outlet.flush()
    assert pipe.read() == [b"1 lost\n", b"short\n"]


def test_a_pipe_without_a_reader_takes_nothing_and_fails_nobody(pipe: Pipe) -> None:
    outlet = Outlet(pipe.descriptor, notice)
    pipe.reader.close()
    outlet.put(b"a\n")
    outlet.put(b"b\n")
    assert outlet.flush()


def test_a_descriptor_that_others_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.descriptor, False)
    outlet = Outlet(pipe.descriptor, notice)
    for line in LINES:
        outlet.put(line)
    got = [pipe.reader.readline() for _ in LINES]
    assert got == LINES
    assert outlet.flush()


def test_a_descriptor_stays_blocking_for_those_who_share_it(pipe: Pipe) -> None:
    outlet = Outlet(pipe.descriptor, notice)
    outlet.put(b"a\n")
    assert outlet.flush()
    assert os.get_blocking(pipe.descriptor)
