"""A watchlist that was asked for is read, though whoever waited for it had something else to do meanwhile."""

import asyncio
from pathlib import Path

import pytest

from notifier.service.reload import Reloads
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.source import WatchlistFile

WATCHLIST = """
version: 1
workspaces: {{production: {{api_key: k}}}}
watches: [{{syncs: all}}]
receivers: {{{receiver}: {{type: webhook, url: "http://127.0.0.1:1"}}}}
"""


def heard(*, successful: bool) -> None:
    assert successful


@pytest.mark.asyncio
async def test_an_order_to_read_is_not_lost_with_who_was_reading(tmp_path: Path) -> None:
    """A worker's place is lost, or taken, just when SIGHUP came."""
    path = tmp_path / "watchlist.yaml"
    path.write_text(WATCHLIST.format(receiver="old"))
    source = WatchlistFile(path, {})
    reloads = Reloads(source, source.load(), every=60)
    path.write_text(WATCHLIST.format(receiver="new"))
    rehearsing = asyncio.Event()

    async def hangs(_: Watchlist) -> None:
        rehearsing.set()
        await asyncio.Event().wait()

    async def rehearsed(_: Watchlist) -> None:
        return

    reloads.ask()
    async with asyncio.timeout(30):
        reading = asyncio.create_task(reloads.next(hangs, heard))
        await rehearsing.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        found = await reloads.next(rehearsed, heard)
    assert list(found.receivers) == ["new"]
