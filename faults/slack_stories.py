"""Incidents in channels where Slack refuses one message, its thread or its mention: each channel is told of both syncs,
what becomes of the one's message harms neither it nor the other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from faults.row import fail, must
from notifier.simulator import SimulatorThread, SlackError, SlackMessage
from tests.acceptance.workplace import Workplace

TOKEN: Final = "xoxb-of-a-storyteller"  # edits are paced by token
HARMED, OTHER = 7, 8
"""Syncs: one whose message Slack has something against, and another that fails meanwhile."""


@dataclass(frozen=True, slots=True)
class Story:
    """What Slack has against one message. `harm` is done once it is there, or before, to the channel. `refused`: how
    many requests that may cost. `calls`: whether each opening mentions @here and a person.
    """

    harm: Callable[[SimulatorThread, SlackMessage], None] | None
    refused: int = 1
    calls: bool = False
    broadcasts: bool = True


def _lock(simulator: SimulatorThread, root: SlackMessage) -> None:
    simulator.slack.lock_thread(root.channel, root.ts)


def _forbid_threads(simulator: SimulatorThread, root: SlackMessage) -> None:
    simulator.slack.update_channel(root.channel, threads=False)


def _delete(simulator: SimulatorThread, root: SlackMessage) -> None:
    simulator.slack.delete_message(root.channel, root.ts)


def _refuse_once(word: str, method: str = "chat.postMessage") -> Callable[[SimulatorThread, SlackMessage], None]:
    def refuse(simulator: SimulatorThread, root: SlackMessage) -> None:
        simulator.slack.fault(SlackError(word), method=method, channel=root.channel, times=1)

    return refuse


STORIES: Final = {
    "a locked thread": Story(_lock),
    "no threads": Story(_forbid_threads),
    "deleted": Story(_delete),
    "no reply to that": Story(_refuse_once("cannot_reply_to_message")),
    "no edit any more": Story(_refuse_once("edit_window_closed", "chat.update")),
    "calling all forbidden": Story(None, calls=True, broadcasts=False),
    "both": Story(_lock, refused=2, calls=True, broadcasts=False),
}


class Stories:
    """All of them, a channel and a receiver each; their syncs are the same."""

    def __init__(self, workplace: Workplace, simulator: SimulatorThread) -> None:
        self._workplace, self._simulator, self._slack = workplace, simulator, simulator.slack
        self._slack.add_token(TOKEN)
        self.channel = {name: self._slack.add_channel(f"story-{n}") for n, name in enumerate(STORIES)}
        for name, story in STORIES.items():
            self._slack.update_channel(self.channel[name], broadcasts=story.broadcasts)

    def watchlist(self) -> tuple[list[str], list[str], list[str]]:
        """Lines of its watches, receivers and routes."""
        receivers = []
        for n, (name, story) in enumerate(STORIES.items()):
            calls = ", mentions: ['@here', '<@U0123>']" if story.calls else ""
            api = f"token: {TOKEN}, channel: {self.channel[name]}, api_url: '{self._slack.api_url}'{calls}"
            receivers.append(f"  story{n}: {{type: slack, {api}}}")
        names = ", ".join(f"story{n}" for n in range(len(STORIES)))
        watches = [f"- {{sync: {sync}, checks: {{failing: {{runs: 1}}}}}}" for sync in (HARMED, OTHER)]
        return watches, receivers, [f"- {{events: [incident.*], syncs: [{HARMED}, {OTHER}], receivers: [{names}]}}"]

    def run(self) -> None:
        """The one fails, is harmed and fails again; the other fails; both recover. Raises Failed."""
        self._simulator.add_run(HARMED, status="failed")
        self._wait(lambda told: len(told) >= 1)
        for name, story in STORIES.items():
            if story.harm is not None:
                story.harm(self._simulator, self._slack.messages(self.channel[name])[0])
        again = self._simulator.add_run(HARMED, status="failed")["id"]
        self._wait(lambda told: any(f"run {again}" in each.text for each in told))
        other = self._simulator.add_run(OTHER, status="failed")["id"]
        self._wait(lambda told: any(f"run {other}" in each.text for each in told))
        for sync in (HARMED, OTHER):
            self._simulator.add_run(sync, status="completed")
        self._wait(lambda told: len(_recoveries(told, True)) == 2 and len(_recoveries(told, False)) == 2)

    def judge(self) -> None:
        """Raises Failed."""
        states = {each["name"]: each for each in self._workplace.json("status")["receivers"]}
        for n, (name, story) in enumerate(STORIES.items()):
            told, state = self._slack.messages(self.channel[name]), states[f"story{n}"]
            asked = [each for each in self._slack.requests if each.channel == self.channel[name]]
            refused = [each.answer for each in asked if not each.accepted and each.answer != "ratelimited"]
            evidence = f"{name}: refused {refused}, {state}, told {[each.text for each in told]}"
            must(state["ok"] and not state["pending"] and not state["dead"], evidence)
            must(len(refused) <= story.refused, evidence)
            must(len([each for each in told if each.thread_ts is None and " failing" in each.text]) <= 1, evidence)
            called = [each for each in told if "U0123" in str(each.request.get("blocks"))]
            must(len(called) == (2 if story.calls else 0), evidence)

    def _wait(self, there: Callable[[list[SlackMessage]], Any], seconds: float = 30) -> None:
        """Until it holds in each channel."""
        end = time.monotonic() + seconds
        while left := [name for name, channel in self.channel.items() if not there(self._slack.messages(channel))]:
            if time.monotonic() > end:
                told = {name: [each.text for each in self._slack.messages(self.channel[name])] for name in left}
                fail(f"not in {seconds:g} s: {told}\n{self._workplace.log.read_text()[-2000:]}")
            time.sleep(0.1)


def _recoveries(told: list[SlackMessage], edited: bool) -> list[SlackMessage]:
    """Messages that tell of an end: those that were made to by an edit, or those that were posted for all to see."""
    over = [each for each in told if " recovered" in each.text]  # at once, it says no "after 5 s"
    if edited:
        return [each for each in over if each.edits]
    return [each for each in over if not each.edits and (each.broadcast or each.thread_ts is None)]
