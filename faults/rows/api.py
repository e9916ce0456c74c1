"""Row 5: sixty Census APIs of both versions, each broken in a way of its own, all at once under one worker.

Each workspace has one sync; every other one is asked by version 1 of the API, the others by version 2, and in the long
form a second time the other way round. While its API misbehaves, a run fails that only a sound answer tells of; where
an answer has a status or a shape that must not be believed, its body tells a lie, a run that never was.
"""

import asyncio
import gzip
import json
import re
import time
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from faults import unread
from faults.hostile import (
    Asked,
    HostileServer,
    Script,
    answers,
    drips,
    fetched,
    forwards,
    gzip_of_zeros,
    pours,
    resets,
    resets_after,
    says,
    silent,
)
from faults.place import a_workplace
from faults.row import Figures, Row, Size, fail, must
from faults.seen import HEAD, by_turns, must_stop, peak_memory, runs_told, write
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

CRITERION: Final = (
    "the worker lives, below 350 MB at its peak; no traceback; each broken workspace has its reason in `status`; no "
    "event of a run that never was; afterwards every run that was missed, and every later one, is reported once; where "
    "a part alone can't be read, `status`, an incident and the heartbeat say so, and nothing is called deleted"
)
MOST_MEMORY: Final = 350 * 2**20
LIE: Final = 666_000_000
"""IDs from here on are of runs that never were."""
ENDLESS: Final = 700_000_000
ODD: Final = 800_000_000
STATUSES: Final = (
    *(199, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 303, 304, 305, 306, 307, 308, 399),
    *(400, 402, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426),
    *(428, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 521, 522, 530, 598, 599),
)
LANES: Final = 20
"""So many workspaces share the statuses, an answer each, with a sound one in between."""


@dataclass(slots=True)
class Api:
    """One workspace's API. `reason`: what `status` must say while it lasts, None where the answers can be used."""

    name: str
    script: Script
    reason: str | None = "."
    slow: bool = False
    news: int = 1
    """How many runs fail while it misbehaves."""
    reported: int = 1
    """Of these, the newest that have to be reported."""
    hits: int = 3
    invented: Callable[[int | str], bool] = field(default=lambda _: False)
    """Runs that nobody made but that the API told of in earnest."""


def page_of(runs: list[Any], **pagination: Any) -> bytes:
    paging = {"total_records": len(runs), "per_page": 5, "page": 1, "last_page": 1, "next_page": None, **pagination}
    return json.dumps({"status": "success", "data": runs, "pagination": paging}).encode()


def a_lie(number: int = 0) -> dict[str, Any]:
    moment = "2030-01-01T00:00:00.000Z"
    known = {"created_at": moment, "updated_at": moment, "completed_at": moment, "error_code": "LIE"}
    return {"id": LIE + number, "status": "failed", **known}


LYING: Final = page_of([a_lie()])


def broken() -> list[Api]:
    """Answers that must not be believed, each for as long as it lasts."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    cut, longer = LYING[:-9], str(len(LYING) + 10).encode()
    chunk = f"{len(LYING):x}\r\n".encode() + LYING + b"\r\n"
    huge = b'{"status": "success", "data": ["' + b"x" * 65_536
    gzipped, zipped = gzip.compress(LYING), "Content-Encoding: gzip"
    deep = b'{"data": [{"id": 666000001, "status": ' + b"[" * 200_000 + b"]" * 200_000 + b"}]}"
    bomb = gzip_of_zeros(300 * 2**20, b'{"status": "success", "data": [', json.dumps(a_lie()).encode() + b"]}")
    deflated = zlib.compress(b" " * (100 * 2**20) + LYING)
    bodies = {
        "an empty body": (b"", "not JSON"),
        "null": (b"null", "no list"),
        "a list for an object": (json.dumps([a_lie()]).encode(), "no list"),
        "an empty object": (b"{}", "no list"),
        "an object for a list": (json.dumps({"data": a_lie()}).encode(), "no list"),
        "a text for a list": (b'{"data": "[]"}', "no list"),
        "null for a list": (b'{"data": null}', "no list"),
        "a number": (b"42", "no list"),
        "HTML": (b"<!doctype html><title>Sign in</title>", "not JSON"),
        "half of the JSON": (cut, "not JSON"),
        "JSON and something": (LYING + b"}", "not JSON"),
        "broken UTF-8 for structure": (b"\xff\xfe" + LYING, "not JSON"),
        "UTF-16": (LYING.decode().encode("utf-16"), "not JSON"),
        "NUL": (b"\0" * 4096, "not JSON"),
        "too deep": (deep, "not JSON|too deeply"),
    }
    known = [Api(name, answers(200, body), reason) for name, (body, reason) in bodies.items()]
    wire = {
        "a reset": resets,
        "a close": says(b""),
        "a reset after the headers": resets_after(ok + b"Content-Length: " + longer + b"\r\n\r\n" + cut),
        "less than announced": says(ok + b"Content-Length: " + longer + b"\r\n\r\n" + LYING),
        "no last chunk": says(ok + b"Transfer-Encoding: chunked\r\n\r\n" + chunk),
        "a bad chunk": says(ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + LYING),
        "not HTTP": says(b"SSH-2.0-OpenSSH_9.2\r\n" + LYING),
        "another version": says(b"HTTP/7.3 200 OK\r\n\r\n" + LYING),
        "no status": says(b"HTTP/1.1 OK\r\n\r\n" + LYING),
        "a status of four digits": says(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
        "a length below zero": says(ok + b"Content-Length: -1\r\n\r\n" + LYING),
        "a length that is none": says(ok + b"Content-Length: many\r\n\r\n" + LYING),
        "headers without end": pours(ok, b"X-More: " + b"x" * 4_000 + b"\r\n", 64 * 2**20),
        "one endless header": pours(ok + b"X-More: ", b"x" * 65_536, 64 * 2**20),
        "a NUL in a header": says(ok + b"X-Odd: a\0b\r\nContent-Length: 2\r\n\r\n[]"),
        "switches protocols": says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "goes on and on": pours(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 2**20),
    }
    known += [Api(name, script) for name, script in wire.items()]
    encoded = {
        "gzip that is none": answers(200, LYING, zipped),
        "half of a gzip": answers(200, gzipped[:-12], zipped),
        "gzip twice": answers(200, gzip.compress(gzipped), zipped),
        "brotli, unasked": answers(200, LYING, "Content-Encoding: br"),
        "300 MB of gzip": answers(200, bomb, zipped),
        "100 MB of deflate": answers(200, deflated, "Content-Encoding: deflate"),
        "50 MB of JSON": pours(ok + b"Content-Length: 52428800\r\n\r\n" + huge, b"x" * 65_536, 50 * 2**20),
        "JSON without end": pours(ok + b"\r\n" + huge, b"x" * 65_536, 2**30),
    }
    known += [Api(name, script) for name, script in encoded.items()]
    known += [
        Api("a redirect", answers(302, LYING, "Location: /lie"), "redirects are not followed"),
        Api("a redirect for good", answers(308, LYING, "Location: /lie"), "redirects are not followed"),
        Api("always 500", answers(500, LYING), "HTTP 500"),
        Api("always 503", answers(503, LYING, "Retry-After: 1"), "HTTP 503"),
        Api("always 418", answers(418, LYING), "HTTP 418"),
        Api("silence", silent, "no answer in time", slow=True, hits=1),
        Api("a dripping body", drips(ok + b"\r\n" + LYING[:-1], b" ", 0.2), "in time", slow=True, hits=1),
        Api("a dripping head", drips(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.2), slow=True, hits=1),
    ]
    return known


def refusing() -> list[Api]:
    """Keys that are refused for a while. Such a workspace is asked every five minutes only: for the long form."""
    return [Api(f"always {status}", answers(status, LYING), f"HTTP {status}", hits=1) for status in (401, 403)]


def usable(upstream: str, size: Size) -> list[Api]:
    """Odd answers that tell the truth, or so much of it as can be seen."""
    every_page = {"page": 1, "last_page": 10**6, "next_page": 2, "total_records": 10**8}

    async def old(asked: Asked, writer: asyncio.StreamWriter) -> None:
        body = await fetched(upstream, _path(asked), asked.headers)
        writer.write(b"HTTP/1.0 200 OK\nDate: yesterday\n\n" + body)
        writer.close()

    async def marked(asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Broken UTF-8 and lone surrogates in texts."""
        body = await fetched(upstream, _path(asked), asked.headers)
        body = body.replace(b'"updated_at":', b'"note": "\xff\xfe \\ud800", "updated_at":')
        await answers(200, body)(asked, writer)

    async def repeating(asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Whatever page is asked for, the first, and that there are more."""
        body = json.loads(await fetched(upstream, _path(asked).replace("page=2", "page=1"), asked.headers))
        if "pagination" in body:
            body["pagination"] |= every_page
        await answers(200, json.dumps(body).encode())(asked, writer)

    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        """A page of new runs, whichever is asked for."""
        page = int(asked.target.partition("?page=")[2].partition("&")[0] or 1)
        size = int(asked.target.partition("per_page=")[2].partition("&")[0] or 5)
        moment = datetime.now(UTC).isoformat()
        ids = [ENDLESS + 10_000 - (page - 1) * size - place for place in range(size)]
        runs = [{"id": each, "status": "completed", "created_at": moment, "completed_at": moment} for each in ids]
        await answers(200, page_of(runs, **every_page))(asked, writer)

    chance, made = size.chance(5), iter(range(ODD, ODD + 10**6))

    async def odd(asked: Asked, writer: asyncio.StreamWriter) -> None:
        """A hundred runs whose fields are of any type."""
        runs = [odd_run(chance, next(made)) for _ in range(100)]
        if len(runs) > 5:
            await answers(200, page_of(runs))(asked, writer)

    left = {"empty": 3}

    async def emptied(asked: Asked, writer: asyncio.StreamWriter) -> None:
        """No runs, three times, and then the old ones."""
        left["empty"] -= 1
        if left["empty"] >= 0:
            return await answers(200, page_of([], total_records=0))(asked, writer)
        return await forwards(upstream, len(_prefix(asked)))(asked, writer)

    def adorned(status_line: bytes, headers: bytes, pack: Callable[[bytes], bytes] = bytes) -> Script:
        """The truth below such headers."""

        async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
            body = pack(await fetched(upstream, _path(asked), asked.headers))
            await says(status_line + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body)(asked, writer)

        return script

    ok = b"HTTP/1.1 200 OK\r\n"
    return [
        Api("a header of 9 kB", adorned(ok, b"Content-Security-Policy: " + b"x" * 9_000 + b"\r\n"), None),
        Api("600 headers", adorned(ok, b"".join(b"X-%d: y\r\n" % n for n in range(600))), None),
        Api("header lines that are none", adorned(ok, b"X-A : b\r\nnonsense\r\n: c\r\nX-B: d\re\r\n"), None),
        Api("gzip in two members", adorned(ok, b"Content-Encoding: gzip\r\n", _in_two), None),
        Api("a BOM and no coding", adorned(ok, b"Content-Encoding: utf-8\r\n", BOM_UTF8.__add__), None),
        Api("HTTP/1.0 with bare line feeds", old, None),
        Api("broken UTF-8 in texts", marked, None),
        Api("pages that repeat", repeating, None, news=130, reported=95),
        Api("pages that never end", endless, None, reported=0, invented=_is_endless),
        Api("runs of wrong types", odd, None, hits=size.pick(5, 20), invented=_is_odd),
        Api("an empty list, three times", emptied, None, hits=4),
    ]


def _is_endless(run: int | str) -> bool:
    return isinstance(run, int) and ENDLESS <= run < ODD


def _is_odd(run: int | str) -> bool:
    """An ID of another type may be one of the words among the values: that is an ID too."""
    return run in WORDS if isinstance(run, str) else run >= ODD


def _in_two(body: bytes) -> bytes:
    return gzip.compress(body[:20]) + gzip.compress(body[20:])


VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 2**63, 2**200, -(10**40), "", " ", "failed", "completed", "working", "\0"),
    *("\u202etxet", "x" * 5_000, "2026-11-23T10:15:30Z", "0000-00-00", "9999-12-31T23:59:59+99:99", "nan", "\ud800"),
    *([], {}, [None], {"id": ODD}, [[[]]], {"": {"": ""}}, [1] * 50, {"a": [{"b": None}]}),
)
WORDS: Final = frozenset({*(value for value in VALUES if isinstance(value, str)), "\ufffd", str(2**63), str(2**200)})
"""Those that may come back as an ID: half a character as its replacement, a number that is too large as its digits."""
FIELDS: Final = (
    *("status", "canceled", "error_code", "error_message", "error_detail", "created_at", "updated_at", "full_sync"),
    *("completed_at", "records_processed", "records_failed", "records_invalid", "records_updated", "scheduled_at"),
    *("source_record_invalids", "sync_id", "sync_trigger_reason", "labels", "type", "url"),
)


def odd_run(chance: Random, run_id: int) -> Any:
    """A run, most of whose fields are of another type than any API would give."""
    if chance.random() < 0.05:
        return chance.choice(VALUES)
    names = chance.sample(FIELDS, chance.randint(0, len(FIELDS)))
    return {"id": run_id if chance.random() < 0.9 else chance.choice(VALUES)} | {
        n: chance.choice(VALUES) for n in names
    }


def _prefix(asked: Asked) -> str:
    return asked.target[: asked.target.index("/", 1)]


def _path(asked: Asked) -> str:
    return asked.target.removeprefix(_prefix(asked))


class Front:
    """All the APIs on one socket, at /NUMBER/api/VERSION: sound until `misbehave`, and again after `mend`."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.scripts: dict[str, Script] = {}
        self.misbehaving = False
        self.met: Counter[str] = Counter()

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        prefix = _prefix(asked)
        script = self.scripts.get(prefix) if self.misbehaving else None
        if script is None:
            return await forwards(self.upstream, len(prefix))(asked, writer)
        self.met[prefix] += 1
        return await script(asked, writer)


class Statuses:
    """Every other answer has the next of these statuses, the others are sound."""

    def __init__(self, statuses: list[int], upstream: str) -> None:
        self.left = [status for status in statuses for _ in range(2)]
        self.upstream = upstream

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(self.left) % 2 and self.left:
            self.left.pop()
            await forwards(self.upstream, len(_prefix(asked)))(asked, writer)
        elif self.left:
            status = self.left.pop()
            # Of a 2xx the truth may come with it: it is for others to say what such an answer is worth.
            body = b"" if 200 <= status < 300 else LYING
            await answers(status, body, "Location: /lie", "Retry-After: 1", close=True)(asked, writer)
        else:
            await forwards(self.upstream, len(_prefix(asked)))(asked, writer)


def run(size: Size) -> Figures:
    """See CRITERION."""
    figures: Figures = {}
    for turn in size.pick((size.seed % 2,), (0, 1)):
        with a_workplace() as (workplace, simulator):
            front = Front(simulator.base_url.removesuffix("/api/v1"))
            with HostileServer(front) as server:
                found = _Trial(workplace, simulator, front, server, size, turn).run()
        figures = {name: f"{figures[name]}, {value}" if name in figures else value for name, value in found.items()}
    return {**figures, **unread.is_told(size)}


class _Trial:
    """The worker and its APIs: sound, then broken, then sound again. `turn`: which of them are of which version."""

    def __init__(
        self,
        workplace: Workplace,
        simulator: SimulatorThread,
        front: Front,
        server: HostileServer,
        size: Size,
        turn: int,
    ) -> None:
        self.turn = turn
        self.workplace, self.simulator, self.front, self.server, self.size = workplace, simulator, front, server, size
        every = [status for status in range(199, 600) if status not in (401, 403)]
        self.statuses = size.pick(list(STATUSES), every)
        lanes = [Statuses(self.statuses[lane::LANES], front.upstream) for lane in range(LANES)]
        apis = [
            *broken(),
            *size.pick([], refusing()),
            *usable(front.upstream, size),
            *(Api(f"statuses {n}", lane, None, hits=len(lane.left) - 1) for n, lane in enumerate(lanes)),
        ]
        self.apis = dict(enumerate(apis, start=1))
        front.scripts = {f"/{number}": api.script for number, api in self.apis.items()}

    def run(self) -> Figures:
        self._watch()
        at_rest = peak_memory(self.workplace)
        before = self._fail_everywhere()
        self._wait_for(before, 240)
        self.front.misbehaving = True
        missed = {
            number: [self.simulator.add_run(number, status="failed")["id"] for _ in range(api.news)]
            for number, api in self.apis.items()
        }
        self._see_it_told(missed)
        self.front.misbehaving = False
        after = self._fail_everywhere()
        due = before | after | {each for n, api in self.apis.items() for each in missed[n][api.news - api.reported :]}
        self._wait_for(due, self.size.pick(240, 400))
        peak = peak_memory(self.workplace)
        must_stop(self.workplace)

        told = self._told()
        self._must_be_true(told, before | after | {each for runs in missed.values() for each in runs})
        must(not self.server.asked_of("/lie"), "a redirect was followed")
        must(peak <= MOST_MEMORY, f"{peak >> 20} MB of memory at the peak")
        return {
            "APIs": len(self.apis),
            "of version 2": sum((number + self.turn) % 2 for number in self.apis),
            "statuses": len(self.statuses),
            "hostile answers": sum(self.front.met.values()),
            "events": len(told),
            "memory": f"{at_rest >> 20} MB at rest, {peak >> 20} MB at the peak",
        }

    def _watch(self) -> None:
        pace = "poll_interval: 500ms, active_poll_interval: 500ms, max_requests_per_second: 50"
        spaces = [f"  w{n}: {{{by_turns(f'{self.server.origin}/{n}/api', n + self.turn)}, {pace}}}" for n in self.apis]
        watches = [f"- {{sync: {n}, workspace: w{n}}}" for n in self.apis]
        hook = f"receivers: {{hook: {{type: webhook, url: '{self.simulator.sink_url}/hook'}}}}"
        write(self.workplace, "\n".join([HEAD, "workspaces:", *spaces, "watches:", *watches, hook]))
        self.workplace.start_watching(*self.apis)

    def _fail_everywhere(self) -> set[int]:
        return {self.simulator.add_run(number, status="failed")["id"] for number in self.apis}

    def _told(self) -> list[int]:
        return runs_told(self.simulator.sink.received)

    def _wait_for(self, due: set[int], seconds: float) -> None:
        """Until all these runs were reported; else says of which APIs they are."""
        end = time.monotonic() + seconds
        while missing := due - set(self._told()):
            if time.monotonic() > end:
                lost = {run: self.apis[self.simulator.run(run)["sync_id"]].name for run in sorted(missing)[:20]}
                fail(f"{len(missing)} runs are not reported in {seconds:g} s: {lost}")
            time.sleep(0.1)

    def _see_it_told(self, missed: dict[int, list[int]]) -> None:
        """`status` says what is wrong with each API, and nobody hears what only a sound one tells of."""

        def met() -> bool:
            return all(self.front.met[f"/{n}"] >= api.hits for n, api in self.apis.items())

        wrong = {n: api for n, api in self.apis.items() if api.reason and not (self.size.short and api.slow)}
        shown: dict[int, Any] = {}

        def all_bad() -> bool:
            shown.update({int(each["name"][1:]): each for each in self.workplace.json("status")["workspaces"]})
            return not any(shown[number]["ok"] for number in wrong)

        self.workplace.wait_until(met, timeout=self.size.pick(240, 300))
        self.workplace.wait_until(all_bad, timeout=240)
        for number, api in wrong.items():
            said = shown[number]["last_error"] or ""
            must(re.search(str(api.reason), said), f"{api.name}: status says {said!r}, not {api.reason!r}")
        heard = set(self._told())
        early = [api.name for n, api in self.apis.items() if api.reason and heard & set(missed[n])]
        must(not early, f"runs are reported that no answer told of: {early}")

    def _must_be_true(self, told: list[int], real: set[int]) -> None:
        again = [run for run, times in Counter(told).items() if run in real and times > 1]
        must(not again, f"reported more than once: {again[:20]}")
        invented = [run for run in told if run not in real and not any(api.invented(run) for api in self.apis.values())]
        must(not invented, f"reported, and never were: {invented[:20]}")


ROW: Final = Row(
    5, "sixty Census APIs of both versions, each broken in its own way, under one worker", CRITERION, run, (900, 2400)
)
