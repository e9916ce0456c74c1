"""Row 6: a Slack that fails in every way that it documents, and in some that it does not.

Each way has a channel and a receiver of its own, and all of them are there at once. Each channel is due two messages:
one that meets the fault, and one after it.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum, auto
from itertools import pairwise
from threading import Event, Thread
from typing import Any, Final

from faults.hostile import HostileServer, answers
from faults.place import a_workplace
from faults.row import Figures, Row, Size, fail, must
from faults.seen import HEAD, must_stop, write
from faults.slack_stories import HARMED, OTHER, STORIES, Stories
from notifier.simulator import (
    Accept,
    Drop,
    RateLimit,
    SimulatorThread,
    SlackError,
    SlackMessage,
    SlackRequest,
    Status,
)
from notifier.simulator.faults import Body, Redirect
from notifier.simulator.slack.faults import SlackFault
from tests.acceptance.workplace import Workplace

CRITERION: Final = (
    "each message is in its channel once and in order, or dead with Slack's word; a wait that was asked for is kept to "
    "the second; a broken receiver is asked once and loses nothing; no redirect is followed; never two posts to a "
    "channel in a second; what was taken and dropped comes again only where the history can't be read; what Slack has "
    "against one message, its thread or its mention keeps neither that incident nor another from its channel"
)
TOKEN: Final = "xoxb-simulated"
BLIND: Final = "xoxb-that-may-not-read"
CASES, DROPPING, PACED = 1, (2, 3), (4, 5, 6)
"""Syncs: one whose runs go to every case, and those of the channels with a story of their own."""


class End(Enum):
    """What must come of the first message."""

    POSTED = auto()
    POSTED_PLAIN = auto()
    DEAD = auto()
    WAITS = auto()  # for longer than a row lasts
    BROKEN = auto()  # until its receiver is mended


@dataclass(frozen=True, slots=True)
class Case:
    """One way to fail, so many times. `wait`: seconds that must pass before the next attempt."""

    fault: SlackFault
    end: End
    times: int | None = 1
    wait: float = 0.0
    webhook: bool = False
    attempts: int | None = None


# docs.slack.dev, chat.postMessage, "Errors"; not read from the notifier's own table, which is on trial.
NOT_PROCESSED: Final = ("ratelimited", "rate_limited", "request_timeout")
SLOWLY: Final = ("message_limit_exceeded", "team_added_to_org", "org_login_required")
AMBIGUOUS: Final = ("internal_error", "fatal_error", "service_unavailable")
BROKEN: Final = (
    *("channel_not_found", "is_archived", "not_in_channel", "invalid_auth", "not_authed", "account_inactive"),
    *("token_revoked", "token_expired", "missing_scope", "no_permission", "not_allowed_token_type", "access_denied"),
    *("accesslimited", "ekm_access_denied", "team_access_not_granted", "enterprise_is_restricted"),
    *("two_factor_setup_required", "restricted_action", "restricted_action_read_only_channel"),
    *("restricted_action_thread_only_channel", "messages_tab_disabled", "team_not_found", "deprecated_endpoint"),
)
REFUSED: Final = (
    *("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text"),
    *("too_many_attachments", "attachment_payload_limit_exceeded", "metadata_too_large", "invalid_metadata_format"),
    *("invalid_metadata_schema", "invalid_arguments", "markdown_text_conflict", "invalid_json", "json_not_object"),
)
HOOK_BROKEN: Final = (
    *("action_prohibited", "no_service", "no_team", "channel_not_found", "channel_is_archived", "invalid_token"),
    "user_not_found",
)
WRONG: Final = {
    "empty": b"",
    "a word": b"ok",
    "a list": b"[]",
    "null": b"null",
    "no ok": b"{}",
    "ok as text": b'{"ok": "true"}',
    "not ok, no word": b'{"ok": false}',
    "half": b'{"ok": true, "ts": "17',
    "HTML": b"<html><body>Please log in</body></html>",
    "broken UTF-8": b'{"ok": true, "ts": "\xff\xfe"}',
    "20 MB": b'{"ok": true, "x": "' + b"x" * (20 * 2**20) + b'"}',
}


def cases(elsewhere: str) -> dict[str, Case]:
    """All of them, by name."""
    soon = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    found: dict[str, Case] = {}
    for text, wait in {"1": 1, "3": 3, "003": 3, " 2 ": 2}.items():
        found[f"429, after {text!r}"] = Case(RateLimit(text), End.POSTED, wait=wait)
    for text in ("1.5", "-5", "", "0", "soon", "1e3", "0x10", "3, 4", past, "Wed, 32 Foo 2026 99:99:99 GMT", "²"):
        found[f"429, after {text!r}"] = Case(RateLimit(text), End.POSTED)
    found["429, no word of when"] = Case(RateLimit(None), End.POSTED)
    for text in ("3600", "99999999999999999999", soon):
        found[f"429, after {text!r}"] = Case(RateLimit(text), End.WAITS, attempts=1)
    found["503, after 2"] = Case(Status(503, b"", {"Retry-After": "2"}), End.POSTED, wait=2)
    found["an error, after 2"] = Case(
        Status(500, b'{"ok":false,"error":"x"}', {"Retry-After": "2"}), End.POSTED, wait=2
    )
    for status in (500, 502, 504, 408, 418):
        found[f"HTTP {status}"] = Case(Status(status, b"<html>"), End.POSTED)
        if status != 418:  # a refusal, which no Slack gives of what it took
            found[f"taken, then HTTP {status}"] = Case(Accept(Status(status, b"<html>")), End.POSTED)
    found["dropped"], found["taken, then dropped"] = Case(Drop(), End.POSTED), Case(Accept(Drop()), End.POSTED)
    for word in NOT_PROCESSED:
        found[word] = Case(SlackError(word), End.POSTED)
    for word in AMBIGUOUS:
        found[word] = Case(SlackError(word), End.POSTED)
    for word in SLOWLY:
        found[word] = Case(SlackError(word), End.WAITS, attempts=1)
    for word in BROKEN:
        found[word] = Case(SlackError(word), End.BROKEN, times=None)
    for word in REFUSED:
        found[word] = Case(SlackError(word), End.POSTED_PLAIN)
        found[f"{word}, and again"] = Case(SlackError(word), End.DEAD, times=2)
    found["a word that nobody knows"] = Case(SlackError("out_of_cheese"), End.DEAD, times=5, attempts=5)
    found["a word of 50 kB"] = Case(SlackError("x" * 50_000), End.DEAD, times=5, attempts=5)
    for status in (401, 403, 404):
        found[f"always HTTP {status}"] = Case(Status(status), End.BROKEN, times=None)
    for status in (301, 302, 303, 307, 308):
        found[f"a redirect, {status}"] = Case(Redirect(elsewhere, status), End.BROKEN, times=None)
    for name, body in WRONG.items():
        found[f"200, {name}"] = Case(Body(body), End.POSTED)
    return found | hook_cases(elsewhere)


def hook_cases(elsewhere: str) -> dict[str, Case]:
    """Those of incoming webhooks, which can't be asked what they took."""
    found = {f"hook: {word}": Case(SlackError(word), End.BROKEN, times=None, webhook=True) for word in HOOK_BROKEN}
    found["hook: invalid_payload"] = Case(SlackError("invalid_payload"), End.POSTED_PLAIN, webhook=True)
    found["hook: invalid_payload, and again"] = Case(SlackError("invalid_payload"), End.DEAD, times=2, webhook=True)
    found["hook: a redirect"] = Case(Redirect(elsewhere), End.BROKEN, times=None, webhook=True)
    for name, body in WRONG.items():
        if name != "a word":
            found[f"hook: 200, {name}"] = Case(Body(body), End.POSTED, webhook=True)
    found["hook: 200, OK"] = Case(Body(b"OK"), End.POSTED, webhook=True)
    found["hook: always 200, OK"] = Case(Body(b"OK"), End.DEAD, times=3, webhook=True, attempts=3)
    found["hook: always 202"] = Case(Status(202, b"accepted"), End.DEAD, times=3, webhook=True, attempts=3)
    found["hook: 429"] = Case(RateLimit("2"), End.POSTED, wait=2, webhook=True)
    found["hook: 500"] = Case(Status(500), End.POSTED, webhook=True)
    found["hook: dropped"] = Case(Drop(), End.POSTED, webhook=True)
    return found


def run(size: Size) -> Figures:
    """See CRITERION."""
    with a_workplace() as (workplace, simulator), HostileServer(answers(200, b'{"ok": true}')) as elsewhere:
        trial = _Trial(workplace, simulator, cases(f"{elsewhere.origin}/api/chat.postMessage"), size)
        figures = trial.run()
        must(not elsewhere.asked, "a redirect was followed")
        return figures


class _Trial:
    """The worker, its Slack and what each channel must hold in the end."""

    def __init__(
        self, workplace: Workplace, simulator: SimulatorThread, all_cases: dict[str, Case], size: Size
    ) -> None:
        self.workplace, self.simulator, self.slack, self.size = workplace, simulator, simulator.slack, size
        self.cases = all_cases
        self.slack.enforce_pace = True
        self.slack.add_token(BLIND, ("chat:write",))
        self.channel = {name: self.slack.add_channel(f"case-{n}") for n, name in enumerate(all_cases)}
        self.method = {True: "incoming_webhook", False: "chat.postMessage"}
        self.dropping = [self.slack.add_channel("seeing"), self.slack.add_channel("blind")]
        self.paced = [self.slack.add_channel(f"paced-{n}") for n in PACED]
        self.stories = Stories(workplace, simulator)
        self.changes = size.pick(10, 167)

    def run(self) -> Figures:
        self._watch()
        for name, case in self.cases.items():
            method = self.method[case.webhook]
            self.slack.fault(case.fault, method=method, channel=self.channel[name], times=case.times)
        first = self.simulator.add_run(CASES, status="failed")["id"]
        drops = self.size.pick(7, 50)
        with self._every_fifth_taken_and_dropped(), ThreadPoolExecutor(1) as beside:
            stories = beside.submit(self.stories.run)
            for n in range(max(self.changes, drops)):
                for sync in (*(PACED if n < self.changes else ()), *(DROPPING if n < drops else ())):
                    self.simulator.add_run(sync, status="failed" if n % 2 else "completed")
            self._wait_for_cases(first)
            second = self.simulator.add_run(CASES, status="completed")["id"]
            self._wait_for_all(first, second, drops)
            stories.result()
        self._judge_cases(first, second)
        self.stories.judge()
        asked_while_broken = len(self.slack.requests)
        self._mend(first, second)
        self._judge_dropping(drops)
        paces = self._judge_pace()
        return {
            "ways to fail": len(self.cases) + len(STORIES),
            "requests": asked_while_broken,
            "messages": len(self.slack.messages()),
            "paced": f"{self.changes * len(PACED)} changes, {paces} s at least between two posts to a channel",
        }

    def _watch(self) -> None:
        api = f"api_url: '{self.slack.api_url}', messages: each"
        receivers, routes = [], []
        for n, (name, case) in enumerate(self.cases.items()):
            channel = self.channel[name]
            if case.webhook:
                url = self.slack.webhook_url(self.slack.add_webhook(channel))
                receivers.append(f"  c{n}: {{type: slack_webhook, url: '{url}'}}")
            else:
                receivers.append(f"  c{n}: {{type: slack, token: {TOKEN}, channel: {channel}, {api}}}")
        names = ", ".join(f"c{n}" for n in range(len(self.cases)))
        routes.append(f"- {{syncs: [{CASES}], receivers: [{names}]}}")
        for sync, channel, token in zip(DROPPING, self.dropping, (TOKEN, BLIND), strict=True):
            receivers.append(f"  s{sync}: {{type: slack, token: {token}, channel: {channel}, {api}}}")
        for sync, channel in zip(PACED, self.paced, strict=True):
            receivers.append(f"  s{sync}: {{type: slack, token: {TOKEN}, channel: {channel}, {api}}}")
        routes += [f"- {{syncs: [{sync}], receivers: [s{sync}]}}" for sync in (*DROPPING, *PACED)]
        space = f"base_url: {self.simulator.base_url}, api_key: '${{API_KEY}}', poll_interval: 300ms"
        watches, more_receivers, more_routes = self.stories.watchlist()
        text = [HEAD, f"workspaces: {{w: {{{space}, max_requests_per_second: 100}}}}"]
        text += ["watches:", "- {syncs: all}", *watches, "receivers:", *receivers, *more_receivers]
        write(self.workplace, "\n".join([*text, "routes:", *routes, *more_routes]))
        self.workplace.start_watching(CASES, *DROPPING, *PACED, HARMED, OTHER)

    # --- waiting ---

    def _messages(self) -> list[SlackMessage]:
        """Those that tell of one run each."""
        stories = set(self.stories.channel.values())
        return [message for message in self.slack.messages() if message.channel not in stories]

    def _requests(self, name: str) -> list[SlackRequest]:
        """The posts that were asked for in the channel of a case."""
        channel = self.channel[name]
        return [r for r in self.slack.requests if r.channel == channel and r.method in self.method.values()]

    def _wait_for_cases(self, first: int) -> None:
        """Until each has come to an end, or to where it stays."""

        def over() -> bool:
            asked: dict[str | None, int] = {}
            for request in self.slack.requests:
                asked[request.channel] = asked.get(request.channel, 0) + 1
            told = {message.channel for message in self._messages() if run_of(message) == first}
            for name, case in self.cases.items():
                channel = self.channel[name]
                done = channel in told if case.end in (End.POSTED, End.POSTED_PLAIN) else bool(asked.get(channel))
                if not done or (case.attempts or 1) > asked.get(channel, 0):
                    return False
            return True

        self._wait(over, 240)

    def _wait_for_all(self, first: int, second: int, drops: int) -> None:
        """Until the second message is where it can be, and the other channels have all that is theirs."""
        free = {self.channel[n] for n, case in self.cases.items() if case.end not in (End.WAITS, End.BROKEN)}
        due = {self.paced[0]: self.changes, self.paced[1]: self.changes, self.paced[2]: self.changes}
        due |= dict.fromkeys(self.dropping, drops)

        def there() -> bool:
            messages = self._messages()
            told = {message.channel for message in messages if run_of(message) == second}
            runs: dict[str, set[int]] = {}
            for message in messages:
                runs.setdefault(message.channel, set()).add(run_of(message))
            return free <= told and all(len(runs.get(channel, ())) >= number for channel, number in due.items())

        self._wait(there, self.size.pick(240, 300))

    def _wait(self, true: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                left = {}
                for name, channel in self.channel.items():
                    told = [run_of(message) for message in self.slack.messages(channel)]
                    left[name] = f"{len(self._requests(name))} asked, told {told}"
                fail(f"not in {seconds:g} s: {left}\n{self.workplace.log.read_text()[-2000:]}")
            time.sleep(0.2)

    # --- judging ---

    def _judge_cases(self, first: int, second: int) -> None:
        state = {
            (way["receiver"], way["event_id"]): way for way in self.workplace.json("deliveries", "--limit", "100000")
        }
        events = {
            event["data"]["sync_run"]["id"]: event["id"] for event in self.workplace.json("events", "--limit", "100000")
        }
        broken = {each["name"]: not each["ok"] for each in self.workplace.json("status")["receivers"]}
        for n, (name, case) in enumerate(self.cases.items()):
            asked, way = self._requests(name), state[f"c{n}", events[first]]
            told = [run_of(message) for message in self.slack.messages(self.channel[name])]
            evidence = f"{name}: {len(asked)} requests, told {told}, {way['state']}, {way['last_error']}"
            want = {End.DEAD: [second], End.WAITS: [], End.BROKEN: []}.get(case.end, [first, second])
            must(told == want, f"{evidence}; wanted {want}")
            must(
                way["state"]
                == {End.DEAD: "dead", End.WAITS: "pending", End.BROKEN: "pending"}.get(case.end, "delivered"),
                evidence,
            )
            must(broken[f"c{n}"] == (case.end is End.BROKEN), f"{evidence}, broken: {broken[f'c{n}']}")
            must(case.end is not End.BROKEN or len(asked) == 1, evidence)
            must(case.attempts is None or len([r for r in asked if not r.accepted]) == case.attempts, evidence)
            must(len(way["last_error"] or "") <= 600, evidence)
            if case.wait:
                gap = asked[1].at - asked[0].at
                must(gap >= case.wait, f"{evidence}; came again after {gap:.2f} s")
            if case.end is End.POSTED_PLAIN:
                must("blocks" in asked[0].arguments and not asked[1].arguments.get("blocks"), evidence)

    def _mend(self, first: int, second: int) -> None:
        """What was broken works again; a restart tries it, and all that waited is told."""
        self.slack.clear_faults()
        must_stop(self.workplace)
        self.workplace.start()
        names = [name for name, case in self.cases.items() if case.end is End.BROKEN]

        def told() -> bool:
            return all(
                [run_of(message) for message in self.slack.messages(self.channel[name])] == [first, second]
                for name in names
            )

        self._wait(told, 30)
        must_stop(self.workplace)

    @contextmanager
    def _every_fifth_taken_and_dropped(self) -> Iterator[None]:
        """After each four messages that a channel took in peace, the next is taken and its connection dropped."""
        over = Event()

        def watch() -> None:
            hung = dict.fromkeys(self.dropping, 0)
            while not over.wait(0.05):
                for channel in self.dropping:
                    taken = sum(r.accepted for r in self.slack.requests if r.channel == channel)
                    if taken >= 5 * hung[channel] + 4:
                        hung[channel] += 1
                        self.slack.fault(Accept(Drop()), channel=channel, times=1)

        thread = Thread(target=watch, name="every fifth", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=10)

    def _judge_dropping(self, drops: int) -> None:
        for channel, sees in zip(self.dropping, (True, False), strict=True):
            told = [run_of(message) for message in self.slack.messages(channel)]
            dropped = sum(r.accepted and r.status is None for r in self.slack.requests if r.channel == channel)
            once = list(dict.fromkeys(told))
            evidence = f"{'seeing' if sees else 'blind'}: {dropped} dropped, told {told}"
            must(dropped >= drops // 5, evidence)
            must(once == sorted(once) and len(once) == drops, evidence)
            must(len(told) - len(once) == (0 if sees else dropped), evidence)

    def _judge_pace(self) -> float:
        least = 1e9
        for channel in self.paced:
            posts = [r for r in self.slack.requests if r.channel == channel and r.method == "chat.postMessage"]
            must({r.status for r in posts} == {200}, f"{channel}: {[r.status for r in posts]}")
            least = min([least, *(after.at - before.at for before, after in pairwise(posts))])
            told = [run_of(message) for message in self.slack.messages(channel)]
            must(told == sorted(set(told)) and len(told) == self.changes, f"{channel}: told {told}")
        must(least >= 1, f"two posts to a channel within {least:.3f} s")
        return round(least, 3)


def run_of(message: SlackMessage) -> int:
    """The run that a message tells of, by its words."""
    found = re.search(r"\brun (\d+)", message.text)
    return int(found[1]) if found else fail(f"a message of no run: {message.text!r}")


ROW: Final = Row(
    6, "Slack fails in every way that it documents, and in some that it does not", CRITERION, run, (900, 1200)
)
