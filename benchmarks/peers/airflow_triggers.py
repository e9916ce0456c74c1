"""airflow-provider-census' triggers, as Airflow's triggerer runs them: all in one event loop, each for one run.

    .venv-peers/bin/python airflow_triggers.py URL FIRST_RUN STEP RUNS INTERVAL

Polls until it is killed, because the runs never end.
"""

import asyncio
import json
import os
import sys

os.environ["AIRFLOW_CONN_CENSUS_DEFAULT"] = json.dumps(
    {"conn_type": "http", "host": sys.argv[1].removesuffix("/api/v1"), "password": "key"}
)
# Reads the connection from there, so it comes after it.
from airflow_provider_census.triggers.census import CensusTrigger


async def main(first: int, step: int, runs: int, interval: float) -> None:
    """One task a run."""

    async def wait_for(run_id: int) -> None:
        async for _ in CensusTrigger(run_id, poll_interval=interval).run():
            pass

    async with asyncio.TaskGroup() as triggers:
        for number in range(runs):
            triggers.create_task(wait_for(first + step * number))
            await asyncio.sleep(interval / runs)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
