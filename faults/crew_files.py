"""A watchlist for each worker of a crew, and a port: so that each can have another file than the others.

The old one watches four workspaces. In the new one a workspace is missing, of which an incident is open, and a receiver
for whom messages wait, for nobody listens where he should be; and it has a receiver more.
"""

import json
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from faults.account import WEBHOOKS
from faults.crew import Crew
from faults.database import Rows
from notifier.model.part import workspace_part

GONE: Final = "delta"
"""The workspace that the new file does not name."""
SILENT: Final = "silent"
"""The receiver that the new file does not name."""
ADDED: Final = "added"
"""The receiver that the old file does not name. Gets what happens in AMBER."""
AMBER: Final = "amber"
RECEIVERS: Final = (*WEBHOOKS, SILENT, ADDED)
_LEFT: Final = (
    "SELECT (SELECT count(*) FROM syncs WHERE watched AND workspace = '{gone}') AS syncs, "
    "(SELECT count(*) FROM snapshots WHERE workspace = '{gone}') AS snapshots, "
    "(SELECT count(*) FROM incidents WHERE open AND workspace = '{gone}') AS incidents, "
    "(SELECT count(*) FROM workspaces WHERE name = '{gone}') AS workspaces, "
    "(SELECT count(*) FROM deliveries WHERE state = 'pending' AND receiver = '{silent}') AS deliveries, "
    "(SELECT count(*) FROM receivers WHERE name = '{silent}') AS receivers, "
    "(SELECT count(*) FROM parts WHERE name IN ('{part}', '{hook}')) AS parts"
)
_LOG: Final = """
CREATE TABLE watch.forgotten (what text, differ boolean, at timestamptz);
CREATE FUNCTION watch.forgot() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watch.forgotten SELECT TG_TABLE_NAME, EXISTS (
        SELECT FROM public.replicas, public.in_force WHERE replicas.watchlist <> in_force.watchlist
    ), clock_timestamp();
    RETURN NULL;
END $$;
"""
_FORGOT: Final = (
    ("syncs", "UPDATE", "OLD.workspace = '{gone}' AND OLD.watched AND NOT NEW.watched"),
    ("snapshots", "DELETE", "OLD.workspace = '{gone}'"),
    ("incidents", "UPDATE", "OLD.workspace = '{gone}' AND OLD.open AND NOT NEW.open"),
    ("workspaces", "DELETE", "OLD.name = '{gone}'"),
    ("deliveries", "UPDATE", "OLD.receiver = '{silent}' AND NEW.state = 'dead'"),
    ("receivers", "DELETE", "OLD.name = '{silent}'"),
    ("parts", "DELETE", "OLD.name IN ('{part}', '{hook}')"),
)
"""By table, what forgets a row of it."""
_NAMES: Final = {"gone": GONE, "silent": SILENT, "part": workspace_part(GONE), "hook": f"webhook:{SILENT}"}
GOING_BY: Final = "SELECT name FROM replicas JOIN in_force USING (watchlist)"


class Files:
    """Of one crew, by the names of those who will be in it. All begin with the old one."""

    def __init__(self, crew: Crew, names: Sequence[str]) -> None:
        self._crew = crew
        self._silent = socket.socket()  # bound, and nobody listens: whoever calls there is refused
        self._silent.bind(("127.0.0.1", 0))
        text = (crew.workplace.directory / "watchlist.yaml").read_text()
        self.old = _old(YAML(typ="safe").load(text), self._silent.getsockname()[1])
        self.new = _new(self.old, crew.simulator.sink_url)
        self.ports = {name: _free_port() for name in names}
        for name in names:
            self.give(name, self.old)
            crew.around[name] = {"NOTIFIER_CONFIG": self._path(name).name}

    def close(self) -> None:
        """What nobody listens to is there until then."""
        self._silent.close()

    def give(self, name: str, watchlist: dict[str, Any]) -> None:
        """One who works is told at once (SIGHUP)."""
        whole = {**watchlist, "server": {"listen": f"127.0.0.1:{self.ports[name]}"}}
        draft = self._path(name).with_suffix(".draft")
        draft.write_text(json.dumps(whole))
        draft.replace(self._path(name))
        if name in self._crew.workers:
            self._crew.workers[name].send_signal(signal.SIGHUP)

    def _path(self, name: str) -> Path:
        return self._crew.workplace.directory / f"{name}.yaml"


def parts_of(watchlist: dict[str, Any]) -> set[str]:
    """The parts that there are by a watchlist."""
    hooks = {f"webhook:{name}" for name, each in watchlist["receivers"].items() if each["type"] == "webhook"}
    return {"upkeep", "slack"} | hooks | {workspace_part(name) for name in watchlist["workspaces"]}


def left_of_the_old(crew: Crew) -> dict[str, int]:
    """How many rows there are of what only the old file names, by table."""
    (row,) = crew.look(_LEFT.format(**_NAMES))
    return {table: int(rows) for (table, _, _), rows in zip(_FORGOT, row, strict=True)}


def log_forgetting(crew: Crew) -> None:
    """From now on whatever is forgotten is logged, with whether all go by one watchlist at that moment."""
    with crew.server.admin(crew.database) as connection:
        connection.execute(_LOG)
        for table, how, condition in _FORGOT:
            when = condition.format(**_NAMES)
            connection.execute(
                f"CREATE TRIGGER forgot AFTER {how} ON {table} FOR EACH ROW WHEN ({when}) "
                "EXECUTE FUNCTION watch.forgot()".encode()
            )


def forgotten_too_early(crew: Crew) -> Rows:
    """What was, while workers went by different watchlists."""
    return crew.look("SELECT what, count(*), min(at)::text FROM watch.forgotten WHERE differ GROUP BY what")


def _old(given: dict[str, Any], port: int) -> dict[str, Any]:
    """What a crew has otherwise, and more: incidents of GONE's syncs, told to SILENT."""
    silent = {"type": "webhook", "url": f"http://127.0.0.1:{port}/", "secret": "${SECRET}"}
    watches = [
        {**watch, "checks": {"failing": {"runs": 1}}} if watch["workspace"] == GONE else watch
        for watch in given["watches"]
    ]
    hooks, *others = given["routes"]
    routes = [{**hooks, "events": ["sync_run.*"]}, *others, {"workspaces": [GONE], "receivers": [SILENT]}]
    return {**given, "watches": watches, "receivers": {**given["receivers"], SILENT: silent}, "routes": routes}


def _new(old: dict[str, Any], sink_url: str) -> dict[str, Any]:
    added = {"type": "webhook", "url": f"{sink_url}/{ADDED}", "secret": "${SECRET}"}
    receivers = {name: each for name, each in old["receivers"].items() if name != SILENT}
    return {
        **old,
        "workspaces": {name: each for name, each in old["workspaces"].items() if name != GONE},
        "watches": [watch for watch in old["watches"] if watch["workspace"] != GONE],
        "receivers": {**receivers, ADDED: added},
        "routes": [*old["routes"][:-1], {"events": ["sync_run.*"], "workspaces": [AMBER], "receivers": [ADDED]}],
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
