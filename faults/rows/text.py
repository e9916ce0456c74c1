"""Row 8: labels and errors that were written to break a message, through the worker into Slack."""

import re
import time
from asyncio import StreamWriter
from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any, Final

from faults.block_rules import problems
from faults.database import look
from faults.hostile import Asked, HostileServer, answers, fetched
from faults.place import a_workplace
from faults.row import Figures, Row, Size, fail, must
from faults.seen import must_stop, write
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

CRITERION: Final = (
    "every event arrives in its channel at the first attempt, in order; no message mentions anybody, links anywhere "
    "but to Census, holds a character that turns or breaks its lines, what is left of a terminal's sequence or blank "
    "lines in a row, or comes near a limit of Slack's; `status`, `events`, `deliveries` and `incidents` show it all "
    "without a traceback, a control character or what is left of a sequence"
)
HALF: Final = "\uf8ff"
"""Stands for half of a surrogate pair until it is on the wire: Python's JSON would not write that."""
PIECES: Final = (
    *(
        "<!channel>",
        "<!here>",
        "<!everyone>",
        "<@U0123ABCD>",
        "<#C0123ABCD>",
        "<!subteam^S0123ABCD>",
        "@here",
        "@channel",
    ),
    *(
        "<https://evil.example|click>",
        "https://evil.example/?a=b&c",
        "evil.example",
        "mailto:a@evil.example",
        "<tel:1|x>",
    ),
    *(
        "*bold*",
        "_it_",
        "~no~",
        "`code`",
        "```\nblock\n```",
        "> quote",
        "- list",
        "1. one",
        "# head",
        "[a](https://b.c)",
    ),
    *(
        "&",
        "&amp;",
        "&lt;!channel&gt;",
        "&#60;",
        "<",
        ">",
        "|",
        "^",
        "<!date^1^{date}|x>",
        "{date}",
        "{{x}}",
        "${HOME}",
    ),
    *(
        "\u202e",
        "\u202d",
        "\u2066",
        "\u2067",
        "\u2069",
        "\u200f",
        "\u061c",
        "مرحبا",
        "שלום",
        "\ufeff",
        "\u200b",
        "\u200d",
    ),
    *(
        "\0",
        "\x07",
        "\x1b[31m",
        "\x1b[1;38;5;196m",
        "\x9b0;1m",
        "\x1b[?25l",
        "\x1b]0;UNSEEN\x07",
        "\x1b]8;;https://evil.example/UNSEEN\x1b\\",
        "\x9d0;UNSEEN\x9c",
        "\x1bPUNSEEN\x1b\\",
        "\x1b(B",
        "\x1bc",
        "\r",
        "\n",
        "\n\n\n",
        "\r\n",
        "\t",
        "\x0b",
        "\x0c",
        "\x7f",
        "\x85",
        "\x9b",
        "\u2028",
    ),
    *(
        "\u2029",
        HALF,
        HALF * 3,
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "👨‍👩‍👧‍👦",
        "🏳️‍🌈",
        ":smile:",
    ),
    *(
        "e\u0301" * 20,
        "Z" + "\u0335\u0321\u035b" * 30,
        "\uffff",
        "\U0010ffff",
        "\U000e0041",
        "\ufffc",
        "ﷺ",
        "𝒳",
        "\\",
        '"',
    ),
    *(
        "'",
        "''",
        "; DROP TABLE events;--",
        "%s%n%x",
        "%(x)s",
        "{0.__class__}",
        "../../etc/passwd",
        " ",
        "   ",
        "null",
        "None",
    ),
    *(
        "true",
        "NaN",
        "0",
        "-1",
        "1e999",
        "\\u0000",
        "\\ud800",
        "\\n",
        "=cmd|' /C calc'!A0",
        "<script>alert(1)</script>",
    ),
)
KINDS: Final = ("each", "webhook", "incidents", "living")


def text(chance: Random, most: int) -> str:
    """A text from hell of whole pieces; one in twelve is of 50 kB, or of `most` where that is less."""
    pieces = [chance.choice(PIECES) for _ in range(chance.randint(1, 12))]
    pieces += [
        chr(chance.choice((chance.randrange(0x20, 0xD800), chance.randrange(0xE000, 0x110000)))) for _ in range(4)
    ]
    chance.shuffle(pieces)
    while len(whole := "".join(pieces)) > most:
        pieces.pop()
    return whole * (most // len(whole)) if chance.random() < 1 / 12 else whole


def fields(chance: Random) -> dict[str, Any]:
    """What a run says of itself."""
    names = [name for name in ("error_code", "error_message", "error_detail") if chance.random() < 0.8]
    found: dict[str, Any] = {name: text(chance, 50_000) for name in names}
    trigger = text(chance, 2_000)
    found["sync_trigger_reason"] = chance.choice((trigger, {"ui_tag": trigger, "ui_detail": text(chance, 2_000)}, None))
    if chance.random() < 0.1:
        found["status"] = text(chance, 300).strip() or "odd"
    return found


def run(size: Size) -> Figures:
    """See CRITERION."""
    with a_workplace() as (workplace, simulator):
        upstream = simulator.base_url.removesuffix("/api/v1")

        async def front(asked: Asked, writer: StreamWriter) -> None:
            body = await fetched(upstream, asked.target, asked.headers)
            await answers(200, body.replace(HALF.encode(), b"\\ud83d"))(asked, writer)

        with HostileServer(front) as server:
            return _Trial(workplace, simulator, server.origin, size).run()


class _Trial:
    """So many channels, each with a sync of its own, for Slack's pace is a message a second to each."""

    def __init__(self, workplace: Workplace, simulator: SimulatorThread, front: str, size: Size) -> None:
        self.workplace, self.simulator, self.slack, self.front = workplace, simulator, simulator.slack, front
        self.database = workplace.directory / "n.db"
        self.chance = size.chance(8)
        self.rounds = size.pick(3, 25)
        self.channels = {number: self.slack.add_channel(f"c{number}") for number in range(1, size.pick(60, 200) + 1)}
        self.events = self.rounds * len(self.channels)

    def run(self) -> Figures:
        self._watch()
        for turn in range(self.rounds):
            for number in self.channels:
                status = "completed" if turn % 5 == 4 else "failed"
                self.simulator.add_run(number, **{"status": status, **fields(self.chance)})
            self._wait_for_events(len(self.channels) * (turn + 1))
        self._wait_for_deliveries()
        self._judge_commands()
        must_stop(self.workplace)
        return {**self._judge_messages(), "events": self.events, "channels": len(self.channels)}

    def _watch(self) -> None:
        for number in self.channels:
            label = text(self.chance, 50_000 if number % 20 == 0 else 300)
            self.simulator.add_sync(id=number, label=label or None)
        lines = [f"  w: {{base_url: '{self.front}/api/v1', api_key: '${{API_KEY}}', poll_interval: 1s, "]
        lines[0] += "active_poll_interval: 1s, max_requests_per_second: 200}"
        receivers, routes, watches = [], [], []
        api = f"type: slack, api_url: '{self.slack.api_url}'"
        off = "{failing: false, rejected_records: false, reminders: false}"
        on = "{failing: {runs: 1, of: 1}, rejected_records: false, reminders: false}"
        for number, channel in self.channels.items():
            kind = KINDS[number % len(KINDS)]
            checks = off if kind in ("each", "webhook") else on
            watches.append(f"  - {{sync: {number}, checks: {checks}, labels: {{team: 'a *b* <!here> \\u202e'}}}}")
            routes.append(f"  - {{syncs: [{number}], receivers: [c{number}]}}")
            if kind == "webhook":
                url = self.slack.webhook_url(self.slack.add_webhook(channel))
                receivers.append(f"  c{number}: {{type: slack_webhook, url: '{url}'}}")
            else:
                token, messages = f"xoxb-token-of-{number:08d}", "living" if kind == "living" else "each"
                self.slack.add_token(token)  # edits have a pace by token
                receivers.append(f"  c{number}: {{{api}, token: {token}, channel: {channel}, messages: {messages}}}")
        parts = ["version: 1\ndatabase: sqlite:///n.db", "checks: {unreachable: false}", "workspaces:", *lines]
        write(self.workplace, "\n".join([*parts, "watches:", *watches, "receivers:", *receivers, "routes:", *routes]))
        self.workplace.start()
        self.workplace.wait_for_baseline(*self.channels)

    def _wait_for_events(self, number: int) -> None:
        query = "SELECT count(*) FROM events WHERE type LIKE 'sync_run.%'"
        wait(self.workplace, lambda: look(self.database, query)[0][0] >= number, f"{number} events", 240)

    def _wait_for_deliveries(self) -> None:
        query = "SELECT count(*) FROM deliveries WHERE state = ?"
        wait(self.workplace, lambda: look(self.database, query, "pending")[0][0] == 0, "deliveries", 240)
        must(look(self.database, query, "dead")[0][0] == 0, "some deliveries are dead")

    def _judge_messages(self) -> Figures:
        requests = [
            r for r in self.slack.requests if r.method in ("chat.postMessage", "chat.update", "incoming_webhook")
        ]
        refused = Counter(str(request.answer) for request in requests if not request.accepted)
        must(not refused, f"Slack refused: {refused}")
        wrong: dict[str, int] = Counter()
        for request in requests:
            for problem in problems(request.arguments, self.front, is_edit=request.method == "chat.update"):
                wrong[problem] += 1
        must(not wrong, f"wrong in messages: {list(wrong.items())[:10]}")
        for number, channel in self.channels.items():
            messages = self.slack.messages(channel)
            must(
                len(messages) >= (1 if KINDS[number % 4] == "living" else self.rounds),
                f"{channel}: {len(messages)} messages",
            )
            stamps = [message.at for message in messages]
            must(all(after > before for before, after in pairwise(stamps)), f"{channel} is out of order")
        attempts = Counter(way["attempts"] for way in self.workplace.json("deliveries", "--limit", "100000"))
        must(set(attempts) <= {1}, f"attempts: {attempts}")
        return {"messages and edits": len(requests), "deliveries": sum(attempts.values())}

    def _judge_commands(self) -> None:
        commands = (("status",), ("events", "--limit", "100000"), ("deliveries",), ("incidents", "--all"), ("syncs",))
        for command in commands:
            ended = self.workplace.run(*command)
            must(ended.returncode == 0, f"{command}: {ended.stderr[-500:]}")
            odd = {c for c in ended.stdout if not c.isprintable() and c != "\n"} - set("\u200b\u200d\u200f\u061c")
            must(
                not {c for c in odd if c < " " or "\x7f" <= c < "\xa0" or c in "\u202e\u202d\u2066\u2067\u2069"},
                f"{command} writes {odd}",
            )
            left = re.search(r"\[\d*(?:;\d+)*m|\[\?25l|UNSEEN", ended.stdout)
            must(left is None, f"{command} writes what is left of a sequence: {left}")


def wait(workplace: Workplace, true: Any, what: str, seconds: float) -> None:
    """Until it holds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            fail(f"{what}: not in {seconds:g} s\n{workplace.log.read_text()[-3000:]}")
        time.sleep(0.3)


ROW: Final = Row(8, "5,000 labels and errors that were written to break a message", CRITERION, run, (900, 1200))
