"""dagster-census' client, waiting for one run that never ends: its calls block, so a process waits for one at a time.

.venv-peers/bin/python dagster_polls.py URL RUN INTERVAL
"""

import sys

from dagster_census import CensusResource


class Census(CensusResource):  # type: ignore[misc]  # is not installed where mypy runs
    """The client with another address: its own is fixed."""

    @property
    def api_base_url(self) -> str:
        return sys.argv[1]


if __name__ == "__main__":
    Census(api_key="key").poll_sync_run(int(sys.argv[2]), poll_interval=float(sys.argv[3]))
