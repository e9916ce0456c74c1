"""The status page as people have it: in a real Chromium, with and without its script, by keyboard, on a phone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from notifier.model.delivery import DeliveryState
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from notifier.web.access import Door
from tests.chromium import complaints, look, open_chromium
from tests.page_stage import MINUTE, PageStage

HELL = "\u202egnp.exe <script>document.title='owned'</script> {{7*7}} \x00 👩‍👩‍👧‍👦 " + "Z̸̡͠" * 40 + "W" * 5_000
FAILED = {"error_code": "JSON_ARRAY_ERROR", "error_message": "not <b>valid</b> JSON"}


@pytest.fixture(scope="module")
def shared_browser() -> Iterator[Chrome]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def browser(shared_browser: Chrome) -> Iterator[Chrome]:
    """A window as wide as a desk, with nothing left of the test before."""
    shared_browser.execute_cdp_cmd("Network.clearBrowserCookies", {})  # of all pages, not only of the one that is open
    look(shared_browser)
    complaints(shared_browser)
    yield shared_browser
    shared_browser.get("about:blank")


@pytest.fixture(scope="module")
def scriptless() -> Iterator[Chrome]:
    with open_chromium(javascript=False) as browser:
        yield browser


@pytest.fixture
def stage(tmp_path: Path) -> PageStage:
    """Two syncs, one of which fails, and a delivery that died."""
    stage = PageStage(tmp_path / "n.db")
    stage.add_worker()
    stage.add_workspace()
    stage.add_receiver("growth", last_accepted_at=stage.now)
    stage.add_syncs(
        {"id": 52, "label": "New Signups to Leads", "labels": {"team": "growth"}},
        {"id": 53, "label": "HubSpot: Contacts", "labels": {"team": "sales"}},
    )
    stage.add_runs(
        stage.a_run(sync_id * 100 + back, sync_id, "completed", (31 - back) * 60 * MINUTE, records_sent=840)
        for sync_id in (52, 53)
        for back in range(30)
    )
    stage.add_runs([stage.a_run(5230, 52, "failed", 20 * MINUTE, **FAILED)])
    stage.add_incident(
        52, "New Signups to Leads", 16 * MINUTE, last_run_id=5230, summary="run 5230 failed, JSON_ARRAY_ERROR"
    )
    told = {"sync_id": 52, "label": "New Signups to Leads", "run_id": 5230}
    stage.add_event("e1", "sync_run.failed", 16 * MINUTE, old="working", new="failed", **told)
    stage.add_delivery("e1", "growth", "dead", last_error="HTTP 422: too <i>long</i>")
    return stage


def until(browser: Chrome, true: Callable[[Chrome], Any]) -> Any:
    return WebDriverWait(browser, 20, 0.05, [StaleElementReferenceException]).until(true)


def is_live(browser: Chrome) -> bool:
    return browser.find_element(By.ID, "live").text == "live"


def text_of(browser: Chrome, selector: str = "main") -> str:
    return str(browser.find_element(By.CSS_SELECTOR, selector).text)


def says(selector: str, words: str) -> Callable[[Chrome], bool]:
    return lambda browser: words in text_of(browser, selector)


@contextmanager
def opened(stage: PageStage, browser: Chrome, path: str = "/", *, live: bool = True) -> Iterator[str]:
    """The page in the browser, once it is live."""
    with stage.serving() as url:
        browser.get(url + path)
        if live:
            until(browser, is_live)
        yield url


def deliveries(stage: PageStage) -> list[DeliveryState]:
    return [each.state for each in read_deliveries(stage.path, DeliveryFilter(), None)]


def is_scrolled_sideways(browser: Chrome) -> bool:
    return bool(browser.execute_script("return document.documentElement.scrollWidth > innerWidth"))


def test_the_page_answers_in_order_and_the_browser_has_nothing_against_it(stage: PageStage, browser: Chrome) -> None:
    with opened(stage, browser):
        headings = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "main h1, main > section > h2")]
        assert headings == ["The notifier is well", "Failing now 1", "Syncs 2", "Deliveries", "Newest events"]
        assert browser.title == "(1) Census notifier"
        failing = text_of(browser, "#failing")
        assert "New Signups to Leads runs fail" in failing
        assert "for 16 min" in failing
        link = browser.find_element(By.CSS_SELECTOR, "#failing .facts a").get_attribute("href")
        assert link == "https://app.getcensus.com/syncs/52/history?sync_run_id=5230"
        names = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#syncs .sync")]
        assert names == ["New Signups to Leads", "HubSpot: Contacts"]
        assert len(browser.find_elements(By.CSS_SELECTOR, "#s-production-52 .chart path:not(.ground)")) == 30
        assert complaints(browser) == []


def test_news_comes_without_a_reload_and_leaves_alone_what_one_is_at(stage: PageStage, browser: Chrome) -> None:
    look(browser, height=400)
    with opened(stage, browser):
        field = browser.find_element(By.NAME, "name")
        field.send_keys("half a na")
        browser.execute_script("window.sameDocument = true; scrollTo(0, 300)")
        stage.add_event("e2", "sync_run.completed", timedelta(0), sync_id=53, label="HubSpot: Contacts", new="done")
        until(browser, says("#events", "nothing → done"))
        assert browser.execute_script("return window.sameDocument")
        assert browser.switch_to.active_element == field
        assert field.get_attribute("value") == "half a na"
        assert browser.execute_script("return scrollY") == 300
        assert complaints(browser) == []


def test_one_notices_what_the_worker_alone_knows(stage: PageStage, browser: Chrome) -> None:
    with opened(stage, browser):
        stage.ailment = "the database can't be written"
        until(browser, says("#health", "The notifier is not healthy"))
        assert "the database can't be written" in text_of(browser, "#health")


def test_a_retry_is_a_click(stage: PageStage, browser: Chrome) -> None:
    with opened(stage, browser):
        browser.execute_script("window.sameDocument = true")
        assert deliveries(stage) == [DeliveryState.DEAD]
        button = browser.find_element(By.CSS_SELECTOR, "#deliveries button")
        assert button.get_attribute("aria-label") == "Retry delivery 1 to growth"
        button.click()
        until(browser, says("#deliveries", "Waiting"))
        assert deliveries(stage) == [DeliveryState.PENDING]
        assert browser.execute_script("return window.sameDocument")
        assert text_of(browser, "#announce") == "Delivery 1 is tried again"
        assert complaints(browser) == []


def test_without_its_script_everything_is_there(stage: PageStage, scriptless: Chrome) -> None:
    with opened(stage, scriptless, live=False):
        assert "16 min ago" in text_of(scriptless, "#events")
        assert "Run 5230 failed" in text_of(scriptless, "#s-production-52")
        assert not scriptless.find_element(By.ID, "live").is_displayed()
        scriptless.find_element(By.NAME, "label").send_keys("team=sales", Keys.ENTER)
        until(scriptless, lambda seen: "label=team%3Dsales" in seen.current_url)
        assert "New Signups" not in text_of(scriptless, "#syncs")
        scriptless.find_element(By.CSS_SELECTOR, "#deliveries button").click()
        until(scriptless, says("main", "Delivery 1 is tried again within 5 seconds."))
        assert deliveries(stage) == [DeliveryState.PENDING]
        assert "label=team%3Dsales" in scriptless.current_url
        scriptless.find_element(By.CSS_SELECTOR, "#s-production-53 .runs").send_keys(Keys.ENTER)
        until(scriptless, lambda seen: len(seen.find_elements(By.CSS_SELECTOR, "#runs tbody tr")) == 30)


def test_the_keyboard_gets_everywhere_and_a_chart_is_one_stop(stage: PageStage, browser: Chrome) -> None:
    with opened(stage, browser):
        stops = []
        for _ in range(60):
            browser.switch_to.active_element.send_keys(Keys.TAB)
            stop = browser.switch_to.active_element
            if stop.tag_name == "body":
                break
            stops.append(stop.get_attribute("aria-label") or stop.get_attribute("name") or stop.text or stop.tag_name)
        assert stops[0] == "Skip to the content"
        assert {"name", "label", "order", "Filter", "Retry delivery 1 to growth"} <= set(stops)
        charts = [stop for stop in stops if stop.startswith("Runs of")]
        assert len(charts) == 2
        assert charts[0].startswith(
            "Runs of New Signups to Leads: last 30 runs: 29 completed, 1 failed. Newest: Run 5230"
        )


def test_arrow_keys_and_the_pointer_tell_of_a_charts_bars(stage: PageStage, browser: Chrome) -> None:
    with opened(stage, browser):
        chart = browser.find_element(By.CSS_SELECTOR, "#s-production-52 .runs")
        newest = text_of(browser, "#s-production-52 .say")
        assert newest.startswith("Run 5230 failed")
        assert "JSON_ARRAY_ERROR: not <b>valid</b> JSON" in newest
        chart.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        assert text_of(browser, "#s-production-52 .say").startswith("Run 5229 completed")
        assert "840 records" in text_of(browser, "#announce")
        chart.send_keys(Keys.HOME)
        assert text_of(browser, "#s-production-52 .say").startswith("Run 5201 completed")
        browser.find_element(By.NAME, "name").click()
        assert text_of(browser, "#s-production-52 .say") == newest
        middle = browser.execute_script(
            "const b = arguments[0].getBoundingClientRect(); return [b.left + b.width / 2, b.top + 20]", chart
        )
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": middle[0], "y": middle[1]})
        until(browser, says("#s-production-52 .say", "Run 5215 completed"))


@pytest.mark.parametrize("width", [1280, 390])
def test_text_from_hell_stays_text_and_in_its_place(stage: PageStage, browser: Chrome, width: int) -> None:
    stage.add_syncs({"id": 66, "label": HELL, "labels": {"team": HELL}})
    stage.add_runs([stage.a_run(6600, 66, HELL, MINUTE, error_code=HELL, error_message=HELL)])
    stage.add_incident(66, HELL, MINUTE, summary=HELL, last_run_id=6600)
    stage.add_event("e6", "incident.opened", MINUTE, sync_id=66, label=HELL, data={"summary": HELL}, old=HELL, new=HELL)
    stage.add_delivery("e6", "growth", "dead", sync_id=66, last_error=HELL)
    look(browser, width=width)
    for path in ("/", "/?sync=66"):
        with opened(stage, browser, path):
            assert "<script>document.title='owned'</script>" in text_of(browser)
            assert "{{7*7}}" in text_of(browser)
            assert browser.title != "owned"
            assert "\u202e" not in browser.page_source
            assert not is_scrolled_sideways(browser)
            assert complaints(browser) == []


def test_a_phone_shows_it_all_without_scrolling_sideways(stage: PageStage, browser: Chrome) -> None:
    look(browser, width=390, height=844)
    for path in ("/", "/?sync=52&workspace=production"):
        with opened(stage, browser, path):
            assert not is_scrolled_sideways(browser)
            for selector in ("#events", "#deliveries button", ".runs .chart"):
                assert browser.find_element(By.CSS_SELECTOR, selector).is_displayed()


def test_it_is_as_dark_as_its_reader_likes(stage: PageStage, browser: Chrome) -> None:
    with opened(stage, browser):
        grounds = []
        for dark in (False, True):
            look(browser, dark=dark)
            grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
        assert grounds == ["rgb(247, 248, 248)", "rgb(18, 21, 24)"]


def test_a_browser_logs_in_is_taken_where_it_wanted_and_logs_out(stage: PageStage, browser: Chrome) -> None:
    stage.door = Door(b"canary-token", is_loopback=False)
    with opened(stage, browser, "/?state=failing", live=False) as url:
        assert browser.current_url == f"{url}/login?next=%2F%3Fstate%3Dfailing"
        browser.find_element(By.NAME, "token").send_keys("wrong", Keys.ENTER)
        until(browser, says("main", "That is not the token."))
        browser.find_element(By.NAME, "token").send_keys("canary-token", Keys.ENTER)
        until(browser, is_live)
        assert browser.current_url == f"{url}/?state=failing"
        browser.find_element(By.CSS_SELECTOR, "#deliveries button").click()
        until(browser, says("#deliveries", "Waiting"))
        assert "canary-token" not in browser.page_source
        (cookie,) = browser.get_cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
        browser.find_element(By.CSS_SELECTOR, ".top form button").click()
        until(browser, lambda seen: seen.current_url == f"{url}/login")
        assert browser.get_cookies() == []
        browser.get(url)
        assert browser.current_url == f"{url}/login"


def test_who_is_logged_in_may_come_by_a_link_of_another_site(stage: PageStage, browser: Chrome) -> None:
    stage.door = Door(b"canary-token", is_loopback=False)
    with opened(stage, browser, live=False) as url:
        browser.find_element(By.NAME, "token").send_keys("canary-token", Keys.ENTER)
        until(browser, is_live)
        browser.get(f"data:text/html,<a href='{url}/?sync=52'>status page</a>")
        browser.find_element(By.TAG_NAME, "a").click()
        until(browser, is_live)
        assert browser.current_url == f"{url}/?sync=52"


def test_a_session_that_ends_sends_an_open_page_to_the_login(stage: PageStage, browser: Chrome) -> None:
    stage.door = Door(b"canary-token", is_loopback=False)
    with opened(stage, browser, live=False):
        browser.find_element(By.NAME, "token").send_keys("canary-token", Keys.ENTER)
        until(browser, is_live)
        assert stage.in_force is not None
        stage.in_force.door = replace(stage.door, token=b"another")
        stage.in_force.worker = stage.facts()
        until(browser, lambda seen: "/login" in seen.current_url)


def test_a_page_that_lost_contact_says_since_when_and_finds_back(stage: PageStage, browser: Chrome) -> None:
    with opened(stage, browser) as url:
        pass
    until(browser, lambda seen: text_of(seen, "#live").startswith("not live since"))
    assert "New Signups to Leads" in text_of(browser)
    with stage.serving(int(url.rpartition(":")[2])):
        until(browser, is_live)
