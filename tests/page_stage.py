"""A database filled by hand and the server over it, in a thread: for tests, pictures and measures of the page."""

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, insert

from notifier.cli.loop import new_loop
from notifier.model.incident import Check, Incident
from notifier.model.measure import Said
from notifier.model.sync import Sync
from notifier.model.times import timestamp
from notifier.service.metrics import Metrics
from notifier.store.sql.rows import incident_row
from notifier.store.sql.schema import deliveries, events, incidents, receivers, snapshots, syncs, worker, workspaces
from notifier.store.sqlite.engine import engine_for
from notifier.store.sqlite.files import open_here
from notifier.store.views.database import open_database
from notifier.watchlist.database import DatabasePlace, ServerUrl
from notifier.watchlist.models import Watch, Workspace
from notifier.watchlist.server import Address
from notifier.web.access import Door
from notifier.web.app import make_app
from notifier.web.socket import listening
from notifier.web.worker import InForce, WatchedNow, WorkerFacts
from tests.databases import new_database

MINUTE = timedelta(minutes=1)


class PageStage:
    """Everything that the page shows, as a test wants it. `now` is when it was filled."""

    def __init__(self, path: Path, server: ServerUrl | None = None) -> None:
        """On a file of SQLite, or at a PostgreSQL server in a database of the newest schema."""
        self.path = path
        self.place: DatabasePlace = server or path
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.watched: list[WatchedNow] = []
        self.workspaces: dict[str, Workspace] = {}
        self.receivers: list[str] = []
        self.ailment: str | None = None
        self.not_ready: str | None = None
        self.not_in_force: str | None = None
        self.watches: list[Watch] = []
        self.elsewhere: frozenset[str] = frozenset()
        self.listed: list[tuple[str, Sync, bool]] = []
        self.door = Door(None, is_loopback=True)
        self.in_force: InForce | None = None
        if server is None:
            new_database(path)

    # --- filling ---

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, as a command's."""
        if not isinstance(self.place, Path):
            with open_database(self.place, "command") as connection:
                yield connection
            return
        engine = engine_for(self.path, "command")
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def add(self, table: Any, *rows: Mapping[str, Any]) -> None:
        """Rows, as they are."""
        with self.writing() as connection:
            connection.execute(insert(table), list(rows))

    def add_worker(self, running_for: timedelta = timedelta(hours=3)) -> None:
        self.add(worker, {"id": 1, "version": "0.1.0", "started_at": self.now - running_for, "last_seen_at": self.now})

    def add_workspace(self, name: str = "production", **columns: Any) -> None:
        """One of the watchlist, that is read unless said otherwise."""
        self.workspaces[name] = Workspace(api_key=SecretStr("canary-api-key"))
        usual = {"ok": True, "last_polled_at": self.now - timedelta(seconds=21), "stretch": 1.0}
        self.add(workspaces, {"name": name, **usual, **columns})

    def add_receiver(self, name: str, **columns: Any) -> None:
        self.receivers.append(name)
        if columns:
            self.add(receivers, {"name": name, **columns})

    def add_syncs(self, *given: Mapping[str, Any]) -> None:
        """Watched syncs: `id`, `label`, and `labels`, `paused`, `workspace`, and columns of their rows."""
        rows = []
        for sync in given:
            name, paused = sync.get("workspace", "production"), sync.get("paused", False)
            self.watched.append(WatchedNow(name, sync["id"], sync["label"], sync.get("labels", {}), paused))
            rows.append(
                {
                    "workspace": name,
                    "sync_id": sync["id"],
                    "label": sync["label"],
                    "watched": True,
                    "marked": True,
                    "paused": paused,
                    "unread_since": sync.get("unread_since"),
                    "last_error": sync.get("last_error"),
                }
            )
        self.add(syncs, *rows)

    def a_run(self, run_id: int, sync_id: int, status: str | None, began: timedelta, **columns: Any) -> dict[str, Any]:
        """A snapshot's row. `began`: how long ago; `took`, unless it has not ended: 4 minutes."""
        workspace, took = columns.pop("workspace", "production"), columns.pop("took", 4 * MINUTE)
        created = self.now - began
        ended = status in ("completed", "failed", "canceled", "skipped")
        return {
            "workspace": workspace,
            "sync_id": sync_id,
            "run_id": run_id,
            "status": status,
            "canceled": None,
            "error_code": None,
            "error_message": None,
            "counted": status in ("completed", "failed"),
            "followed": status in ("working", "queued"),
            "created_at": created,
            "updated_at": created + took if ended else self.now,
            "changed_at": created,
            "completed_at": created + took if status == "completed" else None,
            "records_sent": None,
            **columns,
        }

    def add_runs(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.add(snapshots, *rows)

    def add_incident(self, sync_id: int | None, label: str | None, opened: timedelta, **given: Any) -> None:
        """Open, of `failing`, unless said otherwise. `summary`: what is wrong, in others' words."""
        if "summary" in given:
            given["measure"] = Said(given.pop("summary"))
        incident = Incident(
            **{
                "id": f"inc-{sync_id}-{given.get('check', 'failing')}",
                "workspace": "production",
                "sync_id": sync_id,
                "sync_label": label,
                "check": Check.FAILING,
                "opened_at": self.now - opened,
                "runs": 1,
                **given,
            }
        )
        self.add(incidents, {**incident_row(incident), "open": incident.is_open})

    def add_event(self, event_id: str, kind: str, seen: timedelta, **given: Any) -> None:
        """`sync_id` and `label`, `run_id`, `old` and `new`; `data` for whatever else a body has."""
        sync_id, run_id, workspace = given.get("sync_id"), given.get("run_id"), given.get("workspace", "production")
        data: dict[str, Any] = {
            "workspace": workspace,
            "sync": {"id": sync_id, "label": given.get("label")} if sync_id else None,
            **given.get("data", {}),
        }
        if "new" in given:
            data["changes"] = [{"field": "status", "old": given.get("old"), "new": given["new"]}]
        body = {"type": kind, "timestamp": timestamp(self.now - seen), "data": data}
        self.add(
            events,
            {
                "id": event_id,
                "type": kind,
                "workspace": workspace,
                "sync_id": sync_id or 0,
                "run_id": run_id or 0,
                "seen_at": self.now - seen,
                "body": json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"),
            },
        )

    def add_delivery(self, event_id: str, receiver: str, state: str, **columns: Any) -> None:
        """Of an event that is there."""
        usual = {
            "event_type": "sync_run.failed",
            "workspace": "production",
            "sync_id": 52,
            "attempts": 1,
            "created_at": self.now - 5 * MINUTE,
            "clock_started_at": self.now - 5 * MINUTE,
            "next_attempt_at": self.now + MINUTE if state == "pending" else None,
        }
        self.add(deliveries, {"event_id": event_id, "receiver": receiver, "state": state, **usual, **columns})

    # --- serving ---

    def facts(self) -> WorkerFacts:
        metrics = Metrics("0.1.0")

        async def exposition() -> tuple[bytes, str]:
            return metrics.exposition()

        return WorkerFacts(
            database=self.place,
            workspaces=self.workspaces,
            watches=self.watches,
            receivers=tuple(self.receivers),
            ailment=lambda: self.ailment,
            not_ready=lambda: self.not_ready,
            not_in_force=lambda: self.not_in_force,
            listed=lambda: self.listed,
            watched=lambda: self.watched,
            elsewhere=lambda: self.elsewhere,
            inboxes={},
            exposition=exposition,
            token_refused=metrics.token_refused,
        )

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """The server, as the worker has it; gives its address as a URL without a slash at its end."""
        started, address = threading.Event(), list[Address]()
        loop, stop = list[asyncio.AbstractEventLoop](), asyncio.Event()

        async def serve() -> None:
            loop.append(asyncio.get_running_loop())
            self.in_force = InForce(self.facts(), self.door)
            async with listening(make_app(self.in_force), Address("127.0.0.1", port)) as bound:
                address.append(bound)
                started.set()
                await stop.wait()

        def run() -> None:
            with asyncio.Runner(
                loop_factory=new_loop()
            ) as runner:  # as `notifier run`: other loops have other transports
                runner.run(serve())

        thread = threading.Thread(target=run, name="page")
        with open_here(self.path) if self.place == self.path else nullcontext():
            thread.start()
            try:
                assert started.wait(10)
                yield f"http://{address[0]}"
            finally:
                loop[0].call_soon_threadsafe(stop.set)
                thread.join(10)
