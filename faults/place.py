"""Where a row works: simulators in this process, a directory, and the worker that runs in it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.row import must
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace


def must_stop_well(workplace: Workplace) -> None:
    """SIGTERM ends the worker with exit code 0, once it works: one that still starts dies of it as any process does."""
    asked = workplace.simulator.request_count
    workplace.wait_until(lambda: workplace.simulator.request_count > asked)
    code = workplace.stop()
    must(code == 0, f"after SIGTERM the worker ended with {code}; its log:\n{workplace.log.read_text()[-3000:]}")


@contextmanager
def a_workplace() -> Iterator[tuple[Workplace, SimulatorThread]]:
    """A workplace with nothing in it yet. Whatever was done there, nobody has seen a traceback."""
    with tempfile.TemporaryDirectory(prefix="faults.") as directory, SimulatorThread() as simulator:
        workplace = Workplace(Path(directory), simulator)
        workplace.begins_empty = True  # a row is about all that the worker does, from making its database on
        try:
            yield workplace, simulator
        finally:
            if workplace.worker is not None:
                workplace.kill()
        log = workplace.log.read_text() if workplace.log.exists() else ""
        must("Traceback" not in log, f"a traceback in the worker's log:\n{log[-4000:]}")
