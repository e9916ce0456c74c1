"""Draws docs/slack-messages.png: real messages, on a page that looks like a channel, in headless Chromium.

Run by hand after a change of what messages look like: .venv/bin/python docs/picture.py
It needs Debian's packages chromium, fonts-lato and fonts-noto-color-emoji. With --json it prints the messages instead.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from pathlib import Path
from typing import Any, Final

from notifier.cli.slack_terminal import emoji
from notifier.receivers.blocks import Rendered, render

WIDTH: Final = 760  # pixels
DAY: Final = datetime(2026, 11, 23, tzinfo=UTC)
SYNCS: Final = {"New Signups to Leads": 52, "HubSpot: Contacts": 53, "Salesforce Accounts": 61}
CHROMIUM: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--force-device-scale-factor=1.5"),
)
STYLE: Final = """
body { margin: 0; font: 15px/1.46 Lato, "Helvetica Neue", Arial, "Liberation Sans", sans-serif; color: #1d1c1d; }
main { padding: 14px 20px 18px; }
h1 { font-size: 18px; margin: 0; padding: 13px 20px; border-bottom: 1px solid #ddd; }
article { display: flex; gap: 8px; margin-bottom: 16px; }
article:last-child { margin-bottom: 0; }
svg { flex: none; margin-top: 4px; }
header b { font-weight: 900; }
header i { font: 11px sans-serif; background: #e8e8e8; padding: 1px 4px; border-radius: 2px; margin: 0 4px; }
header i, time { color: #616061; }
time { font-size: 12px; }
.message { min-width: 0; flex: 1; }
a { color: #1264a3; text-decoration: none; font-weight: 700; }
code { font: 12px Menlo, Consolas, "DejaVu Sans Mono", monospace; color: #e01e5a; background: #f6f6f6;
  border: 1px solid #ddd; border-radius: 3px; padding: 2px 3px; }
pre { font: 12px/1.5 Menlo, Consolas, "DejaVu Sans Mono", monospace; background: #f8f8f8; border: 1px solid #ddd;
  border-radius: 4px; padding: 8px; margin: 4px 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.context { font-size: 13px; color: #616061; margin-top: 4px; }
.context span { margin-right: 8px; }
"""
ICON: Final = """<svg width="36" height="36" viewBox="0 0 36 36"><rect width="36" height="36" rx="6" fill="#2c2d30"/>
<path d="M11 14a8 8 0 0 1 14-1m0 9a8 8 0 0 1-14 1m14-15v5h-5m-9 15v-5h5" stroke="#fff" stroke-width="2.4" fill="none"/>
</svg>"""


def an_event(kind: str, minute: float, label: str, run: dict[str, Any], **given: Any) -> tuple[bytes, datetime]:
    """An event's body, and when it is sent."""
    seen = DAY + timedelta(hours=9, minutes=minute)
    number = SYNCS[label]
    sync = {"id": number, "label": label, "url": f"https://app.getcensus.com/syncs/{number}/history"}
    whole = {"url": f"{sync['url']}?sync_run_id={run['id']}", **run}
    data = {
        "workspace": "production",
        "labels": {"team": "growth"},
        "sync": sync,
        "sync_run": whole,
        "previous_run": None,
        "changes": [{"field": "status", "old": "working", "new": run["status"]}],
        **given.pop("data", {}),
    }
    body = {"type": f"sync_run.{kind}", "timestamp": seen.isoformat(), "data": data}
    return json.dumps(body).encode(), seen + given.pop("late", timedelta(seconds=1))


def minute(number: float) -> str:
    return (DAY + timedelta(hours=9, minutes=number)).isoformat()


def events() -> list[tuple[bytes, datetime]]:
    """A morning in a channel."""
    manual = {"ui_tag": "Manual", "ui_detail": "Manually triggered by maya@example.com"}
    by_schedule = {"ui_tag": "Schedule", "ui_detail": "Scheduled to run every 15 minutes"}
    failed = {
        "id": 93,
        "status": "failed",
        "created_at": minute(0),
        "updated_at": minute(1.22),
        "error_code": "JSON_ARRAY_ERROR",
        "error_message": "The array field being used does not appear to be valid JSON",
        "error_detail": 'Make sure that the field "custom_field:Users" with value "jim" is formatted as a JSON array',
        "sync_trigger_reason": by_schedule,
    }
    counts = {"records_processed": 18_340, "records_updated": 18_340, "records_failed": 0, "records_invalid": 14}
    recovered = {"id": 94, "status": "completed", "created_at": minute(9), "completed_at": minute(10.4), **counts}
    canceled = {"id": 1207, "status": "completed", "canceled": True, "created_at": minute(11), "records_processed": 310}
    canceled |= {"completed_at": minute(14), "records_updated": 310, "sync_trigger_reason": manual}
    skipped = {"id": 411, "status": "skipped", "created_at": minute(15), "updated_at": minute(15)}
    partly = {"id": 410, "status": "completed", "created_at": minute(-9), "completed_at": minute(16)}
    partly |= {"records_processed": 7_440, "records_updated": 7_228, "records_failed": 212}
    before = {"previous_run": {"id": 93, "status": "failed"}}
    by_hand = [
        {"field": "status", "old": "working", "new": "completed"},
        {"field": "canceled", "old": None, "new": True},
    ]
    stopped = {"changes": by_hand, "labels": {"team": "growth"}}
    due = {"changes": [{"field": "status", "old": None, "new": "skipped"}], "labels": {"team": "sales"}}
    return [
        an_event("failed", 1.25, "New Signups to Leads", failed),
        an_event("completed", 10.5, "New Signups to Leads", recovered | {"sync_trigger_reason": manual}, data=before),
        an_event("canceled", 14, "HubSpot: Contacts", canceled, data=stopped),
        an_event("skipped", 15, "Salesforce Accounts", skipped, data=due),
        an_event("completed", 16, "Salesforce Accounts", partly, data={"labels": {"team": "sales"}}),
    ]


def page(messages: list[tuple[Rendered, datetime]]) -> str:
    """The channel as a page of its own."""
    drawn = "".join(
        f"<article>{ICON}<div class=message>"
        f"<header><b>Census notifier</b> <i>APP</i> <time>{sent:%H:%M}</time></header>"
        f"{''.join(map(_block, rendered.blocks))}</div></article>"
        for rendered, sent in messages
    )
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><h1># data-syncs</h1><main>{drawn}</main>"


def _block(block: Any) -> str:
    if block["type"] == "rich_text":
        return "".join(map(_rich_text, block["elements"]))
    return f"<div class=context>{''.join(f'<span>{_small(element)}</span>' for element in block['elements'])}</div>"


def _rich_text(element: Any) -> str:
    inner = "".join(map(_piece, element["elements"]))
    return f"<pre>{inner}</pre>" if element["type"] == "rich_text_preformatted" else f"<div>{inner}</div>"


def _piece(piece: Any) -> str:
    if piece["type"] == "emoji":
        return emoji(piece["name"])
    text = escape(piece["text"])
    if piece["type"] == "link":
        return f'<a href="{escape(piece["url"])}">{text}</a>'
    for style, tag in (("bold", "b"), ("code", "code")):
        if piece.get("style", {}).get(style):
            text = f"<{tag}>{text}</{tag}>"
    return text


def _small(element: Any) -> str:
    if element["type"] == "plain_text":
        return escape(element["text"])
    (seconds,) = re.findall(r"<!date\^(\d+)\^", element["text"])
    return escape(unescape(f"Today at {datetime.fromtimestamp(int(seconds), UTC):%H:%M}"))


def screenshot(html: str, target: Path) -> None:
    """A PNG of the page, as high as what is on it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "page.html"
        path.write_text(html)
        chromium = [shutil.which("chromium") or "chromium", *CHROMIUM, f"--user-data-dir={directory}/profile"]
        probe = html + "<script>document.title=document.documentElement.offsetHeight</script>"
        (Path(directory) / "probe.html").write_text(probe)
        window = f"--window-size={WIDTH},"
        dumped = subprocess.run(
            [*chromium, f"{window}600", "--dump-dom", f"file://{directory}/probe.html"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (height,) = re.findall(r"<title>(\d+)</title>", dumped)
        picture = [f"{window}{height}", f"--screenshot={target}", f"file://{path}"]
        subprocess.run([*chromium, *picture], capture_output=True, check=True)


def main() -> None:
    """Reads the options and draws, or prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    messages = [(render(body, sent), sent) for body, sent in events()]
    if options.json:
        for rendered, _ in messages:
            print(json.dumps({"text": rendered.text, "blocks": rendered.blocks}, ensure_ascii=False, indent=2))
        return
    screenshot(page(messages), Path(__file__).with_name("slack-messages.png"))


if __name__ == "__main__":
    main()
