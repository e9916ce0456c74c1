"""What holds for every test."""

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from notifier.cli.loop import new_loop

settings.register_profile("ci", derandomize=True, deadline=None)  # CI decides on a change, not on its luck
settings.register_profile("desk", deadline=None)
# For `make mutants`: that an example fails is enough, none is made small.
settings.register_profile("mutants", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "desk"))

BROWSER = Path(__file__).parent / "browser"
NOT_RUN = (
    "not run: tests/browser (the status page), for want of a browser: "
    "install chromium and chromedriver (Debian: chromium, chromium-driver)"
)
WITHOUT_BROWSER = not (os.environ.get("CI") or (shutil.which("chromium") and shutil.which("chromedriver")))
"""Whoever has no browser runs the other tests; CI demands one."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the product runs on, whose transports and timers are not asyncio's.

    Those of a clock that stands need asyncio's own: no other asks `time()` when its timers are due.
    """
    return {"loop": asyncio.new_event_loop if item.get_closest_marker("standing_clock") else new_loop()}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not WITHOUT_BROWSER:
        return
    left = [item for item in items if item.path.is_relative_to(BROWSER)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Says at the very end what was not run."""
    asked = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    wanted = any(BROWSER.is_relative_to(path) or path.is_relative_to(BROWSER) for path in asked)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if WITHOUT_BROWSER and wanted and reporter is not None and not hasattr(config, "workerinput"):
        reporter.write_line(NOT_RUN, yellow=True)


class _Complaints(logging.Handler):
    """What asyncio says of tasks whose exception nobody took, or that were dropped while they ran."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@pytest.fixture(autouse=True)
def no_task_fails_unseen() -> Iterator[None]:
    """An exception in a background task does not fail a test by itself; this does."""
    complaints = _Complaints()
    logger = logging.getLogger("asyncio")
    logger.addHandler(complaints)
    yield
    logger.removeHandler(complaints)
    assert complaints.said == []
