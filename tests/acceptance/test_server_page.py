"""The status page of the real worker, asked over real sockets: who sees it, what its forms take, what it is told."""

import http.client
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from html import unescape
from typing import Any, Self
from urllib.parse import urlencode

import pytest

from notifier.simulator import SimulatorThread, Status
from tests.acceptance.conftest import Workplace
from tests.acceptance.test_server import TOKEN, Server, said, serving

HTML = "text/html,application/xhtml+xml"
FAILING = "{rejected_records: false, unreachable: false, reminders: false}"
WITH_TOKEN = "listen: 127.0.0.1:0, token: '${TOKEN}'"


class Browser:
    """Asks as a browser does, and keeps its cookie."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookie = ""

    def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        status, body, given = self.server.ask("GET", path, None, Accept=HTML, Cookie=self.cookie, **headers)
        return status, body.decode(), given

    def post(self, path: str, fields: dict[str, str], **headers: str) -> tuple[int, str, Any]:
        usual = {"Content_Type": "application/x-www-form-urlencoded", "Sec_Fetch_Site": "same-origin"}
        status, body, given = self.server.ask(
            "POST", path, urlencode(fields).encode(), Accept=HTML, Cookie=self.cookie, **{**usual, **headers}
        )
        if "Set-Cookie" in given:
            self.cookie = given["Set-Cookie"].partition(";")[0]
        return status, body.decode(), given

    def form(self) -> str:
        """The token of the forms of a page."""
        return str(re.findall(r'name="form" value="([^"]+)"', self.get("/")[1])[0])

    def log_in(self) -> None:
        status, _, given = self.post("/login", {"token": TOKEN, "next": "/"})
        assert (status, given["Location"]) == (303, "./")


def text_of(page: str) -> str:
    """What a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def dead(workplace: Workplace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workplace.json("deliveries", "--state", "dead")
    return found


def with_a_dead_delivery(workplace: Workplace, simulator: SimulatorThread, server: str) -> Browser:
    """A worker whose receiver refused a message."""
    simulator.sink.answer(422)
    made = serving(workplace, server, checks=FAILING)
    simulator.add_run(52, id=93, status="failed", error_code="E1", error_message="<b>broke</b>")
    assert made.hook(said()) == 202
    workplace.wait_until(lambda: workplace.states()["dead"] == 2)
    simulator.sink.reset()
    return Browser(made)


# --- what it shows ---


def test_a_worker_that_has_seen_nothing_yet_explains_itself(workplace: Workplace) -> None:
    status, page, headers = Browser(serving(workplace)).get("/")
    shown = text_of(page)
    assert status == 200
    for words in (
        "The notifier is well",
        "Nothing that is watched fails.",
        "New Signups to Leads",
        "no runs yet",
        "All that was to be sent has arrived.",
        "Nothing has changed since the notifier began to watch.",
    ):
        assert words in shown
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert " style=" not in page
    assert "onclick" not in page


def test_a_worker_that_can_not_read_census_says_so(workplace: Workplace) -> None:
    workplace.simulator.fault(Status(401))
    workplace.write_watchlist(rest="server: {listen: '127.0.0.1:0'}")
    workplace.start()
    server = Server(workplace)
    workplace.wait_until(lambda: server.get("/readyz")[0] == 200)
    # What the page shows is in the database, a moment after the worker knows it.
    workplace.wait_until(lambda: "The notifier works, but not everywhere" in text_of(Browser(server).get("/")[1]))
    shown = text_of(Browser(server).get("/")[1])
    assert "production can't be read" in shown
    assert "No sync is watched yet" in shown


def test_what_fails_is_on_the_page_and_on_the_syncs_own(workplace: Workplace, simulator: SimulatorThread) -> None:
    browser = with_a_dead_delivery(workplace, simulator, "listen: 127.0.0.1:0")
    _, page, _ = browser.get("/")
    shown = text_of(page)
    assert "Failing now 1" in shown
    assert "<b>broke</b>" in shown
    assert "<b>broke" not in page
    assert f'href="{simulator.base_url.removesuffix("/api/v1")}/syncs/52/history?sync_run_id=93"' in page
    assert "failing 1" in shown
    status, alone, _ = browser.get("/?sync=52&workspace=production")
    assert status == 200
    assert "Incidents" in text_of(alone)
    assert "Run 93 failed" in text_of(alone)
    assert "nothing is known of it" in text_of(browser.get("/?sync=4711")[1])


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/?state=bad", "State must be one of failing, running, paused, ok, no-runs."),
        ("/?page=0", "Page must be a whole number from 1."),
        ("/?order=x", "Order must be name, or not be given."),
        ("/?sync=0", "Sync must be an ID: a positive whole number, or a word"),
        ("/?sync=1&workspace=nope", "No workspace has this name."),
    ],
)
def test_wrong_parameters_are_a_page_with_a_sentence(workplace: Workplace, path: str, why: str) -> None:
    status, page, _ = Browser(serving(workplace)).get(path)
    assert (status, why in text_of(page)) == (400, True)


def test_static_files_may_be_kept_for_good_by_their_names(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, "listen: 0.0.0.0:0, token: '${TOKEN}'"))
    _, page, _ = browser.get("/login")
    (style,) = re.findall(r'href="(static/page-[0-9a-f]{12}\.css)"', page)
    status, css, headers = browser.get(f"/{style}")
    assert (status, headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in headers["Cache-Control"]
    assert "url(" not in css
    assert browser.get("/static/page.css")[0] == 404
    assert browser.get("/static/..%2faccess.py")[0] in (303, 404)


# --- live ---


class Listening:
    """A connection to /live."""

    def __init__(self, server: Server, **headers: str) -> None:
        self.connection = http.client.HTTPConnection(*server.address, timeout=30)
        self.connection.request("GET", "/live", headers=headers)
        self.answer = self.connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self.connection.close()

    def next(self) -> str:
        """The next event's name."""
        while line := self.answer.readline():
            if line.startswith(b"event: "):
                return line[7:].strip().decode()
        return "end"


def test_who_listens_is_told_when_something_changed(workplace: Workplace, simulator: SimulatorThread) -> None:
    server = serving(workplace)
    with Listening(server) as listening:
        assert listening.answer.headers["Content-Type"] == "text/event-stream"
        assert listening.next() == "hello"
        simulator.add_run(52, id=93, status="failed")
        assert server.hook(said()) == 202
        assert listening.next() == "changed"
    workplace.wait_until(lambda: "Run 93 failed" in text_of(Browser(server).get("/")[1]))


def test_a_worker_that_ends_lets_its_listeners_go(workplace: Workplace) -> None:
    server = serving(workplace)
    with ExitStack() as stack:
        listeners = [stack.enter_context(Listening(server)) for _ in range(5)]
        assert [each.next() for each in listeners] == ["hello"] * 5
        assert workplace.stop() == 0
        for listening in listeners:
            while (told := listening.next()) != "end":
                assert told == "changed"
    assert [line for line in workplace.logged() if line["level"] in ("error", "critical")] == []


def test_more_than_32_can_not_listen_and_those_who_left_make_room(workplace: Workplace) -> None:
    server = serving(workplace)
    with ExitStack() as stack:
        first = stack.enter_context(Listening(server))
        others = [stack.enter_context(Listening(server)) for _ in range(31)]
        assert [each.next() for each in (first, *others)] == ["hello"] * 32
        with Listening(server) as refused:
            assert (refused.answer.status, refused.answer.headers["Retry-After"]) == (503, "60")
        assert Browser(server).get("/")[0] == 200
        first.__exit__()
        workplace.wait_until(lambda: is_heard(server))


def is_heard(server: Server) -> bool:
    with Listening(server) as another:
        return another.answer.status == 200


# --- who may see it ---


def test_a_stranger_sees_the_login_and_nothing_else(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, WITH_TOKEN))
    for path, where in {
        "/": "./login",
        "/?sync=52&workspace=production": "./login?next=%2F%3Fsync%3D52%26workspace%3Dproduction",
        "/live": "./login?next=%2Flive",
        "/a/b": "../login?next=%2Fa%2Fb",
    }.items():
        status, page, headers = browser.get(path)
        assert (status, page, headers["Location"]) == (303, "", where)
    status, page, _ = browser.get("/login?next=https://evil.example.com")
    assert status == 200
    assert "evil" not in page
    assert "New Signups" not in page
    assert browser.get("/api/status")[0] == 401
    assert browser.server.ask("GET", "/")[0] == 401


def test_the_token_makes_a_session_that_reads_everything(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, WITH_TOKEN))
    status, page, given = browser.post("/login", {"token": "wrong", "next": "/"})
    assert (status, "That is not the token." in page, "Set-Cookie" in given) == (401, True, False)
    status, _, given = browser.post("/login", {"token": TOKEN, "next": "/?state=ok"})
    assert (status, given["Location"]) == (303, "./?state=ok")
    for word in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"):
        assert word in given["Set-Cookie"]
    assert "Secure" not in given["Set-Cookie"]
    assert TOKEN not in given["Set-Cookie"]
    assert browser.get("/")[0] == browser.get("/api/status")[0] == 200
    assert TOKEN not in browser.get("/")[1]
    assert browser.get("/login")[0] == 303
    assert browser.get("/", Authorization="Bearer wrong")[0] == 401
    assert TOKEN not in workplace.log.read_text()


def test_a_session_behind_https_is_for_https_alone(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, WITH_TOKEN))
    for proxies in ("https", "HTTPS, http", "https,https"):
        given = browser.post("/login", {"token": TOKEN}, X_Forwarded_Proto=proxies)[2]
        assert "Secure" in given["Set-Cookie"]
    assert "Secure" not in browser.post("/login", {"token": TOKEN}, X_Forwarded_Proto="http, https")[2]["Set-Cookie"]


def test_a_restart_ends_no_session_and_a_new_token_ends_them_all(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, WITH_TOKEN))
    browser.log_in()
    assert workplace.stop() == 0
    workplace.log.unlink()
    workplace.start()
    browser.server = Server(workplace)
    assert browser.get("/")[0] == 200
    watchlist = workplace.directory / "watchlist.yaml"
    watchlist.write_text(watchlist.read_text().replace("${TOKEN}", "another-canary-token-4713"))
    workplace.wait_for_log("watchlist reloaded")
    for path, status in {"/": 303, "/api/status": 401, "/live": 303}.items():
        assert browser.get(path)[0] == status
    assert browser.get("/api/status", Authorization=f"Bearer {TOKEN}")[0] == 401
    assert browser.post("/login", {"token": TOKEN})[0] == 401
    assert browser.post("/login", {"token": "another-canary-token-4713"})[0] == 303
    assert browser.get("/")[0] == 200


def test_logging_out_takes_the_cookie_away(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, WITH_TOKEN))
    browser.log_in()
    assert browser.post("/logout", {})[0] == 403
    status, _, given = browser.post("/logout", {"form": browser.form()})
    assert (status, given["Location"]) == (303, "./login")
    assert browser.get("/")[0] == 303


def test_ten_wrong_tokens_a_minute_are_enough_and_lock_nobody_out(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, WITH_TOKEN))
    assert [browser.post("/login", {"token": f"canary-{n}"})[0] for n in range(10)] == [401] * 10
    status, page, given = browser.post("/login", {"token": "canary-11"})
    assert (status, "Too many wrong tokens" in page) == (429, True)
    assert 0 < int(given["Retry-After"]) <= 60
    assert browser.post("/login", {"token": TOKEN})[0] == 303
    assert browser.get("/api/status", Authorization=f"Bearer {TOKEN}")[0] == 200


def test_wrong_tokens_are_counted_and_ten_a_minute_are_logged_wherever_they_are_given(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, WITH_TOKEN))
    for number in range(12):
        assert browser.get("/api/status", Authorization=f"Bearer canary-{number}")[0] == 401
    assert browser.post("/login", {"token": "canary-12"})[0] == 429
    assert browser.get("/api/status")[0] == 401  # it gave none
    assert "census_notifier_tokens_refused_total 13.0\n" in browser.get("/metrics")[1]
    told = [line for line in workplace.logged() if line["event"] == "a request was refused: its token was wrong"]
    assert [(line["path"], line["remote"]) for line in told] == [("/api/status", "127.0.0.1")] * 10
    assert "canary-" not in workplace.log.read_text()


def test_without_a_token_other_machines_get_a_page_with_the_remedy(workplace: Workplace) -> None:
    browser = Browser(serving(workplace, "listen: 0.0.0.0:0"))
    for path in ("/", "/live"):
        status, page, _ = browser.get(path)
        assert (status, "give the watchlist a server.token" in text_of(page)) == (403, True)
    assert browser.get("/login")[0] == 303
    assert browser.post("/retry", {"id": "1"})[0] == 403


# --- its button ---


def test_a_retry_by_form_is_the_commands(workplace: Workplace, simulator: SimulatorThread) -> None:
    browser = with_a_dead_delivery(workplace, simulator, "listen: 127.0.0.1:0")
    numbers, form = [each["id"] for each in dead(workplace)], browser.form()
    for number in numbers:
        fields = {"id": str(number), "form": form, "next": "/?state=failing&retried=9"}
        status, _, given = browser.post("/retry", fields)
        assert (status, given["Location"]) == (303, f"./?state=failing&retried={number}#deliveries")
    workplace.wait_until(lambda: workplace.states()["delivered"] == len(numbers))
    assert f"Delivery {numbers[0]} is tried again" in text_of(browser.get(f"/?retried={numbers[0]}")[1])
    status, _, given = browser.post("/retry", {"id": str(numbers[0]), "form": form, "next": "//evil"})
    assert (status, given["Location"]) == (303, "./?retried=none#deliveries")
    assert "there is nothing to try again" in text_of(browser.get("/?retried=none")[1])


@pytest.mark.parametrize("server", ["listen: 127.0.0.1:0", WITH_TOKEN], ids=["loopback", "token"])
def test_no_other_page_can_press_the_button(workplace: Workplace, simulator: SimulatorThread, server: str) -> None:
    browser = with_a_dead_delivery(workplace, simulator, server)
    if server == WITH_TOKEN:
        browser.log_in()
    number = str(dead(workplace)[0]["id"])
    good = {"id": number, "form": browser.form()}
    assert browser.post("/retry", {"id": number})[0] == 403
    other = "1" if good["form"].endswith("0") else "0"
    assert browser.post("/retry", {"id": number, "form": good["form"][:-1] + other})[0] == 403
    assert browser.post("/retry", good, Sec_Fetch_Site="cross-site")[0] == 403
    assert browser.post("/retry", good, Sec_Fetch_Site="same-site")[0] == 403
    assert browser.get(f"/retry?{urlencode(good)}")[0] == 405
    assert browser.post(f"/api/deliveries/{number}/retry", good)[0] == 403
    assert browser.post("/retry", {**good, "next": "/" + "x" * 20_000})[0] == 413
    assert browser.post("/retry", {**good, "id": "x"})[0] == 400
    assert len(dead(workplace)) == 2
    assert browser.post(f"/api/deliveries/{number}/retry", {}, X_Census_Notifier="1")[0] == 202


def test_many_readers_do_not_keep_the_worker_from_its_work(workplace: Workplace, simulator: SimulatorThread) -> None:
    server = serving(workplace)
    over = threading.Event()

    def read(_: int) -> list[int]:
        statuses = []
        while not over.is_set():
            statuses.append(Browser(server).get("/")[0])
        return statuses

    with ThreadPoolExecutor(8) as pool:
        reading = pool.map(read, range(8))
        try:
            for number in range(93, 98):  # each is polled for, recorded and sent while all of them read
                simulator.add_run(52, id=number, status="failed")
                assert server.hook(said(sync_run_id=number)) == 202
                simulator.sink.wait_for(number - 92, timeout=30)
        finally:
            over.set()
        statuses = [status for each in reading for status in each]
    assert len(statuses) > 8
    assert set(statuses) == {200}
    assert server.get("/healthz") == (200, {"ok": True})
    (told,) = [line for line in workplace.logged() if line["level"] != "info"]
    assert told["event"].startswith("a workspace is read by a version of the Census API")
