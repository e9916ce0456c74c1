"""Row 10: a canary in every secret, servers that give back what they are sent, and a look at all that was written."""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from asyncio import StreamWriter
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Final

from faults.canaries import NAMES, Canaries
from faults.hostile import Asked, HostileServer, answers, resets, silent
from faults.place import a_workplace
from faults.row import Figures, Row, Size, fail, must
from faults.secret_url import of_a_server
from faults.seen import must_be_sound, running, write
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

CRITERION: Final = (
    "at debug level, whatever servers give back: no twelve characters in a row of any secret, as it is or in base64, "
    "hexadecimal or quoted for a URL, in a log, an output, a page, a metric, the process' arguments, the database or "
    "its WAL, before and after kill -9; of a PostgreSQL URL also in what the server logs and knows of its connections"
)


async def echo(asked: Asked, writer: StreamWriter) -> None:
    """Everything that was sent, in the body and in headers; the status is the number at the end of the path, or 200."""
    tail = asked.target.partition("?")[0].rpartition("/")[2]
    status = int(tail) if tail.isdigit() and len(tail) == 3 else 200
    said = " ".join([asked.target, *asked.headers.values()])
    body = json.dumps({"ok": False, "error": said, "needed": said, "response_metadata": {"messages": [said]}})
    lines = [f"X-Echo: {said}", f"Location: /{said.replace(' ', '')}", f'WWW-Authenticate: Basic realm="{said}"']
    await answers(f"{status} {said}", (body + "\n" + asked.body.decode()).encode(), *lines, close=True)(asked, writer)


class Echoes:
    """Servers that give back what they are sent, drop it, or never answer, by the path."""

    async def __call__(self, asked: Asked, writer: StreamWriter) -> None:
        if "/drop" in asked.target:
            await resets(asked, writer)
        elif "/silent" in asked.target:
            await silent(asked, writer)
        elif "proxied" in asked.target:  # a proxy is asked for the whole URL
            await answers("407 Proxy", asked.raw, "Proxy-Authenticate: Basic", close=True)(asked, writer)
        elif "/refusing/" in asked.target:
            await answers(401, asked.raw, close=True)(asked, writer)
        else:
            await echo(asked, writer)


def run(size: Size) -> Figures:
    """See CRITERION."""
    canaries = Canaries(size.chance(10))
    for planted in (
        canaries.plain["API_KEY"][7:19],
        base64.b64encode(b"a" + canaries.plain["API_KEY"].encode()).decode(),
    ):
        must(canaries.in_(b"see " + planted.encode()), "the search itself finds nothing")
    key = canaries.environment["API_KEY"]
    with (
        SimulatorThread(api_key=key) as simulator,
        HostileServer(Echoes()) as echoes,
        a_workplace() as (workplace, _),
    ):
        return _Trial(workplace, simulator, echoes, canaries, size).run()


class _Trial:
    """The worker, and all that was seen of it."""

    def __init__(
        self,
        workplace: Workplace,
        simulator: SimulatorThread,
        echoes: HostileServer,
        canaries: Canaries,
        size: Size,
    ) -> None:
        self.workplace, self.simulator, self.echoes, self.canaries, self.size = (
            workplace,
            simulator,
            echoes,
            canaries,
            size,
        )
        self.seen: dict[str, bytes] = {}
        self.server = ""
        proxy = echoes.origin.replace("//", f"//{canaries.plain['PROXY_USER']}:{canaries.plain['PROXY_PASSWORD']}@")
        workplace.environment |= canaries.environment | {"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost"}

    def run(self) -> Figures:
        self._watch()
        self._fail_in_every_way()
        self._ask_the_server()
        self._ask_the_commands()
        self.seen["arguments"] = Path(f"/proc/{running(self.workplace).pid}/cmdline").read_bytes()
        self.workplace.kill()
        self._keep_files("after kill -9")
        self._start()
        self.workplace.wait_for_log("notifier started", times=2)
        code = self.workplace.stop()
        must(code == 0, f"the worker ended with {code}")
        self._keep_files("after SIGTERM")
        self._make_mistakes()
        must_be_sound(self.workplace)
        self.seen |= of_a_server(self.canaries, self.size)
        leaks = {name: found for name, content in self.seen.items() if (found := self.canaries.in_(content))}
        must(not leaks, f"secrets: {leaks}")
        must(b"HTTP 404" in self.seen["worker.log after kill -9"], "nothing has failed")
        kilobytes = sum(map(len, self.seen.values())) >> 10
        return {"secrets": len(NAMES), "outputs, pages and files": len(self.seen), "kB searched": kilobytes}

    def _watch(self) -> None:
        origin, slack = self.echoes.origin, self.simulator.slack
        channel = slack.add_channel("data")
        slack.add_token(self.canaries.environment["BOT_TOKEN"])
        slack_hook = slack.webhook_url(slack.add_webhook(channel))
        pace = "poll_interval: 300ms, active_poll_interval: 300ms, max_requests_per_second: 50"
        api = {
            "sound": (self.simulator.base_url, "API_KEY"),
            "echoing": (f"{origin}/api/v1", "ECHOED_KEY"),
            "refusing": (f"{origin}/refusing/api/v1", "REFUSED_KEY"),
            "dropping": (f"{origin}/drop/api/v1", "ECHOED_KEY"),
            "tls": (origin.replace("http:", "https:") + "/api/v1", "ECHOED_KEY"),
            "proxied": ("http://proxied.example/api/v1", "ECHOED_KEY"),
        }
        spaces = [f"  {n}: {{base_url: '{url}', api_key: '${{{key}}}', {pace}}}" for n, (url, key) in api.items()]
        spaces[0] = spaces[0].replace("}", "}", 1)[:-1] + ", lifecycle_webhook: {secret: '${LIFECYCLE}'}}"
        hooks = [f"{origin}/${{HOOK_PATH}}/{code}" for code in (200, 302, 400, 404, 422, 429, 500)]
        hooks += [f"{origin}/${{HOOK_PATH}}/drop?t=${{HOOK_QUERY}}", f"{origin}/${{HOOK_PATH}}/silent"]
        hooks += [
            "http://127.0.0.1:1/${HOOK_PATH}",
            "http://169.254.169.254/${HOOK_PATH}",
            "http://proxied.example/${HOOK_PATH}",
        ]
        hooks += [f"{origin.replace('http:', 'https:')}/${{HOOK_PATH}}", "http://${HOOK_HOST}.invalid/x"]
        signed = "secret: '${WHSEC}', headers: {X-Team: '${HEADER}', Authorization: 'Bearer ${BEARER}'}"
        receivers = [f"  h{n}: {{type: webhook, url: '{url}', {signed}}}" for n, url in enumerate(hooks)]
        ways = {
            "ok": slack.api_url,
            "echo": f"{origin}/api/",
            "drop": f"{origin}/drop/",
            "proxied": "http://proxied.example/api/",
        }
        receivers += [
            f"  s-{n}: {{type: slack, token: '${{BOT_TOKEN}}', channel: {channel}, api_url: '{url}'}}"
            for n, url in ways.items()
        ]
        urls = [slack_hook, *(f"{origin}/services/${{SLACK_PATH}}/{end}" for end in ("200", "400", "404", "drop"))]
        receivers += [f"  w{n}: {{type: slack_webhook, url: '{url}'}}" for n, url in enumerate(urls)]
        write(
            self.workplace,
            "\n".join(
                [
                    "version: 1\ndatabase: sqlite:///n.db",
                    "delivery: {first_retry: 200ms, longest_retry: 500ms, timeout: 2s}",
                    "server: {listen: '127.0.0.1:0', token: '${SERVER_TOKEN}'}",
                    f"heartbeat: {{url: '{origin}/${{HEARTBEAT}}/500', every: 1s}}",
                    "checks: {unreachable: {after: 1s}, reminders: false}",
                    "workspaces:",
                    *spaces,
                    "watches:",
                    *(f"  - {{sync: {n}, workspace: {name}}}" for n, name in enumerate(api, start=1)),
                    "receivers:",
                    *receivers,
                ]
            ),
        )
        self.names = [line.split(":")[0].strip() for line in receivers]
        self.simulator.add_sync(id=1)
        self._start()
        self._wait(lambda: [r.path for r in self.simulator.requests].count("/syncs/1/sync_runs") >= 2, "a baseline")

    def _start(self) -> None:
        self.workplace.start("--log-level", "debug")

    def _wait(self, true: Callable[[], object], what: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                fail(f"{what}: not in {seconds:g} s\n{self.workplace.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def _fail_in_every_way(self) -> None:
        for status in ("failed", "completed"):
            self.simulator.add_run(1, status=status, error_message="see the log")

        def tried() -> bool:
            ways = self.workplace.json("deliveries", "--limit", "100000")
            return {way["receiver"] for way in ways if way["attempts"]} >= set(self.names)

        def told() -> bool:
            return sum(not each["ok"] for each in self.workplace.json("status")["workspaces"]) >= 5

        self._wait(tried, "an attempt to each receiver")
        self._wait(told, "the workspaces' trouble")

    # --- looking ---

    def _ask_the_server(self) -> None:
        started = [line for line in self.workplace.logged() if line["event"] == "notifier started"]
        self.server = f"http://{started[-1]['listen']}"
        token, wrong = self.canaries.plain["SERVER_TOKEN"], self.canaries.plain["SERVER_TOKEN"][:-1]
        paths: list[str] = [
            "/",
            "/healthz",
            "/readyz",
            "/metrics",
            "/api/status",
            "/api/syncs",
            "/api/events",
            "/api/incidents",
        ]
        paths += ["/api/deliveries", "/nowhere", "/api/events?limit=many", "/static/", "/api/deliveries/1/retry"]
        for path in paths:
            for name, given in {"token": token, "wrong": wrong, "none": ""}.items():
                self._ask(path, {"Authorization": f"Bearer {given}"} if given else {}, label=f"{path} {name}")
        body = json.dumps({"event": "sync.failed", "data": {"sync_id": 1}}).encode()
        for name, key in {"fits": self.canaries.plain["LIFECYCLE"], "does not": "other"}.items():
            signature = base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
            self._ask("/webhooks/census/sound", {"X-Signature": signature}, body, label=f"a webhook that {name}")

    def _ask(self, path: str, headers: Mapping[str, str], body: bytes | None = None, *, label: str) -> None:
        request = urllib.request.Request(  # noqa: S310 - our own server's
            self.server + path, data=body, headers=dict(headers)
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                said = f"{answer.status}\n{answer.headers}".encode() + answer.read()
        except urllib.error.HTTPError as error:
            said = f"{error.code}\n{error.headers}".encode() + error.read()
        except (OSError, HTTPException) as error:
            fail(f"{label}: {error!r}")
        self.seen[f"page {label}"] = said

    def _ask_the_commands(self) -> None:
        commands = ["status --json", "events", "deliveries", "send-test h2", "send-test s-echo"]
        if not self.size.short:
            commands += ["status", "events --json", "deliveries --json", "incidents", "syncs", "check", "--help"]
            commands += [
                "incidents --json",
                "check --online",
                "status --healthy",
                "run --help",
                "run",
                *(f"send-test {name}" for name in self.names),
            ]
        for command in commands:
            self._command(command)

    def _command(self, command: str, label: str = "") -> None:
        ended = self.workplace.run(*command.split(), timeout=60)
        self.seen[label or f"notifier {command}"] = (ended.stdout + ended.stderr).encode()

    def _keep_files(self, when: str) -> None:
        """All that the worker wrote: its log, the database and what SQLite keeps beside it."""
        for path in self.workplace.directory.rglob("*"):
            if path.is_file() and path.name != "watchlist.yaml":
                self.seen[f"{path.name} {when}"] = path.read_bytes()
        must(any(name.startswith("n.db ") for name in self.seen), "where is the database?")

    def _make_mistakes(self) -> None:
        """Secrets where they do not belong: what is said of it must not repeat them."""
        good = (self.workplace.directory / "watchlist.yaml").read_text()
        mistakes = {
            "a secret for a number": good.replace("poll_interval: 300ms", "poll_interval: '${API_KEY}'"),
            "a secret for a name": good + "\nroutes: [{receivers: ['${BOT_TOKEN}']}]",
            "a secret for a key": good + "\n'${HEADER}': 1",
            "a short secret": good.replace("${WHSEC}", "${WHSEC}!"),
            "a URL with a password": good.replace("http://127.0.0.1:1/", "http://u:${PROXY_PASSWORD}@127.0.0.1:1/"),
            "a URL that is none": good.replace("http://127.0.0.1:1/", "${HOOK_QUERY}"),
            "a header of two lines": good.replace("'Bearer ${BEARER}'", '"Bearer ${BEARER}\\n"'),
            "a secret for the database": good.replace("sqlite:///n.db", "postgres://u:${PROXY_PASSWORD}@h/d"),
            "a secret for a channel": good.replace("type: slack,", "type: '${BOT_TOKEN}',"),
            "a secret to listen at": good.replace("'127.0.0.1:0'", "'${SERVER_TOKEN}'"),
        }
        for name in list(mistakes)[:: self.size.pick(4, 1)]:
            write(self.workplace, mistakes[name])
            self._command("check", name)
        write(self.workplace, good)


ROW: Final = Row(
    10, "a canary in every secret, and servers that give back what they are sent", CRITERION, run, (900, 1200)
)
