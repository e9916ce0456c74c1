"""The server over a database filled by hand: the headers of its answers, what its errors tell, who is in a session."""

import asyncio
import http.client
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
from structlog.testing import capture_logs

from notifier.census.v1 import ENDS
from notifier.model.api_version import ApiVersion, ending
from notifier.model.sync import Sync
from notifier.store.sqlite import files as sqlite
from notifier.watchlist.server import Address
from notifier.web import api
from notifier.web.access import Door
from notifier.web.app import make_app
from notifier.web.page import pages
from notifier.web.socket import FAULT, listening
from notifier.web.worker import InForce
from tests.page_stage import PageStage

TOKEN = "canary-token-4711"
HTML = {"Accept": "text/html,application/xhtml+xml"}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
OF_JSON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
OF_PAGES = {
    **OF_JSON,
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: str


def ask(url: str, path: str, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None) -> Answer:
    """One request, on a connection of its own; a POST where there is a form, as a page of ours sends it."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    sent = None if form is None else urlencode(form)
    usual = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded", "Origin": url}
    try:
        connection.request("GET" if form is None else "POST", path, sent, {**usual, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.msg, answer.read().decode())
    finally:
        connection.close()


def among(headers: http.client.HTTPMessage, wanted: Mapping[str, str]) -> Mapping[str, str | None]:
    return {name: headers.get(name) for name in wanted}


@pytest.fixture
def stage(tmp_path: Path) -> PageStage:
    stage = PageStage(tmp_path / "n.db")
    stage.add_worker()
    stage.add_workspace()
    stage.add_syncs({"id": 52, "label": "New Signups to Leads"})
    return stage


@pytest.fixture
def url(stage: PageStage) -> Iterator[str]:
    with stage.serving() as url:
        yield url


def with_token(public_url: str | None = None) -> Door:
    return Door(TOKEN.encode(), is_loopback=True, public_url=public_url)


# --- headers ---


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/?sync=52", 200), ("/?page=0", 400), ("/nothing", 404), ("/login", 303), ("/retry", 405)],
)
def test_a_page_may_load_nothing_from_elsewhere_and_be_framed_and_kept_by_nobody(
    url: str, path: str, status: int
) -> None:
    answer = ask(url, path, HTML)
    assert answer.status == status
    assert among(answer.headers, OF_PAGES) == OF_PAGES


def test_the_login_and_the_way_to_it_are_pages_like_all_others(stage: PageStage) -> None:
    stage.door = with_token()
    with stage.serving() as url:
        answers = [ask(url, "/", HTML), ask(url, "/login", HTML), ask(url, "/login", HTML, {"token": "wrong"})]
        answers.append(ask(url, "/login", HTML, {"token": TOKEN}))
    assert [answer.status for answer in answers] == [303, 200, 401, 303]
    assert [among(answer.headers, OF_PAGES) for answer in answers] == [OF_PAGES] * 4


def test_a_static_file_is_kept_and_otherwise_obeys_the_pages_rules(url: str) -> None:
    (script,) = re.findall(r'src="(static/[a-z-]+[0-9a-f]{12}\.js)"', ask(url, "/").body)
    answer = ask(url, f"/{script}")
    assert answer.status == 200
    expected = {**OF_PAGES, "Cache-Control": "public, max-age=31536000, immutable"}
    assert among(answer.headers, OF_PAGES) == expected


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/api/status", 200),
        ("/api/events", 200),
        ("/api/events?limit=0", 400),
        ("/nothing", 404),
    ],
)
def test_what_a_program_is_answered_is_kept_by_nobody_and_taken_for_nothing_else(
    url: str, path: str, status: int
) -> None:
    answer = ask(url, path)
    assert answer.status == status
    assert among(answer.headers, OF_JSON) == OF_JSON


def test_refusals_are_kept_by_nobody(stage: PageStage) -> None:
    stage.door, stage.not_ready = with_token(), "not polled yet: production"
    with stage.serving() as url:
        answers = [ask(url, "/api/status"), ask(url, "/readyz"), ask(url, "/webhooks/census/production", form={})]
    assert [answer.status for answer in answers] == [401, 503, 404]
    assert [among(answer.headers, OF_JSON) for answer in answers] == [OF_JSON] * 3


# --- probes and errors ---


def test_a_worker_that_is_not_healthy_says_why(stage: PageStage) -> None:
    stage.ailment = "the database takes no writes"
    with stage.serving() as url:
        unhealthy, ready = ask(url, "/healthz"), ask(url, "/readyz")
        stage.ailment, stage.not_ready = None, "not polled yet: production"
        healthy, unready = ask(url, "/healthz"), ask(url, "/readyz")
    assert [answer.status for answer in (unhealthy, ready, healthy, unready)] == [503, 200, 200, 503]
    assert json.loads(unhealthy.body) == {"ok": False, "reason": "the database takes no writes"}
    assert json.loads(unready.body) == {"ok": False, "reason": "not polled yet: production"}
    assert json.loads(healthy.body) == {"ok": True}


@pytest.mark.parametrize("headers", [HTML, {}], ids=["a browser", "a program"])
@pytest.mark.parametrize("path", ["/", "/api/status"])
def test_a_database_that_can_not_be_read_is_told_and_where_it_lies_is_not(
    stage: PageStage, path: str, headers: Mapping[str, str]
) -> None:
    with stage.serving() as url:
        stage.path.write_bytes(b"no database any more" * 4_096)
        answer = ask(url, path, headers)
    assert answer.status == 503
    assert "he database can't be read or written now; the log says why" in answer.body.replace("&#39;", "'")
    assert stage.path.name not in answer.body
    assert "malformed" not in answer.body
    assert "not a database" not in answer.body


@pytest.mark.parametrize("headers", [HTML, {}], ids=["a browser", "a program"])
@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_a_fault_of_ours_is_logged_and_its_words_go_to_nobody(
    stage: PageStage, path: str, headers: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str | None:
        raise RuntimeError("canary: what an exception says")

    facts = replace(stage.facts(), ailment=broken)
    monkeypatch.setattr(stage, "facts", lambda: facts)
    with capture_logs() as logs, stage.serving() as url:
        answer = ask(url, path, headers)
    assert answer.status == 500
    for word in ("canary", "RuntimeError", "Traceback", __file__):
        assert word not in answer.body
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [FAULT]


# --- sessions ---


@pytest.mark.parametrize(
    ("public_url", "is_secure"),
    [("https://notifier.example.com", True), ("http://notifier.example.com", False), (None, False)],
)
def test_a_session_is_for_https_alone_where_people_find_the_page_by_https(
    stage: PageStage, public_url: str | None, is_secure: bool
) -> None:
    stage.door = with_token(public_url)
    with stage.serving() as url:
        given = ask(url, "/login", HTML, {"token": TOKEN}).headers["Set-Cookie"]
        session = {**HTML, "Cookie": given.partition(";")[0]}
        form = re.findall(r'name="form" value="([^"]+)"', ask(url, "/", session).body)[0]
        taken = ask(url, "/logout", session, {"form": form}).headers["Set-Cookie"]
    assert [("Secure" in cookie) for cookie in (given, taken)] == [is_secure] * 2


@pytest.mark.parametrize(
    "after", ["//evil.example.com", "https://evil.example.com/", "/\\evil.example.com", "/\x01/", "x"]
)
def test_a_login_leads_to_no_other_site(stage: PageStage, after: str) -> None:
    stage.door = with_token()
    with stage.serving() as url:
        refused = ask(url, "/login", HTML, {"token": "wrong", "next": after})
        taken = ask(url, "/login", HTML, {"token": TOKEN, "next": after})
    assert '<input type="hidden" name="next" value="/">' in refused.body
    assert (taken.status, taken.headers["Location"]) == (303, "./")


# --- many at once ---


@pytest.mark.parametrize(("module", "look", "path"), [(pages, "looked_at", "/"), (api, "read_events", "/api/events")])
def test_more_than_two_readers_at_once_wait_for_each_other(
    url: str, module: Any, look: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that read and make pages hold the interpreter up, and with it the worker."""
    real: Callable[..., Any] = getattr(module, look)
    three, inside, most, counting = threading.Barrier(3), 0, 0, threading.Lock()

    def looked(*given: Any) -> Any:
        nonlocal inside, most
        with counting:
            inside += 1
            most = max(most, inside)
        try:
            three.wait(0.3)
        except threading.BrokenBarrierError:
            pass  # there were no three
        finally:
            with counting:
                inside -= 1
        return real(*given)

    monkeypatch.setattr(module, look, looked)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(url, path), range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    assert most <= 2


@pytest.mark.parametrize(("module", "look", "path"), [(pages, "looked_at", "/"), (api, "read_events", "/api/events")])
def test_probes_are_answered_while_answers_are_made(
    url: str, module: Any, look: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk under the page must not look like a worker that hangs."""
    real: Callable[..., Any] = getattr(module, look)
    looking, go = threading.Event(), threading.Event()

    def looked(*given: Any) -> Any:
        looking.set()
        assert go.wait(30)
        return real(*given)

    monkeypatch.setattr(module, look, looked)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(ask, url, path)
        assert looking.wait(20)
        try:
            assert [ask(url, probe).status for probe in ("/healthz", "/readyz", "/metrics")] == [200] * 3
            assert not reading.done()
        finally:
            go.set()
        assert reading.result().status == 200


@pytest.mark.parametrize("path", ["/", "/?sync=52", "/api/status", "/api/events", "/api/incidents", "/api/deliveries"])
def test_who_looks_waits_for_no_writer_and_holds_none_up(
    stage: PageStage, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.1)
    with stage.serving() as url, stage.writing():
        assert ask(url, path).status == 200


# --- what is asked for ---


def with_deliveries(stage: PageStage, number: int, receiver: str = "hook") -> None:
    """So many events of sync 52, each with an incident and a delivery that is dead."""
    for each in range(1, number + 1):
        stage.add_event(f"e{each}", "sync_run.failed", timedelta(minutes=each), sync_id=52, run_id=each)
        stage.add_delivery(f"e{each}", receiver, "dead")
        stage.add_incident(52, "New Signups to Leads", timedelta(minutes=each), id=f"inc-{each}", resolved_at=stage.now)


@pytest.mark.parametrize("name", ["events", "deliveries", "incidents"])
def test_as_many_as_are_asked_for_are_shown_and_50_unless_told(stage: PageStage, name: str) -> None:
    with_deliveries(stage, 60)
    every = "all=true&" if name == "incidents" else ""
    with stage.serving() as url:
        for query, number in {"limit=2": 2, "limit=60": 60, "limit=200": 60, "": 50}.items():
            assert len(json.loads(ask(url, f"/api/{name}?{every}{query}").body)) == number


def test_of_two_workspaces_each_is_shown_by_itself(stage: PageStage) -> None:
    stage.add_workspace("staging")
    stage.add_syncs({"id": 52, "label": "A rehearsal", "workspace": "staging"})
    listed = [
        (name, Sync(52, label, "ready", paused=False, created_at=None), True)
        for name, label in (("production", "New Signups to Leads"), ("staging", "A rehearsal"))
    ]
    facts = replace(stage.facts(), listed=lambda: listed)
    with stage.serving() as url:
        assert stage.in_force is not None
        stage.in_force.worker = facts
        labels = {
            query: [each["label"] for each in json.loads(ask(url, f"/api/syncs{query}").body)]
            for query in ("", "?workspace=staging")
        }
        board, which, alone = (
            ask(url, path, HTML) for path in ("/?in=staging", "/?sync=52", "/?sync=52&workspace=staging")
        )
    assert labels == {"": ["New Signups to Leads", "A rehearsal"], "?workspace=staging": ["A rehearsal"]}
    assert ("A rehearsal" in board.body, "New Signups to Leads" in board.body) == (True, False)
    assert (which.status, "say which: workspace=NAME" in which.body) == (400, True)
    assert (alone.status, "A rehearsal" in alone.body, "New Signups" in alone.body) == (200, True, False)


def test_of_a_workspace_whose_api_version_ends_the_page_says_until_when_and_what_to_do(stage: PageStage) -> None:
    for name, version in (("old", "v1"), ("new", "v2"), ("unknown", None)):
        stage.add_workspace(name, api=version)
    days = [datetime.now(UTC).date()]
    with stage.serving() as url:
        page = ask(url, "/", HTML).body
        told = {each["name"]: each for each in json.loads(ask(url, "/api/status").body)["workspaces"]}
    rows = {name: re.search(rf'<li id="w-{name}".*?</li>', page, re.DOTALL) for name in told}
    said = {name: " ".join(re.sub("<[^>]+>", " ", row[0]).split()) for name, row in rows.items() if row is not None}
    days.append(datetime.now(UTC).date())  # which is another one at midnight
    remedy = "give the workspace a token, as docs/v2.md says"
    assert any(f"{ending(ApiVersion.V1, day)}: {remedy}" in said["old"] for day in days)
    assert [name for name in said if "API version" in said[name]] == ["old"]
    assert {name: (each["api"], each["retires_on"]) for name, each in told.items()} == {
        "production": (None, None),
        "old": ("v1", "2027-01-15"),
        "new": ("v2", None),
        "unknown": (None, None),
    }


def test_what_the_api_said_itself_of_its_end_is_not_said_twice(stage: PageStage) -> None:
    stage.add_workspace("old", api="v1", ok=False, last_error=f"HTTP 410 Gone. {ENDS}")
    with stage.serving() as url:
        page = ask(url, "/", HTML).body
    assert page.count("docs/v2.md") == 1
    assert "API version 1" not in page


def test_a_workspace_that_is_about_to_be_read_first_is_not_said_to_be_unreadable(stage: PageStage) -> None:
    stage.workspaces["fresh"] = stage.workspaces["production"]
    with stage.serving() as url:
        page = ask(url, "/", HTML).body
    assert "fresh" in page
    assert "The notifier is well" in page
    assert "can't be read" not in page.replace("&#39;", "'")


def test_a_retry_of_what_nobody_can_take_says_so_and_leads_back_to_where_the_button_was(stage: PageStage) -> None:
    with_deliveries(stage, 1, receiver="gone")
    with stage.serving() as url:
        page = ask(url, "/?state=failing", HTML).body
        [(form, number, after)] = re.findall(
            r'name="form" value="([^"]+)">\s*<input type="hidden" name="id" value="([^"]+)">'
            r'\s*<input type="hidden" name="next" value="([^"]+)"',
            page,
        )
        pressed = ask(url, "/retry", HTML, {"form": form, "id": number, "next": after})
        told = ask(url, pressed.headers["Location"].removeprefix(".").partition("#")[0], HTML)
        asked = ask(url, f"/api/deliveries/{number}/retry", {"X-Census-Notifier": "1"}, {})
    assert pressed.headers["Location"] == "./?state=failing&retried=gone#deliveries"
    assert "The receiver of that delivery is no longer in the watchlist" in told.body
    assert asked.status == 404
    assert json.loads(asked.body)["error"] == "the receiver of this delivery is no longer in the watchlist"


def test_whoever_pressed_a_button_without_a_session_is_led_to_the_page_after_the_login(stage: PageStage) -> None:
    stage.door = with_token()
    with stage.serving() as url:
        for path in ("/retry", "/logout"):
            answer = ask(url, path, HTML, {"id": "1"})
            assert (answer.status, answer.headers["Location"]) == (303, "./login")


def test_a_wrong_method_is_told_the_right_one(url: str) -> None:
    answer = ask(url, "/retry", HTML)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


# --- a reload ---


def test_all_that_is_shown_is_of_the_worker_after_a_reload(stage: PageStage) -> None:
    with stage.serving() as url:
        assert stage.in_force is not None
        ask(url, "/")
        ask(url, "/api/status")
        after = replace(
            stage.facts(),
            workspaces={},
            receivers=("after",),
            watched=lambda: (),
            ailment=lambda: "ill",
            not_ready=lambda: "not polled yet: after",
        )
        stage.in_force.worker = after
        page, status, incidents = (ask(url, path) for path in ("/", "/api/status", "/api/incidents"))
        healthy, ready = ask(url, "/healthz"), ask(url, "/readyz")
    assert "after" in page.body
    assert "New Signups to Leads" not in page.body
    assert [each["name"] for each in json.loads(status.body)["receivers"]] == ["after"]
    assert incidents.status == 200
    assert [healthy.status, ready.status] == [503, 503]
    assert "after" in ready.body


class Ear:
    """Hears one workspace's webhooks; as a worker's inbox, but it keeps nothing."""

    def __init__(self) -> None:
        self.looked = asyncio.Event()
        self.taken: list[bytes] = []

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        self.looked.set()
        return True

    async def take(self, body: bytes) -> None:
        self.taken.append(body)


@asynccontextmanager
async def served_by(stage: PageStage, ear: Ear) -> AsyncIterator[tuple[InForce, str]]:
    in_force = InForce(replace(stage.facts(), inboxes={"production": ear}), stage.door)
    async with listening(make_app(in_force), Address("127.0.0.1", 0)) as address:
        yield in_force, f"http://{address}"


@pytest.mark.asyncio
async def test_a_webhook_that_waits_out_a_reload_is_taken_by_the_worker_after_it(stage: PageStage) -> None:
    before, after = Ear(), Ear()
    async with served_by(stage, before) as (in_force, url), aiohttp.ClientSession() as session:
        async with in_force.taking:  # as a reload does
            sending = asyncio.create_task(session.post(f"{url}/webhooks/census/production", data=b"said"))
            await asyncio.wait_for(before.looked.wait(), 20)
            in_force.worker = replace(in_force.worker, inboxes={"production": after})
        async with await sending as answer:
            assert answer.status == 202
    assert (before.taken, after.taken) == ([], [b"said"])


@pytest.mark.asyncio
async def test_a_webhook_of_a_workspace_that_a_reload_took_away_is_nobodys(stage: PageStage) -> None:
    before = Ear()
    async with served_by(stage, before) as (in_force, url), aiohttp.ClientSession() as session:
        async with in_force.taking:  # as a reload does
            sending = asyncio.create_task(session.post(f"{url}/webhooks/census/production", data=b"said"))
            await asyncio.wait_for(before.looked.wait(), 20)
            in_force.worker = replace(in_force.worker, inboxes={})
        async with await sending as answer:
            assert answer.status == 404
    assert before.taken == []
