"""Which parts there are by a watchlist, and what makes two watchlists the same for workers that share the work."""

from pathlib import Path

import pytest

from notifier.service.parts import fingerprint, parts_of, receivers_of
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist

ENV = {"KEY": "a-key", "TOKEN": "xoxb-1", "HOOK": "https://hooks.slack.com/services/1", "PASSWORD": "secret"}
PLAIN = """
version: 1
database: postgresql://u:${PASSWORD}@h/d
workspaces:
  a: {api_key: '${KEY}', poll_interval: 60s}
  b: {api_key: '${KEY}'}
watches:
  - {workspace: a, syncs: all}
  - {workspace: b, syncs: all}
receivers:
  team: {type: slack, token: '${TOKEN}', channel: C1}
  log: {type: webhook, url: "http://127.0.0.1:1"}
  old: {type: slack_webhook, url: '${HOOK}'}
  other: {type: webhook, url: "http://127.0.0.1:2"}
"""


def loaded(directory: Path, text: str = PLAIN, **env: str) -> Watchlist:
    path = directory / "watchlist.yaml"
    path.write_text(text)
    return load_watchlist(path, ENV | env)


def test_what_must_be_one_is_in_one_part(tmp_path: Path) -> None:
    watchlist = loaded(tmp_path)
    assert parts_of(watchlist) == ("upkeep", "slack", "webhook:log", "webhook:other", "workspace:a", "workspace:b")
    assert receivers_of(watchlist) == {"slack": ("team", "old"), "webhook:log": ("log",), "webhook:other": ("other",)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("poll_interval: 60s", "poll_interval: 61s"),
        ("channel: C1", "channel: C2"),
        ("  b: {api_key", "  c: {api_key"),
        ("receivers:", "retention: 31d\nreceivers:"),
        ("receivers:", "checks: {failing: false}\nreceivers:"),
        ("{workspace: b, syncs: all}", "{workspace: b, syncs: all, labels: {team: x}}"),
    ],
)
def test_what_workers_do_otherwise_is_a_difference(tmp_path: Path, old: str, new: str) -> None:
    changed = PLAIN.replace(old, new).replace("workspace: b,", "workspace: c," if "  c: {" in new else "workspace: b,")
    assert changed != PLAIN
    assert fingerprint(loaded(tmp_path, changed)) != fingerprint(loaded(tmp_path))


@pytest.mark.parametrize(
    "changed",
    [
        PLAIN.replace("@h/d", "@other/d"),
        PLAIN + "server: {listen: '127.0.0.1:8080', token: '${TOKEN}'}\n",
        PLAIN.replace("60s", "1m").replace("version: 1", "# a word\nversion: 1"),
        PLAIN.replace('  log: {type: webhook, url: "http://127.0.0.1:1"}\n', "")
        + '  log: {type: webhook, url: "http://127.0.0.1:1"}\n',
    ],
    ids=["database", "server", "words", "order"],
)
def test_what_each_may_have_for_itself_or_writes_otherwise_is_none(tmp_path: Path, changed: str) -> None:
    assert changed != PLAIN
    assert fingerprint(loaded(tmp_path, changed)) == fingerprint(loaded(tmp_path))


def test_a_secret_that_was_renewed_is_none(tmp_path: Path) -> None:
    renewed = {name: "https://hooks.slack.com/services/2" if name == "HOOK" else "renewed" for name in ENV}
    assert fingerprint(loaded(tmp_path, **renewed)) == fingerprint(loaded(tmp_path))
