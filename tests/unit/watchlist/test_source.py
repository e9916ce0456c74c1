"""Whether a watchlist, or a file that it is filled in from, says something else than before."""

import asyncio
from pathlib import Path

import pytest

from notifier.service.reload import Reloads
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.source import WatchlistFile

GOOD = """version: 1
workspaces: {production: {api_key: "${KEY}"}}
watches: [{syncs: all}]
receivers: {hook: {type: webhook, url: "${HOOK:-http://127.0.0.1:1/}"}}
"""


async def nothing_fails(_: Watchlist) -> None:
    """As a rehearsal of a watchlist that can be used."""


def nobody_hears(*, successful: bool) -> None:
    """As of a service without metrics."""


def a_file(directory: Path, **env: str) -> WatchlistFile:
    path = directory / "watchlist.yaml"
    path.write_text(GOOD)
    return WatchlistFile(path, {"KEY": "k", **env})


def test_the_same_content_looks_the_same_however_it_got_there(tmp_path: Path) -> None:
    source = a_file(tmp_path)
    before = source.look()
    other = tmp_path / "other"
    other.write_text(GOOD)
    other.rename(source.path)
    assert source.look() == before
    source.path.write_text(GOOD + "# a word\n")
    assert source.look() != before
    source.path.unlink()
    assert source.look() == source.look() != before


def test_only_secret_files_that_would_be_read_are_looked_at(tmp_path: Path) -> None:
    for name in ("key", "hook", "unused"):
        (tmp_path / name).write_text("http://127.0.0.1:1/")
    source = a_file(
        tmp_path,
        KEY_FILE=str(tmp_path / "key"),
        HOOK_FILE=str(tmp_path / "hook"),
        UNUSED_FILE=str(tmp_path / "unused"),
    )
    before = source.look()
    for name in ("key", "unused"):  # KEY itself is set, and wins
        (tmp_path / name).write_text("http://127.0.0.1:2/")
        assert source.look() == before
    (tmp_path / "hook").write_text("http://127.0.0.1:2/")
    after = source.look()
    assert after != before
    (tmp_path / "hook").unlink()
    assert source.look() not in (before, after)


@pytest.mark.asyncio
async def test_a_change_is_taken_only_when_two_looks_see_the_same(tmp_path: Path) -> None:
    source = a_file(tmp_path)
    contents = iter([b"1", b"2", b"3", b"3"])
    looks = 0

    class Restless(WatchlistFile):
        def look(self) -> bytes:
            nonlocal looks
            looks += 1
            return next(contents, b"3")

    restless = Restless(source.path, {"KEY": "k"})
    restless.fingerprint = b"0"
    reloads = Reloads(restless, source.load(), every=0.001)
    source.path.write_text(GOOD + "retention: 3d\n")
    async with asyncio.timeout(10):
        assert (await reloads.next(nothing_fails, nobody_hears)).retention.days == 3
    assert looks == 5  # 1, 2, 3, 3 and the load's own
    assert reloads.problem is None


@pytest.mark.asyncio
async def test_an_unreadable_file_is_a_problem_until_it_is_back(tmp_path: Path) -> None:
    source = a_file(tmp_path)
    heard: list[bool] = []

    def hear(*, successful: bool) -> None:
        heard.append(successful)

    reloads = Reloads(source, source.load(), every=0.001)
    source.path.unlink()
    waiting = asyncio.create_task(reloads.next(nothing_fails, hear))
    async with asyncio.timeout(10):
        while reloads.problem is None:
            await asyncio.sleep(0.001)
        assert "there is no such file" in reloads.problem
        source.path.write_text(GOOD)  # as it was: in force, and nothing to hand out
        while reloads.problem is not None:
            await asyncio.sleep(0.001)
        source.path.write_text(GOOD + "retention: 4d\n")
        assert (await waiting).retention.days == 4
    assert heard == [False, True, True]


@pytest.mark.asyncio
async def test_who_asks_for_it_to_be_read_insists_on_it_though_nothing_changes(tmp_path: Path) -> None:
    source = a_file(tmp_path)
    reloads = Reloads(source, source.load(), every=0.001)
    heard: list[bool] = []
    insisted = asyncio.Event()

    def hear(*, successful: bool) -> None:
        heard.append(successful)

    waiting = asyncio.create_task(reloads.next(nothing_fails, hear, insisted.set))
    async with asyncio.timeout(10):
        source.path.write_text(GOOD + "# a remark\n")
        while not heard:
            await asyncio.sleep(0.001)
        assert not insisted.is_set()
        reloads.ask()
        await insisted.wait()
        insisted.clear()
        source.path.write_text(GOOD + "nonsense: 1\n")
        reloads.ask()
        while heard[-1]:
            await asyncio.sleep(0.001)
    assert not insisted.is_set()
    waiting.cancel()
