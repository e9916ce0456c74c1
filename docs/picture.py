"""Draws docs/slack-messages.png: real messages, on a page that looks like a channel, in headless Chromium.

The message of an incident is drawn as it was at each moment, and its thread under it. Run by hand after a change of
what messages look like: .venv/bin/python docs/picture.py
It needs Debian's packages chromium, fonts-lato and fonts-noto-color-emoji. With --json it prints the messages instead;
with --width 500 --to /tmp/phone.png it draws about what a phone shows.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from pathlib import Path
from typing import Any, Final

from notifier.cli.demo.slack_terminal import DATE, emoji
from notifier.model.body import EventBody
from notifier.receivers.slack.blocks.run import render
from notifier.receivers.slack.blocks.text import Rendered
from notifier.receivers.slack.blocks.thread import lines

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
.context span { margin-right: 4px; }
.mention { background: #fdf0cf; color: #1264a3; border-radius: 3px; padding: 0 2px; }
.edited { font-size: 12px; color: #868686; }
.later { display: flex; align-items: center; gap: 8px; margin: 12px 0 6px; font-size: 13px; font-weight: 700;
  color: #616061; }
.later::after { content: ""; flex: 1; border-top: 1px dashed #ccc; }
.thread { margin: 10px 0 0; padding: 8px 12px; background: #f8f8f8; border-left: 3px solid #ddd; }
.thread h2 { font-size: 13px; margin: 0 0 4px; color: #1264a3; }
.thread p, .thread div { margin: 0; }
.thread time { margin-right: 6px; }
.reply { display: flex; align-items: baseline; }
.note { font-size: 12px; color: #616061; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.reply + .note { margin-left: 42px; }
"""
ICON: Final = """<svg width="36" height="36" viewBox="0 0 36 36"><rect width="36" height="36" rx="6" fill="#2c2d30"/>
<path d="M11 14a8 8 0 0 1 14-1m0 9a8 8 0 0 1-14 1m14-15v5h-5m-9 15v-5h5" stroke="#fff" stroke-width="2.4" fill="none"/>
</svg>"""


Body = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A message of the channel. `states`: what it said, and since when; `thread`: the replies, and when; `answers`: it
    is a reply itself, to what is named there."""

    states: Sequence[tuple[Rendered, datetime]]
    thread: Sequence[tuple[Rendered, datetime, bool]] = ()
    answers: str = ""


def at(minute: float) -> datetime:
    return DAY + timedelta(hours=9, minutes=minute)


def an_event(kind: str, minute: float, label: str, run: Body, **more: Any) -> EventBody:
    """An event, as its body tells it."""
    number = SYNCS[label]
    sync = {"id": number, "label": label, "url": f"https://app.getcensus.com/syncs/{number}/history"}
    data = {
        "workspace": "production",
        "labels": {"team": "growth"},
        "sync": sync,
        "sync_run": {"url": f"{sync['url']}?sync_run_id={run['id']}", **run},
        "previous_run": None,
        "changes": [{"field": "status", "old": "working", "new": run["status"]}],
        **more,
    }
    return EventBody.of(json.dumps({"type": kind, "timestamp": at(minute).isoformat(), "data": data}).encode())


def a_run(number: int, status: str, began: float, ended: float, **more: Any) -> Body:
    times = {"created_at": at(began).isoformat(), "updated_at": at(ended).isoformat()}
    times |= {"completed_at": at(ended).isoformat()} if status == "completed" else {}
    return {"id": number, "status": status, **times, **more}


def an_incident(runs: int, resolved: float | None = None) -> Body:
    return {
        "id": "i",
        "check": "failing",
        "state": "open" if resolved is None else "resolved",
        "reason": None if resolved is None else "recovered",
        "opened_at": at(1.25).isoformat(),
        "resolved_at": None if resolved is None else at(resolved).isoformat(),
        "runs": runs,
        "last_good_run": {"id": 92, "completed_at": at(-14).isoformat()},
    }


def incident() -> list[Shown]:
    """A sync fails, fails again and recovers: one message and its thread, and what the channel sees of that."""
    name = "New Signups to Leads"
    error = {
        "error_code": "JSON_ARRAY_ERROR",
        "error_message": "The array field being used does not appear to be valid JSON",
        "error_detail": 'Make sure that the field "custom_field:Users" with value "jim" is formatted as a JSON array',
    }
    first, second = a_run(93, "failed", 0, 1.25, **error), a_run(94, "failed", 15, 16.2, **error)
    opened = an_event("incident.opened", 1.25, name, first, incident=an_incident(1))
    again = an_event("incident.changed", 16.2, name, second, incident=an_incident(2))
    good = a_run(95, "completed", 30, 31.25, records_processed=18_340, records_updated=18_340, records_failed=0)
    resolved = an_event("incident.resolved", 31.25, name, good, incident=an_incident(2, 31.25))
    states = [(render(opened, at(1.3), mentions=["@here"], living=True), at(1.3))]
    states += [(render(body, at(then), living=True), at(then)) for body, then in ((again, 16.3), (resolved, 31.5))]
    aloud = lines([resolved], at(31.5), in_channel=True)
    thread = [(lines([again], at(16.3)), at(16.3), False), (aloud, at(31.5), True)]
    return [Shown(states, thread), Shown([(aloud, at(31.5))], answers=states[-1][0].text)]


def runs() -> list[Shown]:
    """Runs by themselves: one is canceled, one completes but for some records."""
    manual = {"ui_tag": "Manual", "ui_detail": "Manually triggered by maya@example.com"}
    sent = {"records_processed": 310, "records_updated": 310, "sync_trigger_reason": manual}
    canceled = a_run(1207, "completed", 35, 38, canceled=True, **sent)
    by_hand = [
        {"field": "status", "old": "working", "new": "completed"},
        {"field": "canceled", "old": None, "new": True},
    ]
    partly = a_run(410, "completed", 16, 41, records_processed=7_440, records_updated=7_228, records_failed=212)
    told = [
        (an_event("sync_run.canceled", 38, "HubSpot: Contacts", canceled, changes=by_hand), 38),
        (an_event("sync_run.completed", 41, "Salesforce Accounts", partly, labels={"team": "sales"}), 41),
    ]
    return [Shown([(render(body, at(minute)), at(minute))]) for body, minute in told]


def page(messages: Sequence[Shown]) -> str:
    """The channel as a page of its own."""
    head = (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<style>{STYLE}</style><h1># data-syncs</h1>"
    )
    return f"{head}<main>{''.join(map(_article, messages))}</main>"


def _article(shown: Shown) -> str:
    (first, posted), *later = shown.states
    answers = f"<div class=note>replied to a thread: {escape(shown.answers)}</div>" if shown.answers else ""
    states = "".join(
        f"<div class=later>the same message at {since:%H:%M}</div>{_content(rendered, edited=True)}"
        for rendered, since in later
    )
    return (
        f"<article>{ICON}<div class=message>"
        f"<header><b>Census notifier</b> <i>APP</i> <time>{posted:%H:%M}</time></header>"
        f"{answers}{_content(first)}{states}{_thread(shown)}</div></article>"
    )


def _thread(shown: Shown) -> str:
    if not shown.thread:
        return ""
    replies = "".join(
        f"<div class=reply><time>{since:%H:%M}</time><div>{_content(rendered)}</div></div>"
        + ("<div class=note>Also sent to the channel</div>" if aloud else "")
        for rendered, since, aloud in shown.thread
    )
    return f"<div class=thread><h2>{len(shown.thread)} replies</h2>{replies}</div>"


def _content(rendered: Rendered, *, edited: bool = False) -> str:
    first, *others = map(_block, rendered.blocks)
    mark = " <span class=edited>(edited)</span></div>" if edited else "</div>"
    return "".join([first.replace("</div>", mark, 1), *others])


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
    if piece["type"] == "broadcast":
        return f"<span class=mention>@{piece['range']}</span>"
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
    return escape(unescape(DATE.sub(_of_today, element["text"])))


def _of_today(date: re.Match[str]) -> str:
    """Slack begins it with a capital only where no words stand before it."""
    day = "Today" if date["format"].startswith("{date_short_pretty}") else "today"
    time = f"{datetime.fromtimestamp(int(date['seconds']), UTC):%H:%M}"
    return date["format"].replace("{date_short_pretty}", day).replace("{time}", time)


def screenshot(html: str, target: Path, width: int) -> None:
    """A PNG of the page, as high as what is on it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "page.html"
        path.write_text(html)
        chromium = [shutil.which("chromium") or "chromium", *CHROMIUM, f"--user-data-dir={directory}/profile"]
        probe = html + "<script>document.title=document.documentElement.offsetHeight</script>"
        (Path(directory) / "probe.html").write_text(probe)
        dumped = subprocess.run(
            [*chromium, f"--window-size={width},600", "--dump-dom", f"file://{directory}/probe.html"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (height,) = re.findall(r"<title>(\d+)</title>", dumped)
        picture = [f"--window-size={width},{height}", f"--screenshot={target}", f"file://{path}"]
        subprocess.run([*chromium, *picture], capture_output=True, check=True)


def main() -> None:
    """Reads the options and draws, or prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name("slack-messages.png"))
    options = parser.parse_args()
    messages = [*incident(), *runs()]
    if not options.json:
        screenshot(page(messages), options.to.resolve(), options.width)
        return
    for shown in messages:
        for rendered in [state for state, _ in shown.states] + [reply for reply, _, _ in shown.thread]:
            print(json.dumps({"text": rendered.text, "blocks": rendered.blocks}, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
