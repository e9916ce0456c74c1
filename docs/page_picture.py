"""Draws the status page as docs/server.md shows it: docs/status-page*.png, in headless Chromium.

Run by hand after a change of what the page looks like: .venv/bin/python docs/page_picture.py
It needs Debian's packages chromium, chromium-driver and fonts-lato. The server is the real one, over a database that is
filled with two stories: a quiet day, and a storm. With --to it writes elsewhere.
"""

import argparse
import base64
import random
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests build the stage

from selenium.webdriver.support.ui import WebDriverWait

from notifier.model.incident import Check
from tests.chromium import complaints, look, open_chromium
from tests.page_stage import MINUTE, PageStage

HOUR: Final = 60 * MINUTE
SYNCS: Final[Sequence[tuple[int, str, dict[str, str], float, int]]] = (
    # id, label, labels, minutes that a run takes, records
    (52, "New Signups to Leads", {"team": "growth"}, 1.2, 840),
    (53, "HubSpot: Contacts", {"team": "growth"}, 3.5, 12_400),
    (54, "HubSpot: Companies", {"team": "growth"}, 2.1, 3_100),
    (61, "Salesforce Accounts", {"team": "sales"}, 9.0, 48_000),
    (62, "Salesforce Opportunities", {"team": "sales"}, 6.4, 9_300),
    (70, "Marketo: Lead Scores", {"team": "marketing"}, 14.0, 91_000),
    (71, "Google Ads: Customer Match", {"team": "marketing", "tier": "paid"}, 22.0, 160_000),
    (72, "Facebook: Lookalike Seeds", {"team": "marketing", "tier": "paid"}, 11.0, 70_000),
    (80, "Zendesk: Organisations", {"team": "support"}, 1.7, 2_050),
    (81, "Intercom: Users", {"team": "support"}, 4.2, 33_000),
    (90, "Braze: Attributes", {"team": "lifecycle"}, 7.7, 210_000),
    (91, "Iterable: Users (paused for the migration)", {"team": "lifecycle"}, 5.0, 44_000),
)
ERROR: Final = {
    "error_code": "JSON_ARRAY_ERROR",
    "error_message": "The array field being used does not appear to be valid JSON",
}
DOWN: Final = {"error_code": "DESTINATION_UNAVAILABLE", "error_message": "Salesforce answered 503 for 15 minutes"}


def a_day(stage: PageStage, chance: random.Random) -> None:
    """Thirty runs of each sync, of which hardly any failed."""
    stage.add_worker(timedelta(days=6, hours=2))
    stage.add_workspace()
    for name, minutes in (("growth", 12), ("sales", 41), ("pipeline", 2)):
        stage.add_receiver(name, last_accepted_at=stage.now - minutes * MINUTE)
    stage.add_syncs(*({"id": i, "label": name, "labels": labels, "paused": i == 91} for i, name, labels, *_ in SYNCS))
    rows = []
    for sync_id, _, _, usual, records in SYNCS:
        for back in range(30, 0, -1):
            status = chance.choices(["completed", "failed", "skipped", "canceled"], [94, 2, 3, 1])[0]
            if back < 3:
                status = "completed"
            took = timedelta(minutes=usual * chance.uniform(0.6, 1.6)) if status != "skipped" else timedelta(seconds=1)
            began = back * HOUR + chance.uniform(0, 8) * MINUTE - 40 * MINUTE + (sync_id == 91) * 70 * HOUR
            more: dict[str, Any] = ERROR if status == "failed" else {}
            sent = {"records_sent": int(records * chance.uniform(0.7, 1.3))} if status == "completed" else {}
            rows.append(stage.a_run(sync_id * 1000 + 30 - back, sync_id, status, began, took=took, **more, **sent))
    for sync_id, minutes in ((71, 8), (53, 1)):
        rows.append(stage.a_run(sync_id * 1000 + 31, sync_id, "working", minutes * MINUTE))
    stage.add_runs(rows)


def tell(stage: PageStage, *told: tuple[str, float, int, str | None, str | None, dict[str, Any]]) -> None:
    """Events, the newest last: type, minutes ago, sync, old, new, and what else."""
    labels = {sync_id: label for sync_id, label, *_ in SYNCS}
    for place, (kind, minutes, sync_id, old, new, data) in enumerate(told):
        change = {"old": old, "new": new, "run_id": sync_id * 1000 + 30} if new else {}
        seen = timedelta(minutes=minutes)
        stage.add_event(f"e{place}", kind, seen, sync_id=sync_id, label=labels[sync_id], data=data, **change)


def well(stage: PageStage) -> None:
    """A quiet day."""
    a_day(stage, random.Random(7))
    tell(
        stage,
        ("sync.paused", 70 * 60, 91, None, None, {}),
        ("sync_run.failed", 312, 80, "working", "failed", {"sync_run": ERROR}),
        ("incident.opened", 312, 80, None, None, {"summary": "run 80019 failed, JSON_ARRAY_ERROR"}),
        ("sync_run.completed", 250, 80, "working", "completed", {}),
        ("incident.resolved", 250, 80, None, None, {"summary": "resolved after 1 h 2 min: run 80020 completed"}),
        ("sync_run.completed", 41, 61, "working", "completed", {}),
        ("sync_run.completed", 12, 52, "working", "completed", {}),
        ("sync_run.working", 8, 71, "queued", "working", {}),
        ("sync_run.working", 1, 53, "queued", "working", {}),
    )


def storm(stage: PageStage) -> None:
    """Salesforce is away, one channel is archived, and one workspace can't be read."""
    a_day(stage, random.Random(7))
    rows = []
    for sync_id, runs, error in ((61, 3, DOWN), (62, 2, DOWN), (52, 4, ERROR)):
        for place in range(runs):
            began = timedelta(minutes=(runs - place) * 9 - 2)
            rows.append(stage.a_run(sync_id * 1000 + 31 + place, sync_id, "failed", began, took=2 * MINUTE, **error))
    stage.add_runs(rows)
    stage.add_workspace(
        "eu",
        ok=False,
        last_error="Census said 401 Unauthorized: the API key is wrong or was revoked",
        last_polled_at=stage.now - 47 * MINUTE,
        silent_since=stage.now - 46 * MINUTE,
    )
    words = "run {} failed, DESTINATION_UNAVAILABLE: Salesforce answered 503 for 15 minutes"
    stage.add_incident(
        None, None, 41 * MINUTE, check=Check.UNREACHABLE, workspace="eu", runs=0, summary="401 Unauthorized for 46 min"
    )
    array = "run 52034 failed, JSON_ARRAY_ERROR: The array field being used does not appear to be valid JSON"
    stage.add_incident(52, "New Signups to Leads", 34 * MINUTE, runs=4, last_run_id=52034, summary=array)
    stage.add_incident(61, "Salesforce Accounts", 25 * MINUTE, runs=3, last_run_id=61033, summary=words.format(61033))
    stage.add_incident(
        62, "Salesforce Opportunities", 16 * MINUTE, runs=2, last_run_id=62032, summary=words.format(62032)
    )
    stage.add_incident(
        70,
        "Marketo: Lead Scores",
        9 * MINUTE,
        check=Check.REJECTED_RECORDS,
        last_run_id=70029,
        summary="run 70029: 68,250 of 91,000 records were rejected (75 %)",
    )
    stage.add_receiver(
        "data-alerts",
        broken_since=stage.now - 33 * MINUTE,
        last_error="Slack said is_archived: the channel is archived; choose another or unarchive it",
        last_accepted_at=stage.now - 5 * HOUR,
    )
    tell(
        stage,
        ("sync_run.failed", 34, 52, "working", "failed", {"sync_run": ERROR}),
        ("incident.opened", 34, 52, None, None, {"summary": array}),
        ("sync_run.failed", 25, 61, "working", "failed", {"sync_run": DOWN}),
        ("incident.opened", 25, 61, None, None, {"summary": words.format(61031)}),
        ("sync_run.failed", 16, 62, "working", "failed", {"sync_run": DOWN}),
        ("incident.opened", 16, 62, None, None, {"summary": words.format(62031)}),
        ("sync_run.completed", 9, 70, "working", "completed", {}),
        ("incident.opened", 9, 70, None, None, {"summary": "run 70029: 68,250 of 91,000 records were rejected (75 %)"}),
        ("sync_run.failed", 7, 61, "working", "failed", {"sync_run": DOWN}),
        ("sync_run.working", 1, 53, "queued", "working", {}),
    )
    broken = {"attempts": 7, "last_error": "Slack said is_archived", "next_attempt_at": stage.now + 3 * MINUTE}
    for place, sync_id, kind in ((1, 52, "incident.opened"), (3, 61, "incident.opened"), (5, 62, "incident.opened")):
        seen = stage.now - (34 - 4 * place) * MINUTE
        stage.add_delivery(
            f"e{place}", "data-alerts", "pending", sync_id=sync_id, event_type=kind, created_at=seen, **broken
        )
    stage.add_delivery(
        "e2", "pipeline", "dead", sync_id=61, attempts=1, last_error="HTTP 422: sync_run.error_detail is too long"
    )


def main() -> None:
    """Reads the options and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    target = parser.parse_args().to
    pictures = (
        (well, "status-page.png", "/", {"width": 1280}),
        (storm, "status-page-storm.png", "/", {"width": 1280}),
        (storm, "status-page-phone.png", "/", {"width": 390}),
        (storm, "status-page-dark.png", "/", {"width": 1280, "dark": True}),
        (storm, "status-page-sync.png", "/?sync=61&workspace=production", {"width": 1280}),
    )
    with open_chromium() as browser:
        for fill, name, path, how in pictures:
            with tempfile.TemporaryDirectory() as directory:
                stage = PageStage(Path(directory) / "n.db")
                fill(stage)
                with stage.serving() as url:
                    look(browser, **how)  # type: ignore[arg-type]
                    browser.get(url + path)
                    WebDriverWait(browser, 10).until(lambda seen: seen.find_element("id", "live").is_displayed())
                    shot = browser.execute_cdp_cmd(
                        "Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"} | _clip(browser, how)
                    )
                    (target / name).write_bytes(base64.b64decode(shot["data"]))
                    for line in complaints(browser):
                        print(name, line)


def _clip(browser: Any, how: dict[str, Any]) -> dict[str, Any]:
    height = browser.execute_script("return document.documentElement.scrollHeight")
    return {"clip": {"x": 0, "y": 0, "width": how["width"], "height": height, "scale": 1.5}}


if __name__ == "__main__":
    main()
