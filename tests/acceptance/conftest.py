"""The worker's place of work, for each test its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.simulator import SimulatorThread

from .workplace import COMMAND, NO_CHECKS, SECRET, V1, V2, Workplace, v2_of

__all__ = ["COMMAND", "NO_CHECKS", "SECRET", "V1", "V2", "Workplace", "v2_of"]


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


@pytest.fixture
def workplace(request: pytest.FixtureRequest, tmp_path: Path, simulator: SimulatorThread) -> Iterator[Workplace]:
    """Its command is forked, but for tests that are marked `installed`."""
    installed = request.node.get_closest_marker("installed") is not None
    place = Workplace(tmp_path, simulator, installed=installed)
    yield place
    if place.worker is not None:
        place.kill()
    assert not place.log.exists() or "Traceback" not in place.log.read_text()
