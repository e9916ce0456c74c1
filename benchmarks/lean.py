"""The leanest poller there can be, to compare with: fetch, decode with orjson, compare with what was there before.

    python -m benchmarks.lean URL SYNCS CONCURRENCY INTERVAL ROUNDS TICK

No database, no limits, no errors, no checks; the same aiohttp and uvloop as the worker. INTERVAL: seconds between two
polls of a sync, 0 for as fast as it goes. ROUNDS: 0 for ever. TICK: what is due within so many seconds begins together,
0 for each poll at a time of its own.
"""

import asyncio
import itertools
import sys

import aiohttp
import orjson
import uvloop


async def main(url: str, syncs: int, concurrency: int, interval: float, rounds: int, tick: float) -> None:
    """Polls every sync again and again, from `concurrency` loops that share the syncs."""
    loop = asyncio.get_running_loop()
    known: dict[int, object] = {}
    begun = loop.time()
    headers = {"Authorization": "Bearer key", "Accept": "application/json", "Accept-Encoding": "gzip"}
    connector = aiohttp.TCPConnector(limit=concurrency, keepalive_timeout=600)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        turns = itertools.count() if rounds == 0 else iter(range(rounds * syncs))

        async def poll() -> None:
            for turn in turns:
                if interval:
                    due = turn * interval / syncs
                    await asyncio.sleep(begun + (due // tick * tick if tick else due) - loop.time())
                sync_id = turn % syncs + 1
                async with session.get(f"{url}/syncs/{sync_id}/sync_runs?page=1&per_page=5&order=desc") as answer:
                    value = orjson.loads(await answer.read())
                if known.get(sync_id) != value:
                    known[sync_id] = value

        async with asyncio.TaskGroup() as loops:
            for _ in range(concurrency):
                loops.create_task(poll())


if __name__ == "__main__":
    address, *numbers = sys.argv[1:]
    syncs, concurrency, interval, rounds, tick = numbers
    uvloop.run(main(address, int(syncs), int(concurrency), float(interval), int(rounds), float(tick)))
