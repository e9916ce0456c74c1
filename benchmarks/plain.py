"""What a user would script: looks at the newest run of each sync in turn, and tells a webhook when it is another.

    python -m benchmarks.plain URL HOOK SYNCS RATE

RATE: requests a second, at even distances. No database, no limits, no errors.
"""

import asyncio
import itertools
import sys

import aiohttp
import orjson
import uvloop


async def main(url: str, hook: str, syncs: int, rate: float) -> None:
    """Polls until it is killed."""
    loop = asyncio.get_running_loop()
    known: dict[int, object] = {}
    begun = loop.time()
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session:

        async def look_at(sync_id: int) -> None:
            async with session.get(f"{url}/syncs/{sync_id}/sync_runs?page=1&per_page=1&order=desc") as answer:
                run = orjson.loads(await answer.read())["data"][0]
            state = (run["id"], run["status"])
            if known.get(sync_id, state) != state:
                async with session.post(hook, json={"run_id": run["id"], "status": run["status"]}):
                    pass
            known[sync_id] = state

        async with asyncio.TaskGroup() as under_way:
            for turn in itertools.count():
                await asyncio.sleep(begun + turn / rate - loop.time())
                under_way.create_task(look_at(turn % syncs + 1))


if __name__ == "__main__":
    address, receiver, *numbers = sys.argv[1:]
    uvloop.run(main(address, receiver, int(numbers[0]), float(numbers[1])))
