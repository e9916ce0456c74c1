"""The other side of every benchmark: a Census API, a webhook receiver and a Slack that answer with as little as can be.

    python -m benchmarks.api        prints its port, serves until its standard input is closed

One process for all, on uvloop, without an HTTP library; answers are made once and kept. What a benchmark wants of it,
and what it saw, goes through /control. Times are of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import asyncio
import re
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

import orjson
import uvloop

FIRST_RUN: Final = 100_000_000  # run IDs have nine digits, so that they are found in any message
LISTED: Final = 5  # runs that every sync has in its list
RUN_ID: Final = re.compile(rb"(?<!\d)1\d{8}(?!\d)")
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BEGAN: Final = datetime.now(UTC) - timedelta(hours=2)


def _time(minutes: float) -> str:
    return (BEGAN + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Workspace:
    """One benchmark's syncs, how they are answered, and what was asked and told.

    Every sync has its newest five runs, all completed; `running`: all but the newest. `latency` is in seconds.
    `announces`: a sync's item in the list of syncs is another after a change of its runs.
    """

    def __init__(self) -> None:
        self.syncs = 0
        self.latency = 0.0
        self.running = False
        self.announces = False
        self.recording = False
        self.ended: set[int] = set()  # syncs whose newest run has completed, though those of others are `running`
        self.added: defaultdict[int, int] = defaultdict(int)  # runs that came to a sync since
        self.unseen: set[int] = set()  # syncs whose change nobody was told yet
        self.polls = 0
        self.requests = 0
        self.connections = 0
        self.first_poll_at: float | None = None
        self.asked: list[tuple[float, float, int]] = []  # while recording: when a poll came, its answer, of which sync
        self.happened: dict[int, float] = {}  # by run: when it changed
        self.changed: dict[int, float] = {}  # by run: when the answer that shows its change was written
        self.posts: list[tuple[float, bytes]] = []
        self._lists: dict[int, dict[int, bytes]] = {}  # by sync, by how many are asked for
        self._listings: dict[tuple[int, int], bytes] = {}

    def set_up(self, wanted: dict[str, Any]) -> None:
        for name, value in wanted.items():
            setattr(self, name, value)
        self._lists.clear()
        self._listings.clear()

    def add_runs(self, sync_ids: list[int]) -> None:
        """A new run that has completed, in each of these syncs."""
        for sync_id in sync_ids:
            self.added[sync_id] += 1
            self._changes(sync_id)

    def end_runs(self, sync_ids: list[int]) -> None:
        """The newest run of each of these syncs, which was working, completes."""
        for sync_id in sync_ids:
            self.ended.add(sync_id)
            self._changes(sync_id)

    def _changes(self, sync_id: int) -> None:
        self.happened[self.newest(sync_id)] = monotonic()
        self.unseen.add(sync_id)
        self._lists.pop(sync_id, None)
        if self.announces:
            for page, per_page in [key for key in self._listings if (sync_id - 1) // key[1] + 1 == key[0]]:
                del self._listings[page, per_page]

    def is_seen(self, sync_id: int) -> None:
        """An answer that shows what became of a sync is written."""
        if sync_id in self.unseen:
            self.unseen.discard(sync_id)
            self.changed[self.newest(sync_id)] = monotonic()

    def finish_runs(self) -> None:
        """The newest run of every sync, which was working, completes: all at once."""
        self.running = False
        self.unseen.update(range(1, self.syncs + 1))
        self._lists.clear()

    def counts(self) -> dict[str, Any]:
        """How much happened so far."""
        return {
            "polls": self.polls,
            "requests": self.requests,
            "connections": self.connections,
            "posts": len(self.posts),
            "first_poll_at": self.first_poll_at,
        }

    def seen(self) -> dict[str, Any]:
        """What happened so far, and when."""
        told: dict[int, float] = {}
        for at, body in self.posts:
            found = RUN_ID.search(body)
            if found is not None:
                told.setdefault(int(found.group()), at)
        return {
            "asked": self.asked,
            "posts": [at for at, _ in self.posts],
            "happened": {str(run): at for run, at in self.happened.items()},
            "changed": {str(run): at for run, at in self.changed.items()},
            "told": {str(run): at for run, at in told.items()},
        }

    def newest(self, sync_id: int) -> int:
        return FIRST_RUN + sync_id * 1_000 + LISTED - 1 + self.added[sync_id]

    def runs_of(self, sync_id: int, per_page: int) -> bytes:
        """A sync's list of runs as JSON."""
        of_sync = self._lists.setdefault(sync_id, {})
        made = of_sync.get(per_page)
        if made is None:
            newest, many = self.newest(sync_id), min(LISTED, per_page)
            runs = [_run(newest - back, sync_id, working=self._is_working(newest - back)) for back in range(many)]
            made = of_sync[per_page] = orjson.dumps(_page(runs, LISTED, 1, per_page))
        return made

    def _is_working(self, run_id: int) -> bool:
        sync_id = (run_id - FIRST_RUN) // 1_000
        return self.running and sync_id not in self.ended and run_id == self.newest(sync_id)

    def run(self, run_id: int) -> bytes:
        sync_id = (run_id - FIRST_RUN) // 1_000
        run = _run(run_id, sync_id, working=self._is_working(run_id))
        return orjson.dumps({"status": "success", "data": run})

    def listing(self, page: int, per_page: int) -> bytes:
        """A page of the list of syncs as JSON."""
        made = self._listings.get((page, per_page))
        if made is None:
            first = (page - 1) * per_page + 1
            syncs = [
                _sync(sync_id, self._shown(sync_id)) for sync_id in range(first, min(first + per_page, self.syncs + 1))
            ]
            made = self._listings[page, per_page] = orjson.dumps(_page(syncs, self.syncs, page, per_page))
        return made

    def _shown(self, sync_id: int) -> int:
        """How many changes of a sync's runs its item in the list of syncs shows."""
        return self.added[sync_id] + (sync_id in self.ended) if self.announces else 0


def _page(items: list[dict[str, Any]], total: int, page: int, per_page: int) -> dict[str, Any]:
    last = max(-(-total // per_page), 1)
    return {
        "status": "success",
        "data": items,
        "pagination": {
            "total_records": total,
            "per_page": per_page,
            "prev_page": page - 1 or None,
            "page": page,
            "next_page": page + 1 if page < last else None,
            "last_page": last,
        },
    }


def _sync(sync_id: int, changes: int) -> dict[str, Any]:
    return {
        "id": sync_id,
        "label": f"Sync {sync_id}",
        "status": "Ready",
        "created_at": _time(-1_000),
        "updated_at": _time(changes - 1_000),
        "operation": "upsert",
        "paused": False,
        "schedule_frequency": "hourly",
        "mode": {"type": "triggered", "triggers": {"schedule": {"frequency": "hourly", "minute": 0}}},
        "source_attributes": {"connection_id": 12, "object": {"type": "model", "name": f"model_{sync_id}"}},
        "destination_attributes": {"connection_id": 15, "object": "contact"},
        "mappings": [],
    }


def _run(run_id: int, sync_id: int, *, working: bool) -> dict[str, Any]:
    """A run with the fields of the vendor's own samples."""
    minute = (run_id - FIRST_RUN) % 1_000
    return {
        "id": run_id,
        "sync_id": sync_id,
        "source_record_count": 1_482,
        "source_record_updates": 118,
        "source_record_deletes": 2,
        "source_record_invalids": 0,
        "records_invalid": 0,
        "records_processed": None if working else 120,
        "records_updated": None if working else 120,
        "records_failed": None if working else 0,
        "created_at": _time(minute),
        "updated_at": _time(minute + 0.5),
        "completed_at": None if working else _time(minute + 0.5),
        "scheduled_execution_time": None,
        "error_code": None,
        "error_message": None,
        "error_detail": None,
        "status": "working" if working else "completed",
        "canceled": False,
        "full_sync": False,
        "sync_trigger_reason": {"ui_tag": "Schedule", "ui_detail": "Scheduled to run hourly"},
    }


class Server:
    """All workspaces, and the heads of answers."""

    def __init__(self) -> None:
        self.workspaces: defaultdict[str, Workspace] = defaultdict(Workspace)
        self.head = b""
        self.tell_time()

    def tell_time(self) -> None:
        date = format_datetime(datetime.now(UTC), usegmt=True)
        self.head = (
            "HTTP/1.1 200 OK\r\nServer: benchmark\r\nContent-Type: application/json; charset=utf-8\r\n"
            "Cache-Control: max-age=0, private, must-revalidate\r\nX-Request-Id: 5f6f5f3e-8c1e-4d8e\r\n"
            f"Date: {date}\r\nContent-Length: "
        ).encode()
        asyncio.get_running_loop().call_later(1, self.tell_time)

    def whole(self, body: bytes) -> bytes:
        return b"%b%d\r\n\r\n%b" % (self.head, len(body), body)

    def control(self, name: str, verb: str, body: bytes) -> bytes:
        workspace = self.workspaces[name]
        if verb == "set_up":
            workspace.set_up(orjson.loads(body))
        elif verb == "add_runs":
            workspace.add_runs(orjson.loads(body))
        elif verb == "end_runs":
            workspace.end_runs(orjson.loads(body))
        elif verb == "finish_runs":
            workspace.finish_runs()
        elif verb == "forget":
            del self.workspaces[name]
        return orjson.dumps(workspace.seen() if verb == "seen" else workspace.counts())


class Connection(asyncio.Protocol):
    """One client's connection: /NAME/api/v1/..., /NAME/hook, /NAME/slack/..., /control/NAME/VERB."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no common class

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            found = None if buffer.startswith(b"GET ") else LENGTH.search(buffer, 0, end)
            after = end + 4 + (int(found.group(1)) if found else 0)
            if len(buffer) < after:
                break
            self._take(buffer[: buffer.index(b"\r\n")].split(b" ")[1].decode(), buffer[end + 4 : after])
            buffer = buffer[after:]
        self._buffer = buffer

    def _take(self, target: str, body: bytes) -> None:
        _, name, *path = target.partition("?")[0].split("/")
        if name == "control":
            self._write(self._server.control(path[0], path[1], body))
            return
        workspace = self._server.workspaces[name]
        if not self._counted:
            self._counted = True
            workspace.connections += 1
        now = monotonic()
        if path[0] in ("hook", "slack"):
            workspace.posts.append((now, body))
            self._write(b'{"ok":true,"channel":"C0123456789","ts":"%.6f","message":{}}' % now)
            return
        workspace.requests += 1
        if path[-1] == "sync_runs" and path[0] == "api":
            workspace.polls += 1
            if workspace.first_poll_at is None:
                workspace.first_poll_at = now
            self._later(workspace, lambda: self._runs(workspace, int(path[3]), _number(target, "per_page"), now))
        elif path[2] == "sync_runs":
            workspace.polls += 1
            self._later(workspace, lambda: self._run(workspace, int(path[3])))
        else:
            page, per_page = _number(target, "page"), _number(target, "per_page")
            self._later(workspace, lambda: self._write(workspace.listing(page, per_page)))

    def _later(self, workspace: Workspace, answer: Any) -> None:
        if workspace.latency:
            asyncio.get_running_loop().call_later(workspace.latency, answer)
        else:
            answer()

    def _runs(self, workspace: Workspace, sync_id: int, per_page: int, came_at: float) -> None:
        body = workspace.runs_of(sync_id, per_page)
        workspace.is_seen(sync_id)
        self._write(body)
        if workspace.recording:
            workspace.asked.append((came_at, monotonic(), sync_id))

    def _run(self, workspace: Workspace, run_id: int) -> None:
        workspace.is_seen((run_id - FIRST_RUN) // 1_000)
        self._write(workspace.run(run_id))

    def _write(self, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(self._server.whole(body))


def _number(target: str, name: str) -> int:
    return int(parse_qs(urlsplit(target).query).get(name, ["25"])[0])


async def main() -> None:
    """Serves until nobody holds the other end of standard input any more."""
    loop = asyncio.get_running_loop()
    server = Server()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
