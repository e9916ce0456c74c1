"""The status page over a large database: how much it is, when it begins to come, and when one can use it.

5,000 watched syncs with 30 runs each, 200 open incidents, 1,000 dead deliveries and 20,000 events; the real server, in
this process, and Debian's Chromium beside it. Run by hand: .venv/bin/python benchmarks/page.py [--syncs 5000]
Prints for each page the bytes (as they are, and gzipped), the time to the first byte as a client sees it, and what
Chromium's own clock says of the navigation: first byte, DOMContentLoaded (the page can be used), first paint.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests build the stage

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

from notifier.store.sql.schema import deliveries, events
from tests.chromium import complaints, look, open_chromium
from tests.page_stage import MINUTE, PageStage

RUNS: Final = 30
INCIDENTS: Final = 200
DEAD: Final = 1_000
EVENTS: Final = 20_000
ROUNDS: Final = 9
PAGES: Final = ("/", "/?name=salesforce&label=team%3Dteam7&state=failing", "/?page=73&order=name", "/?sync=2500")
TIMING: Final = """
const [n] = performance.getEntriesByType("navigation");
const [p] = performance.getEntriesByName("first-contentful-paint");
return n.domContentLoadedEventEnd && p && [n.responseStart - n.requestStart, n.domContentLoadedEventEnd, p.startTime];
"""
Row = dict[str, Any]


def main() -> None:
    """Fills, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--syncs", type=int, default=5_000)
    syncs = parser.parse_args().syncs
    with tempfile.TemporaryDirectory() as directory:
        stage = PageStage(Path(directory) / "n.db")
        began = time.monotonic()
        fill(stage, syncs)
        size = stage.path.stat().st_size / 1e6
        print(f"{syncs:,} syncs, {syncs * RUNS:,} runs: {size:.0f} MB, filled in {time.monotonic() - began:.0f} s\n")
        print(f"{'page':<54}{'bytes':>9}{'gzipped':>9}{'first byte':>12}{'in Chromium':>17}{'usable':>9}{'painted':>9}")
        with stage.serving() as url, open_chromium() as browser:
            look(browser)
            for path in PAGES:
                measure(url, path, browser)


def measure(url: str, path: str, browser: Chrome) -> None:
    """One line; the median of several rounds, in milliseconds."""
    plain, _ = ask(url + path)
    waits = []
    for _ in range(ROUNDS):
        packed, wait = ask(url + path, gzip=True)
        waits.append(wait)
    seen = []
    for _ in range(ROUNDS):
        browser.get("about:blank")
        browser.get(url + path)
        seen.append(WebDriverWait(browser, 10).until(lambda seen: seen.execute_script(TIMING)))
    first, usable, painted = (statistics.median(each) for each in zip(*seen, strict=True))
    wait = statistics.median(waits)
    print(f"{path:<54}{plain:>9,}{packed:>9,}{wait:>9.0f} ms{first:>14.0f} ms{usable:>6.0f} ms{painted:>6.0f} ms")
    assert complaints(browser) == []


def ask(url: str, *, gzip: bool = False) -> tuple[int, float]:
    """How many bytes come, and after how many milliseconds the first."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"} if gzip else {})  # noqa: S310
    began = time.monotonic()
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        wait = 1_000 * (time.monotonic() - began)
        return len(answer.read()), wait


def fill(stage: PageStage, count: int) -> None:
    """A large workspace on a bad day."""
    chance = random.Random(5)
    stage.add_worker()
    stage.add_workspace()
    stage.add_receiver("growth", last_accepted_at=stage.now)
    names = ("Salesforce: {} accounts", "HubSpot: {} contacts", "Braze: {} users", "Leads of {}")
    stage.add_syncs(
        *(
            {"id": i, "label": names[i % 4].format(f"region {i}"), "labels": {"team": f"team{i % 20}"}}
            for i in range(1, count + 1)
        )
    )
    stage.add_runs(a_run(stage, chance, i, back) for i in range(1, count + 1) for back in range(RUNS))
    for i in range(1, INCIDENTS + 1):
        error = f"run {i * 100} failed, TIMEOUT: the destination did not answer"
        stage.add_incident(i * (count // INCIDENTS), f"region {i}", i * MINUTE, runs=3, last_run_id=i, summary=error)
    body = b'{"type":"sync_run.failed","data":{"sync":{"label":"A"},"filler":"' + b"x" * 1_500 + b'"}}'
    told = {"type": "sync_run.failed", "workspace": "production", "run_id": 1, "body": body}
    stage.add(
        events,
        *({**told, "id": f"e{i}", "sync_id": 1 + i % count, "seen_at": stage.now} for i in range(EVENTS)),
    )
    died = {"event_type": "sync_run.failed", "receiver": "growth", "workspace": "production", "state": "dead"}
    times = {"created_at": stage.now, "clock_started_at": stage.now, "last_error": "HTTP 422"}
    stage.add(deliveries, *({**died, **times, "event_id": f"e{i}", "sync_id": 1 + i % count} for i in range(DEAD)))


def a_run(stage: PageStage, chance: random.Random, sync_id: int, back: int) -> Row:
    status = chance.choices(["completed", "failed", "skipped"], [92, 5, 3])[0]
    failed = {"error_code": "TIMEOUT", "error_message": "the destination did not answer"} if status == "failed" else {}
    took = timedelta(seconds=chance.randint(20, 900))
    began = back * 60 * MINUTE + 5 * MINUTE
    more: Row = {**failed, "took": took, "records_sent": chance.randint(0, 90_000)}
    return stage.a_run(sync_id * 100 + RUNS - back, sync_id, status, began, **more)


if __name__ == "__main__":
    main()
