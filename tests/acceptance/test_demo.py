"""The demo: what the channels are sent, and what a reader of its terminal sees. It needs nothing but this machine."""

import json
import signal
import subprocess
from typing import Any

import pytest

from .conftest import COMMAND, Workplace

Told = dict[str, Any]
"""One line of `demo --json`."""


def story_of(headline: str, told: list[Told]) -> list[Told]:
    """What Slack was sent about the message that was posted with these words: it first, then its edits and thread."""
    first = next(one for one in told if one["action"] == "post" and one["text"].startswith(headline))
    place = (first["channel"], first["ts"])
    return [one for one in told if (one["channel"], one["thread_ts"] or one["ts"]) == place]


def recovers(sync: str, one: Told) -> bool:
    return bool(one["broadcast"] and one["text"].startswith(f"{sync} recovered"))


def demo_until_recovered(workplace: Workplace, *syncs: str) -> list[Told]:
    """What Slack was sent in half a minute of the demo, which is stopped once these have recovered."""
    told: list[Told] = []
    command = [str(COMMAND), "demo", "--duration", "30s", "--json"]
    missing = set(syncs)
    with subprocess.Popen(command, env=workplace.environment, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            told.append(json.loads(line))
            just_recovered = {sync for sync in missing if recovers(sync, told[-1])}
            missing -= just_recovered
            if just_recovered and not missing:
                demo.send_signal(signal.SIGINT)
    assert demo.returncode == 0
    return told


@pytest.mark.slow
def test_half_a_minute_of_the_demo_shows_incidents_from_their_opening_to_the_recovery(workplace: Workplace) -> None:
    told = demo_until_recovered(workplace, "New Signups to Leads", "Orders to Klaviyo")
    opened, *later = story_of("New Signups to Leads is failing: ", told)
    edits = [one["text"] for one in later if one["action"] == "edit"]
    replies = [one for one in later if one["action"] == "reply"]
    here = {"type": "broadcast", "range": "here"}
    assert opened["channel"] == "growth"
    assert here in opened["blocks"][0]["elements"][0]["elements"]
    assert edits[0].startswith("New Signups to Leads is failing · 2 runs: ")
    assert edits[-1].startswith("New Signups to Leads recovered")
    assert [one["broadcast"] for one in replies] == [False, True]
    assert replies[0]["text"].endswith(" failed too")
    assert recovers("New Signups to Leads", replies[-1])
    assert [one["text"] for one in told if one["channel"] == "growth" and one["action"] == "post"] == [opened["text"]]
    assert sum('"here"' in json.dumps(one["blocks"]) for one in told) == 1

    rejected = story_of("Orders to Klaviyo rejects records", told)
    assert [one["action"] for one in rejected] == ["post", "edit", "reply"]
    assert recovers("Orders to Klaviyo", rejected[-1])
    slow = [one["text"] for one in story_of("Salesforce Accounts has been running", told)]
    assert any("was skipped" in text for text in slow)
    assert not any(text.startswith("Salesforce Accounts rejects") for text in slow)
    assert story_of("HubSpot: Contacts", told)[0]["text"].endswith("was canceled")
    assert "preparing" in story_of("Product Usage to Intercom", told)[0]["text"]


def test_the_demo_says_that_it_is_a_simulation_and_draws_its_messages(workplace: Workplace) -> None:
    workplace.environment["COLUMNS"] = "80"
    told = workplace.run("demo", "--duration", "8s")
    assert told.returncode == 0
    lines = told.stdout.splitlines()
    assert "SIMULATION" in lines[0]
    assert "🔴 New Signups to Leads is failing @here" in [line.strip() for line in lines]
    assert max(len(line) for line in lines) <= 80
    assert lines[-1].startswith("End of the simulation: ")


def test_the_demo_ends_without_a_word_when_nobody_reads_it_any_more(workplace: Workplace) -> None:
    command = [str(COMMAND), "demo", "--duration", "30s", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=workplace.environment, stdout=pipe, stderr=pipe, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        assert json.loads(demo.stdout.readline())["action"] == "post"
        demo.stdout.close()
        assert demo.stderr.read() == ""
    assert demo.returncode == 0  # an exit code other than 0 would have needed a word
