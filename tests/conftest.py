"""What holds for every test."""

import asyncio
import gc
import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import Phase, settings

from notifier.cli.loop import new_loop, spare_the_collector
from tests.postgres.programs import programs

if TYPE_CHECKING:  # it loads psycopg, which a session without such tests need not
    from tests.postgres.server import OwnPostgres, Postgres

settings.register_profile("ci", derandomize=True, deadline=None)  # CI decides on a change, not on its luck
settings.register_profile("desk", deadline=None)
# For `make mutants`: that an example fails is enough, none is made small.
settings.register_profile("mutants", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "desk"))

ACCEPTANCE = Path(__file__).parent / "acceptance"
BROWSER = Path(__file__).parent / "browser"
SLOW: Final = 10  # as long as so many other tests with processes
NOT_RUN = (
    "not run: tests/browser (the status page), for want of a browser: "
    "install chromium and chromedriver (Debian: chromium, chromium-driver)"
)
WITHOUT_BROWSER = not (os.environ.get("CI") or (shutil.which("chromium") and shutil.which("chromedriver")))
"""Whoever has no browser runs the other tests; CI demands one."""
NOT_RUN_ON_POSTGRESQL = "not run: {} tests on PostgreSQL, for want of a server: install it (Debian: postgresql)"
WITHOUT_POSTGRESQL = not (os.environ.get("CI") or programs())
"""The same of a PostgreSQL server."""
LEFT_OUT = pytest.StashKey[int]()
"""How many tests were left out for want of one."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the product runs on, whose transports and timers are not asyncio's.

    Those of a clock that stands need asyncio's own: no other asks `time()` when its timers are due.
    """
    return {"loop": asyncio.new_event_loop if item.get_closest_marker("standing_clock") else new_loop()}


def pytest_itemcollected(item: pytest.Item) -> None:
    if {"postgres_server", "own_postgres"} & set(getattr(item, "fixturenames", ())):
        item.add_marker("postgresql")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: the garbage collector need not look for rubbish in it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        spare_the_collector()  # as the command does with what it has loaded


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if WITHOUT_BROWSER:
        _leave_out(config, items, [item for item in items if item.path.is_relative_to(BROWSER)])
    if WITHOUT_POSTGRESQL:
        left = [item for item in items if item.get_closest_marker("postgresql")]
        _leave_out(config, items, left)
        config.stash[LEFT_OUT] = len(left)
        if hasattr(config, "workeroutput"):  # of a process of xdist's: all collect the same
            config.workeroutput["left_out"] = len(left)
    if workers := getattr(config, "workerinput", {}).get("workercount"):
        items[:] = _dealt(items, workers)


def _leave_out(config: pytest.Config, items: list[pytest.Item], left: Sequence[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=left)
    out = set(left)
    items[:] = [item for item in items if item not in out]


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_testnodedown(node: Any, error: object) -> None:
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def _dealt(items: Sequence[pytest.Item], hands: int) -> list[pytest.Item]:
    """In the order in which so many processes of xdist's `worksteal` begin with what takes long, each with its share:
    every process is given as many tests, one after the other, and takes from others what they did not come to."""
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    quick: list[pytest.Item] = []
    for item in items:
        slow = item.path.is_relative_to(ACCEPTANCE) or item.path.is_relative_to(BROWSER) or _is_slow(item)
        (files[item.path] if slow else quick).append(item)
    dealt: list[list[pytest.Item]] = [[] for _ in range(hands)]
    loads = [0] * hands
    for long in sorted(files.values(), key=_weight, reverse=True):  # a file stays whole: its fixtures may be shared
        least = loads.index(min(loads))
        dealt[least] += sorted(long, key=_is_slow, reverse=True)
        loads[least] += _weight(long)
    each = len(items) // hands
    for hand in dealt:
        more = max(each - len(hand), 0)
        hand += quick[:more]
        del quick[:more]
    dealt[-1] += quick
    return [item for hand in dealt for item in hand]


def _weight(items: Sequence[pytest.Item]) -> int:
    return sum(SLOW if _is_slow(item) else 1 for item in items)


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Says at the very end what was not run."""
    asked = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    wanted = any(BROWSER.is_relative_to(path) or path.is_relative_to(BROWSER) for path in asked)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    if WITHOUT_BROWSER and wanted:
        reporter.write_line(NOT_RUN, yellow=True)
    if left := config.stash.get(LEFT_OUT, 0):
        reporter.write_line(NOT_RUN_ON_POSTGRESQL.format(left), yellow=True)


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


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Postgres]":
    """The server of this test session, of all its processes together. Nobody stops it."""
    from tests.postgres.server import shared_server

    place = tmp_path_factory.getbasetemp()
    with shared_server(place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) as server:
        yield server


@pytest.fixture
def database_from(postgres_server: "Postgres") -> Iterator[Callable[[str], str]]:
    """Makes a database from the template of that name (`Postgres.template`) and returns its URL; dropped afterwards."""
    urls: list[str] = []

    def make(template: str) -> str:
        urls.append(postgres_server.create(template))
        return urls[-1]

    yield make
    for url in urls:
        postgres_server.drop(url)


@pytest.fixture
def postgres_url(postgres_server: "Postgres") -> Iterator[str]:
    """A fresh database with nothing in it."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def own_postgres() -> "Iterator[OwnPostgres]":
    """A server that the test may stop; it takes a second to make."""
    from tests.postgres.server import own_server

    with own_server() as server:
        yield server
