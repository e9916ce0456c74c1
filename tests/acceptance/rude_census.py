"""A Census of both versions that is as rude as one likes: every answer can be replaced by a function."""

import asyncio
import base64
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from aiohttp import web

from tests.acceptance import forked

TOKEN, KEY = "pat-SECRETTOKEN-aaaa1111", "key-SECRETKEY-bbbb2222"
Answer = Callable[[web.Request, str, str], Any]


def at(minutes: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Rude:
    """`answer(request, version, path)` returns None for the polite answer, or (status, headers, body)."""

    def __init__(self) -> None:
        self.syncs: dict[str, list[dict[str, Any]]] = {"v1": [], "v2": []}
        self.runs: dict[str, dict[str, list[dict[str, Any]]]] = {"v1": {}, "v2": {}}
        self.answer: Answer | None = None
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.hooks: list[dict[str, Any]] = []
        self.slack: list[dict[str, Any]] = []
        self.keys = {"v1": KEY, "v2": TOKEN}
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def both(self, sync: dict[str, Any], runs: list[dict[str, Any]] | None = None) -> None:
        for v in ("v1", "v2"):
            self.syncs[v].append(dict(sync))
            self.runs[v][str(sync["id"])] = [{"sync_id": sync["id"], **r} for r in runs or []]

    def run_of(self, sync_id: Any, run: dict[str, Any], versions: tuple[str, ...] = ("v1", "v2")) -> None:
        for v in versions:
            self.runs[v].setdefault(str(sync_id), []).insert(0, {"sync_id": sync_id, **run})

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)

        async def begin() -> None:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

        self.loop.run_until_complete(begin())
        ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(runner.cleanup())
        self.loop.close()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _handle(self, request: web.Request) -> web.Response:
        raw = request.raw_path.split("?")[0]
        body = await request.read()
        if raw.startswith("/hook"):
            self.hooks.append(json.loads(body))
            return web.Response(text="ok")
        if raw.startswith("/slackhook"):
            self.slack.append(json.loads(body))
            return web.Response(text="ok")
        if raw.startswith("/slack/"):
            try:
                said = json.loads(body)
            except ValueError:
                said = dict(await request.post())
            self.slack.append({"method": raw, **said})
            return web.json_response({"ok": True, "ts": f"{time.time():.6f}", "channel": "C1", "messages": []})
        version = "v2" if "/v2/" in raw else "v1"
        path = raw.split(f"/{version}", 1)[1] if f"/{version}" in raw else raw
        self.requests.append((version, raw, dict(request.query), request.headers.get("Authorization", "")))
        if self.answer is not None and (said := self.answer(request, version, path)) is not None:
            if asyncio.iscoroutine(said):
                said = await said
            status, headers, text = said
            if isinstance(text, (dict, list)):
                text = json.dumps(text)
                headers = {"Content-Type": "application/json", **headers}
            return web.Response(status=status, headers=headers, text=text)
        if request.headers.get("Authorization", "") != f"Bearer {self.keys[version]}":
            return web.json_response({"status": 401, "message": "no"}, status=401)
        return self.polite(request, version, path)

    def page(self, items: list[Any], request: web.Request) -> web.Response:
        size = min(int(request.query.get("per_page", 25)), 100)
        n = max(int(request.query.get("page", 1)), 1)
        if request.query.get("order") == "asc":
            items = items[::-1]
        last = max(1, -(-len(items) // size))
        return web.json_response(
            {
                "status": "success",
                "data": items[(n - 1) * size : n * size],
                "pagination": {
                    "total_records": len(items),
                    "per_page": size,
                    "page": n,
                    "last_page": last,
                    "prev_page": n - 1 if n > 1 else None,
                    "next_page": n + 1 if n < last else None,
                },
            }
        )

    def polite(self, request: web.Request, version: str, path: str) -> web.Response:
        from urllib.parse import unquote

        parts = [unquote(p) for p in path.strip("/").split("/")]
        if parts == ["syncs"]:
            return self.page(self.syncs[version], request)
        if parts[0] == "syncs" and len(parts) == 3 and parts[2] == "sync_runs" and parts[1] in self.runs[version]:
            return self.page(self.runs[version][parts[1]], request)
        if parts[0] == "syncs" and len(parts) == 2:
            for s in self.syncs[version]:
                if str(s["id"]) == parts[1]:
                    return web.json_response({"status": "success", "data": s})
        if parts[0] == "sync_runs" and len(parts) == 2:
            for runs in self.runs[version].values():
                for r in runs:
                    if str(r["id"]) == parts[1]:
                        return web.json_response({"status": "success", "data": r})
        return web.json_response({"status": 404, "message": "not found"}, status=404)


class Place:
    """A directory, a watchlist, a worker."""

    def __init__(self, directory: Path, rude: Rude) -> None:
        self.directory, self.rude = directory, rude
        directory.mkdir(parents=True, exist_ok=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(directory), "TOK": TOKEN, "KEY": KEY}
        self.worker: forked.Forked | None = None
        self.log = directory / "log"

    def text(
        self,
        *,
        token: bool = True,
        key: bool = False,
        base: str | None = None,
        group: str | None = None,
        watches: str = "[{syncs: all}]",
        receivers: str | None = None,
        extra: str = "",
        more: str = "",
        poll_interval: str = "1s",
        token_text: str = "${TOK}",  # noqa: S107 a variable's name
        key_text: str = "${KEY}",
        checks: str | None = "{failing: false, rejected_records: false, unreachable: false, reminders: false}",
    ) -> str:
        base = base or f"{self.rude.url}/api/{'v2' if token else 'v1'}"
        lines = [
            "version: 1",
            "database: sqlite:///n.db",
            "delivery: {first_retry: 200ms, longest_retry: 1s}",
            "workspaces:",
            "  production:",
        ]
        if token:
            lines.append(f"    token: {token_text}")
        if key:
            lines.append(f"    api_key: {key_text}")
        if group:
            lines.append(f"    group: {group}")
        lines += [
            f"    base_url: {base}" if base != "-" else "    region: us",
            f"    poll_interval: {poll_interval}",
            "    active_poll_interval: 300ms",
            "    max_requests_per_second: 100",
        ]
        if extra:
            lines.append("    " + extra)
        if checks:
            lines.append(f"checks: {checks}")
        lines += [
            f"watches: {watches}",
            "receivers:",
            receivers or f"  hook: {{type: webhook, url: '{self.rude.url}/hook'}}",
            more,
            "",
        ]
        return "\n".join(lines)

    def write(self, **how: Any) -> None:
        new = self.directory / "new"
        new.write_text(self.text(**how))
        new.rename(self.directory / "watchlist.yaml")

    def run(self, *args: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        return forked.run(args, self.directory, self.env, Path(gettempdir()), timeout)

    def start(self, *args: str) -> None:
        self.worker = forked.Forked(["run", *args], self.directory, self.env, self.log, self.log)

    def stop(self) -> int:
        if self.worker is None:
            return 0
        self.worker.send_signal(signal.SIGTERM)
        try:
            code = self.worker.wait(15)
        except subprocess.TimeoutExpired:
            self.worker.kill()
            code = self.worker.wait()
        self.worker = None
        return code

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.directory / 'n.db'}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def until(self, true: Callable[[], Any], timeout: float = 20) -> Any:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                if value := true():
                    return value
            except sqlite3.OperationalError:
                pass
            time.sleep(0.1)
        return None

    def baseline(self, n: int) -> Any:
        return self.until(lambda: self.rows("select count(*) from syncs where marked")[0][0] >= n)

    def status(self) -> dict[str, Any]:
        workspace: dict[str, Any] = json.loads(self.run("status", "--json").stdout)["workspaces"][0]
        return workspace

    def secrets(self) -> list[str]:
        """Where a secret stands: in the log, in the database's files."""
        found = []
        for file in self.directory.iterdir():
            if file.is_file() and file.name not in ("watchlist.yaml", "tok", "key"):
                data = file.read_bytes()
                found += [
                    f"{file.name}: {s}"
                    for s in ("SECRETTOKEN", "SECRETKEY", base64.b64encode(TOKEN.encode()).decode())
                    if s.encode() in data
                ]
        return found


def sync(
    id: Any,  # noqa: A002 the API's own name
    label: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {
        "id": id,
        "label": label or f"Sync {id}",
        "status": "Ready",
        "paused": False,
        "created_at": at(-10000),
        "updated_at": at(-100),
        "schedule_frequency": "hourly",
        **more,
    }


def run(
    id: Any,  # noqa: A002 the API's own name
    status: str = "completed",
    minutes: float = 0,
    **more: Any,
) -> dict[str, Any]:
    return {
        "id": id,
        "status": status,
        "created_at": at(minutes),
        "updated_at": at(minutes),
        "completed_at": at(minutes) if status in ("completed", "failed") else None,
        "canceled": False,
        "error_code": None,
        "error_message": None,
        "error_detail": None,
        **more,
    }
