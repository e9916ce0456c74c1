"""The Census simulator: a workspace, the API over it, faults on demand and a record of what was asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, assert_never
from urllib.parse import parse_qsl, urlsplit

import orjson
from aiohttp import web
from multidict import CIMultiDictProxy

from notifier.simulator import faults, wire
from notifier.simulator.api import JSON, PREFIX, Api, Question, Retirement
from notifier.simulator.conditional import Conditional, Tags, Validator
from notifier.simulator.defaults import GENERATED, Id, Marker
from notifier.simulator.listener import Listener
from notifier.simulator.listing import Announced
from notifier.simulator.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it came in. `at` is time.monotonic(); `path` is the one under the prefix of the API's `version`."""

    at: float
    version: str | None
    method: str
    path: str
    query: Mapping[str, str]
    headers: CIMultiDictProxy[str]


class CensusSimulator(Listener):
    """A Census workspace behind a socket. Not for other threads: see SimulatorThread.

    `versions`: which of the API's it serves, "v1", "v2" or "both": the same syncs, `api_key` and `token` their keys.
    """

    def __init__(
        self,
        *,
        api_key: str = "simulated-key",
        token: str = "simulated-token",
        versions: str = "both",
        latency: float = 0.0,
    ) -> None:
        super().__init__()
        self.api_key = api_key
        self.token = token
        self.latency = latency
        self.date: datetime | None = None
        """What the `Date` of answers says; None: the time that it is."""
        self.record_requests = True
        self.requests: list[RecordedRequest] = []
        self._workspace = Workspace()
        keys = {"v1": api_key, "v2": token}
        self._api = Api(self._workspace, keys if versions == "both" else {versions: keys[versions]})
        self._first = PREFIX["v2" if versions == "v2" else "v1"]
        self._conditional = Conditional()
        self._faults: faults.Board[faults.Fault] = faults.Board()

    # State. Every mutator gives the object as the API shows it from now on, as a copy.

    def add_sync(
        self,
        *,
        id: Id | None = None,  # noqa: A002 the API's own name
        label: str | Marker | None = GENERATED,
        **fields: Any,
    ) -> dict[str, Any]:
        """Adds a sync; `label=None` is a sync without a name. Raises ValueError for an ID that is taken."""
        return self._workspace.add_sync(id, label, fields)

    def update_sync(self, sync_id: Id, **fields: Any) -> dict[str, Any]:
        """Changes fields of a sync; ABSENT takes one away. Raises UnknownObjectError."""
        return self._workspace.update_sync(sync_id, fields)

    def remove_sync(self, sync_id: Id) -> None:
        """Removes a sync with its runs. Raises UnknownObjectError."""
        self._workspace.remove_sync(sync_id)

    def add_run(
        self,
        sync_id: Id,
        *,
        id: Id | None = None,  # noqa: A002 the API's own name
        status: str = "queued",
        **fields: Any,
    ) -> dict[str, Any]:
        """Adds a run with every field of the schema. Raises UnknownObjectError, ValueError for an ID that is taken."""
        return self._workspace.add_run(sync_id, id, status, fields)

    def update_run(self, run_id: Id, **fields: Any) -> dict[str, Any]:
        """Changes fields of a run, with what a new status brings along. ABSENT takes a field away."""
        return self._workspace.update_run(run_id, fields)

    def remove_run(self, run_id: Id) -> None:
        """Removes a run. Raises UnknownObjectError."""
        self._workspace.remove_run(run_id)

    def set_records(self, run_id: Id, records: list[dict[str, Any]]) -> None:
        """Gives a run the records that fetchRecords shows (404 without)."""
        self._workspace.set_records(run_id, records)

    def run(self, run_id: Id) -> dict[str, Any]:
        """A copy of a run. Raises UnknownObjectError."""
        return deepcopy(self._workspace.stored_run(run_id).value)

    def runs(self, sync_id: Id) -> list[dict[str, Any]]:
        """Copies of a sync's runs, newest first. Raises UnknownObjectError."""
        return [deepcopy(stored.value) for stored in reversed(self._workspace.runs_of(sync_id))]

    def sync(self, sync_id: Id) -> dict[str, Any]:
        """A copy of a sync. Raises UnknownObjectError."""
        return deepcopy(self._workspace.stored_sync(sync_id).value)

    def syncs(self) -> list[dict[str, Any]]:
        """Copies of all syncs, newest first."""
        return [deepcopy(stored.value) for stored in reversed(self._workspace.syncs())]

    def retire_v1(self, at: datetime, status: int = 410) -> None:
        """From then on, by the clock of its answers, version 1 answers so to everything."""
        self._api.retirement = Retirement(at, status)

    def announce_runs(self, announced: Announced = Announced.STATUSES) -> None:
        """From now on the list of syncs tells of runs, or again does not. Without this no item changes by a run."""
        self._workspace.announced = announced

    def lag_list(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """From now on the list of syncs is served as it was so many seconds ago by `clock`; 0: as it is.

        A clock is kept until the list is not late.
        """
        self._workspace.lag_list(seconds, clock)

    def tag_answers(self, tags: Tags = Tags.HONEST, *, by: Collection[Validator] = (Validator.ETAG,)) -> None:
        """From now on the lists of syncs and of runs say which state they show, by these headers. Without, by none."""
        self._conditional.tags, self._conditional.by = tags, by

    @property
    def not_modified(self) -> int:
        """How many requests were answered 304."""
        return self._conditional.not_modified

    # Faults and the record.

    def fault(self, fault: faults.Fault, *, path: str = "*", times: int | None = None) -> faults.FaultHandle:
        """Hangs up a fault for the paths under either prefix that the glob matches ("/syncs/52/*"); see `faults`."""
        return self._faults.hang(fault, path, times)

    def clear_faults(self) -> None:
        """Takes all faults away."""
        self._faults.clear()

    def forget_requests(self) -> None:
        """Empties the record and counts from zero."""
        self.requests = []
        self._conditional.not_modified = 0
        self.reset_counters()

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serves until the block ends; gives the base URL of the first version, such as http://HOST:PORT/api/v1."""
        async with self.listening(self._handle, host, port) as origin:
            yield origin + self._first

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        question = await self._read(request)
        if self.latency:
            await asyncio.sleep(self.latency)
        changes: list[faults.Transform] = []
        if self._faults:
            for rule in self._faults.matching(question.path):
                if isinstance(rule.what, faults.Transform):
                    changes.append(rule.what)
                elif (spoilt := await _spoil(request, rule)) is not None:
                    return spoilt
        now = self.date or datetime.now(UTC)
        answer = self._api.answer(question, now)
        body = answer.body
        if changes and answer.content_type == JSON:
            body = _transformed(body, changes)
        told = self._conditional.headers(question.path, request.raw_path, body, now) if answer.status == 200 else {}
        headers = {"Content-Type": answer.content_type} | told
        if self.date is not None:
            headers["Date"] = format_datetime(self.date.astimezone(UTC), usegmt=True)
        if self._conditional.is_known(request.headers, told):
            return web.Response(status=304, headers=headers)
        return web.Response(status=answer.status, body=body, headers=headers)

    async def _read(self, request: web.BaseRequest) -> Question:
        """Reads and records the request; its path as it was sent, so that an odd one shows in the record."""
        target = request.raw_path
        if not target.startswith("/"):  # a client that takes us for its proxy sends the whole URL
            parts = urlsplit(target)
            target = f"{parts.path}?{parts.query}"
        path, _, query_text = target.partition("?")
        version = next((name for name, prefix in PREFIX.items() if path.startswith(prefix + "/")), None)
        path = path[len(PREFIX[version]) :] if version is not None else path
        query = dict(parse_qsl(query_text, keep_blank_values=True)) if query_text else {}
        if self.record_requests:
            self.requests.append(
                RecordedRequest(time.monotonic(), version, request.method, path, query, request.headers)
            )
        headers = request.headers
        return Question(
            version=version,
            method=request.method,
            path=path,
            query=query,
            authorization=headers.get("Authorization", ""),
            origin=f"http://{headers.get('Host', 'localhost')}",
            body=await request.read() if request.body_exists else b"",
        )


async def _spoil(request: web.BaseRequest, rule: faults.Rule[faults.Fault]) -> web.StreamResponse | None:
    """Does what the fault says; None when the request is to go on."""
    spoilt: web.StreamResponse | None = None
    match rule.what:
        case faults.Status(code, body, headers):
            spoilt = web.Response(status=code, body=body, headers=dict(headers))
        case faults.Delay(seconds):
            await asyncio.sleep(seconds)
        case faults.Hang():
            await rule.cleared.wait()
        case faults.Reset():
            await wire.reset(request)
        case faults.Drip(interval):
            await wire.drip(request, interval, JSON)
        case faults.Body(content, content_type):
            spoilt = web.Response(body=content, headers={"Content-Type": content_type})
        case faults.GzipBomb(size):
            packed = await asyncio.to_thread(wire.gzip_bomb, size)
            spoilt = web.Response(body=packed, headers={"Content-Type": JSON, "Content-Encoding": "gzip"})
        case faults.Big(size):
            spoilt = web.Response(body=wire.big_json(size), headers={"Content-Type": JSON})
        case faults.Redirect(location, code):
            spoilt = web.Response(status=code, headers={"Location": location})
        case faults.Transform():
            pass  # collected by the caller: it needs the answer
        case unknown:
            assert_never(unknown)
    return spoilt


def _transformed(body: bytes, changes: list[faults.Transform]) -> bytes:
    value = orjson.loads(body)
    for transform in changes:
        value = transform.change(value)
    return orjson.dumps(value)
