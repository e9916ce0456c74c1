"""airflow-provider-census' triggers, as Airflow's triggerer runs them: all in one event loop, each for one run.

    .venv-peers/bin/python airflow_triggers.py URL FIRST_RUN STEP RUNS INTERVAL [HOOK]

Tells HOOK, where one is given, of each run that has ended; else the runs never do. Polls until it is killed.
"""

import asyncio
import json
import os
import sys

os.environ["AIRFLOW_CONN_CENSUS_DEFAULT"] = json.dumps(
    {"conn_type": "http", "host": sys.argv[1].removesuffix("/api/v1"), "password": "key"}
)
import aiohttp

# Reads the connection from there, so it comes after it.
from airflow_provider_census.triggers.census import CensusTrigger


async def main(first: int, step: int, runs: int, interval: float, receiver: str | None) -> None:
    """One task a run."""

    async def wait_for(run_id: int) -> None:
        async for event in CensusTrigger(run_id, poll_interval=interval).run():
            if receiver is not None:
                async with aiohttp.ClientSession() as session, session.post(receiver, json=event.payload):
                    pass

    async with asyncio.TaskGroup() as triggers:
        for number in range(runs):
            triggers.create_task(wait_for(first + step * number))
            await asyncio.sleep(interval / runs)


if __name__ == "__main__":
    hook = sys.argv[6] if len(sys.argv) > 6 else None
    asyncio.run(main(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), hook))
