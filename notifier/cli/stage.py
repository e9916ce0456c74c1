"""The demo's stage: on loopback, a simulated Census API, the real worker, and a webhook that shows what it gets."""

import asyncio
import json
import secrets
import signal
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text
from standardwebhooks import Webhook, WebhookVerificationError

from notifier import service
from notifier.config.load import load_watchlist
from notifier.errors import NotifierError
from notifier.simulator import CensusSimulator, ReceivedWebhook, WebhookSink, load_scenario, play

COLORS: Final = {
    "completed": "green",
    "failed": "bold red",
    "canceled": "yellow",
    "skipped": "yellow",
    "error_changed": "red",
    "status_changed": "magenta",
}
WATCHLIST: Final = """\
version: 1
database: sqlite:///{database}
workspaces:
  demo:
    api_key: ${{API_KEY}}
    base_url: {base_url}
    poll_interval: 1s
    active_poll_interval: 500ms
watches:
  - syncs: all
receivers:
  webhook:
    type: webhook
    url: {sink_url}/hook
    secret: ${{SECRET}}
"""


async def play_demo(directory: Path, lasts: timedelta, *, as_json: bool) -> int:
    """Plays the story until it ends, `lasts` is over or a signal comes; how many webhooks were shown."""
    simulator, sink = CensusSimulator(), WebhookSink()
    secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    story = asyncio.create_task(play(simulator, load_scenario("demo")), name="scenario")
    try:
        await asyncio.sleep(0)  # the scenario's second 0: the workspace has a past before anyone looks at it
        async with simulator.serve() as base_url, sink.serve() as sink_url:
            path = directory / "watchlist.yaml"
            path.write_text(WATCHLIST.format(database=directory / "demo.db", base_url=base_url, sink_url=sink_url))
            watchlist = load_watchlist(path, {"API_KEY": simulator.api_key, "SECRET": secret})
            console = Console(highlight=False, soft_wrap=True)
            if not as_json:
                _introduce(console, lasts)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.serve(watchlist, stop), name="worker")
                shown = tasks.create_task(_show(console, sink, stop, Webhook(secret), as_json=as_json), name="show")
                try:
                    async with asyncio.timeout(lasts.total_seconds()):
                        await stop.wait()
                except TimeoutError:
                    stop.set()
            if not as_json:
                console.print(f"\nEnd of the simulation: {shown.result()} events, each with a valid signature.")
            return shown.result()
    finally:
        story.cancel()
        await asyncio.gather(story, return_exceptions=True)


def _introduce(console: Console, lasts: timedelta) -> None:
    console.rule("SIMULATION")
    console.print(
        "A simulated Census API and a webhook on this machine; the worker between them is the real one.\n"
        f"It ends after {lasts.total_seconds():g} s, or with Ctrl-C. This is what the webhook gets:\n",
        style="dim",
    )


async def _show(console: Console, sink: WebhookSink, stop: asyncio.Event, verifier: Webhook, *, as_json: bool) -> int:
    shown = 0
    while not stop.is_set():
        try:
            async with asyncio.timeout(0.5):
                received = await sink.wait_for(shown + 1, timeout=60)
        except TimeoutError:
            continue
        for webhook in received[shown:]:
            _show_one(console, webhook, verifier, as_json=as_json)
            shown += 1
    return shown


def _show_one(console: Console, webhook: ReceivedWebhook, verifier: Webhook, *, as_json: bool) -> None:
    try:
        verifier.verify(webhook.body, {key.lower(): value for key, value in webhook.headers.items()})
    except WebhookVerificationError as error:
        raise NotifierError(f"the signature of a webhook did not verify: {error}") from error
    if as_json:
        typer.echo(webhook.body.decode())
    else:
        console.print(_line(json.loads(webhook.body)))


def _line(event: Mapping[str, Any]) -> Text:
    kind = event["type"].removeprefix("sync_run.")
    data, run = event["data"], event["data"]["sync_run"]
    status = next((change for change in data["changes"] if change["field"] == "status"), None)
    line = Text(event["timestamp"][11:19] + "  ", style="dim")
    line.append(f"{kind:<15}", COLORS.get(kind, ""))
    line.append(f"{data['sync']['label']:<26}", "bold")
    line.append(f"run {run['id']}  ")
    if status:
        line.append(f"{status['old'] or 'new'} → {status['new']}")
    for change in data["changes"]:
        if change["field"].startswith("error_") and change["new"]:
            line.append(f"\n{'':10}{change['field']}: {change['new']}", "red")
    return line
