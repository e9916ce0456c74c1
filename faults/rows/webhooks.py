"""Row 7: webhook receivers that refuse, stay silent, never stop, or are not where they should be; and signatures."""

import base64
import hashlib
import hmac
import json
import re
import time
from asyncio import StreamWriter
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from faults.hostile import Asked, HostileServer, Script, answers, drips, gzip_of_zeros, pours, resets, says, silent
from faults.place import a_workplace
from faults.row import Figures, Row, Size, fail, must
from faults.seen import HEAD, must_stop, peak_memory, write
from faults.world import World
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

CRITERION: Final = (
    "each status means what is documented, a retry has the ID and the bytes of the first; one that never answers "
    "delays none of 50; below 200 MB under answers of 1 GB; no connection to a link-local or multicast address, "
    "however it is written; no redirect followed; each signature is right by HMAC alone, in three time zones and while "
    "secrets change"
)
MOST_MEMORY: Final = 200 * 2**20
DEAD: Final = (400, 413, 415, 422)
BROKEN: Final = (*range(300, 400), 401, 403, 404, 405, 410)
OF_INTEREST: Final = (
    *(200, 201, 202, 204, 206, 226, 299, 300, 301, 302, 303, 304, 307, 308, 399, 400, 401, 402, 403, 404, 405, 406),
    *(407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 425, 426, 428, 429, 431, 451, 499),
    *(500, 501, 502, 503, 504, 505, 507, 511, 520, 530, 599),
)
FORBIDDEN: Final = (
    *("169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376"),
    *("169.254.43518", "169.16689662", "169.254.169.254.", "[fe80::1]", "[fe80::a9fe:a9fe%25lo]", "[febf::1]"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:169.254.1.1]", "[::169.254.169.254]"),
    *("[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::1]", "224.0.0.1", "239.255.255.250", "3758096385"),
    *("0xe0000001", "[ff02::1]", "[ff05::1:3]", "[ff0e::1]", "[::ffff:224.0.0.1]", "[64:ff9b::e000:1]"),
    *("169-254-169-254.test", "224-0-0-251.test", "v6-fe80--1.test", "v6-ff02--1.test", "v6---ffff-a9fe-a9fe.test"),
    *("１６９.254.169.254", "169。254。169。254"),
)
ZONES: Final = ("UTC", "America/St_Johns", "Pacific/Kiritimati")
SECRETS: Final = tuple("whsec_" + base64.b64encode(bytes([65 + n]) * 32).decode() for n in range(3))


class Receivers:
    """Every receiver on one socket, by the first part of its path: its script, and how often (None: for ever)."""

    def __init__(self) -> None:
        self.scripts: dict[str, tuple[Script, int | None]] = {}
        self.asked: dict[str, list[Asked]] = defaultdict(list)

    async def __call__(self, asked: Asked, writer: StreamWriter) -> None:
        name = asked.target.split("/")[1]
        self.asked[name].append(asked)
        script, times = self.scripts.get(name, (answers(200), None))
        if times is not None and len(self.asked[name]) > times:
            script = answers(200)
        await script(asked, writer)


@dataclass(frozen=True, slots=True)
class Due:
    """What must have come of two events of one sync: the state of each, and how often it was asked, None for at least
    as often as the fault lasts and once more."""

    states: tuple[str, str]
    asked: int | None
    is_broken: bool = False


def run(size: Size) -> Figures:
    """All parts, and their figures."""
    return {**answers_of_all_kinds(size), **forbidden_addresses(), **signatures(size)}


def start(
    workplace: Workplace, simulator: SimulatorThread, receivers: list[str], *, syncs: int = 1, rest: str = ""
) -> None:
    """Watches so many syncs for these receivers, and has their baseline."""
    space = (
        f"base_url: {simulator.base_url}, api_key: '${{API_KEY}}', poll_interval: 300ms, max_requests_per_second: 100"
    )
    text = [HEAD.replace("longest_retry: 1s", "longest_retry: 1s, timeout: 5s"), f"workspaces: {{w: {{{space}}}}}"]
    write(workplace, "\n".join([*text, "watches: [{syncs: all}]", "receivers:", *receivers, rest]))
    for number in range(1, syncs + 1):
        simulator.add_sync(id=number)
    workplace.start()
    workplace.wait_for_baseline(*range(1, syncs + 1))


# --- what answers mean ---


def all_answers(statuses: tuple[int, ...]) -> dict[str, tuple[Script, int | None, Due]]:
    """By receiver: how it behaves, how often, and what must come of it."""
    found: dict[str, tuple[Script, int | None, Due]] = {}
    for status in statuses:
        script = answers(status, b"" if status in (204, 304) else b"{}", "Location: /elsewhere")
        if 200 <= status < 300:
            found[f"s{status}"] = (script, None, Due(("delivered", "delivered"), 2))
        elif status in DEAD:
            found[f"s{status}"] = (script, 1, Due(("dead", "delivered"), 2))
        elif status in BROKEN:
            found[f"s{status}"] = (script, None, Due(("pending", "pending"), 1, is_broken=True))
        else:
            found[f"s{status}"] = (script, 2, Due(("delivered", "delivered"), 4))
    ok, again = b"HTTP/1.1 200 OK\r\n", Due(("delivered", "delivered"), 4)
    once = Due(("delivered", "delivered"), 2)
    block = b"x" * 65_536
    found |= {
        "gb": (pours(ok + b"Content-Length: 1073741824\r\n\r\n", block, 2**30), None, once),
        "gb-chunked": (
            pours(ok + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + block + b"\r\n", 2**30),
            None,
            once,
        ),
        "gb-till-the-end": (pours(ok + b"\r\n", block, 2**30), None, once),
        "gzip": (answers(200, gzip_of_zeros(300 * 2**20), "Content-Encoding: gzip"), None, once),
        "drip": (drips(ok + b"\r\n", b"x", 0.1), None, once),
        "half": (says(ok + b"Content-Length: 100\r\n\r\nhalf"), None, once),
        "gb-of-500": (pours(b"HTTP/1.1 500 No\r\n\r\n", block, 2**30), 2, again),
        "gb-of-headers": (pours(ok, b"X-A: " + b"x" * 4_000 + b"\r\n", 2**26), None, once),
        "reset": (resets, 2, again),
        "closed": (says(b""), 2, again),
        "nonsense": (says(b"\0\xff\r\n\r\n"), 2, again),
        "switches": (says(b"HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), 2, again),
    }
    return found | odd_answers()


def odd_answers() -> dict[str, tuple[Script, int | None, Due]]:
    """Answers that curl reads, and of which a strict parser sees nothing."""
    ok, once, broken = b"HTTP/1.1 200 OK\r\n", Due(("delivered", "delivered"), 2), Due(("pending", "pending"), 1, True)
    none, length = b"HTTP/1.1 204 No\r\n", b"Content-Length: 2\r\n"
    taken = {
        "odd-204-body": none + length + b"\r\n{}",
        "odd-204-body-without-length": none + b"\r\n{}",
        "odd-204-chunked": none + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "odd-9kb": ok + b"Content-Security-Policy: " + b"x" * 9_000 + b"\r\n" + length + b"\r\n{}",
        "odd-60kb": ok + length + b"Set-Cookie: a=" + b"x" * 60_000 + b"\r\n\r\n{}",
        "odd-600-lines": ok + length + b"".join(b"X-%d: y\r\n" % n for n in range(600)) + b"\r\n{}",
        "odd-length-twice": ok + length * 2 + b"\r\n{}",
        "odd-two-lengths": ok + length + b"Content-Length: 9\r\n\r\n{}",
        "odd-length-and-chunks": ok + length + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "odd-length-of-words": ok + b"Content-Length: many\r\n\r\n{}",
        "odd-blank-before-colon": ok + length + b"X-A : b\r\n\r\n{}",
        "odd-no-name": ok + length + b": b\r\n\r\n{}",
        "odd-no-colon": ok + length + b"nonsense\r\n\r\n{}",
        "odd-stray-cr": ok + length + b"X-A: b\rc\r\n\r\n{}",
        "odd-nul": ok + length + b"X-A: b\0c\r\n\r\n{}",
        "odd-rubbish-behind": ok + length + b"\r\n{}rubbish",
        "odd-hint-before": b"HTTP/1.1 103 Hint\r\nX-A : b\r\n\r\n" + ok + b"X-A : b\r\n" + length + b"\r\n{}",
        "odd-end-within-headers": ok + b"X-A: b\r\nX-",
    }
    refused = {
        "odd-401": b"HTTP/1.1 401 No\r\nX-A: " + b"x" * 9_000 + b"\r\n" + length + b"\r\n{}",
        "odd-410": b"HTTP/1.1 410 Gone\r\nX-A : b\r\n" + length + b"\r\n{}",
    }
    late = b"HTTP/1.1 503 No\r\nX-A : b\r\nRetry-After: 1\r\n" + length + b"\r\n{}"
    return {
        **{name: (says(raw), None, once) for name, raw in taken.items()},
        **{name: (says(raw), None, broken) for name, raw in refused.items()},
        "odd-400": (says(b"HTTP/1.1 400 No\r\nX-A : b\r\n\r\n"), 1, Due(("dead", "delivered"), 2)),
        "odd-503": (says(late), 2, Due(("delivered", "delivered"), 4)),
    }


def answers_of_all_kinds(size: Size) -> Figures:
    """The matrix, the giants, and the silent one among 50."""
    all_of = all_answers(size.pick(OF_INTEREST, tuple(range(200, 600))))
    receivers = Receivers()
    receivers.scripts = {name: (script, times) for name, (script, times, _) in all_of.items()}
    receivers.scripts["silent"] = (silent, None)
    swift = [f"swift{n}" for n in range(50)]
    with a_workplace() as (workplace, simulator), HostileServer(receivers) as server:
        lines = [f"  {name}: {{type: webhook, url: '{server.origin}/{name}'}}" for name in (*all_of, *swift, "silent")]
        start(workplace, simulator, lines)
        first = simulator.add_run(1, status="failed")["id"]
        wait(workplace, lambda: all(receivers.asked[name] for name in (*all_of, "silent")), "the first event", 30)
        second = simulator.add_run(1, status="completed")["id"]

        def over() -> bool:
            counts = (len(receivers.asked[name]) >= (due.asked or 0) for name, (_, _, due) in all_of.items())
            return all(counts) and all(len(receivers.asked[name]) >= 2 for name in swift)

        wait(workplace, over, "all receivers", size.pick(40, 120))
        with_silent = len(receivers.asked["silent"])
        end = time.monotonic() + 20
        while True:  # an answer is given before its outcome is kept
            found = states(workplace, all_of, first, second)
            if all(found[name] == due.states for name, (_, _, due) in all_of.items()) or time.monotonic() > end:
                break
        shown = {each["name"]: each for each in workplace.json("status")["receivers"]}
        peak = peak_memory(workplace)
        for name, (_, _, due) in all_of.items():
            asked = receivers.asked[name]
            evidence = f"{name}: {len(asked)} requests, {found[name]}, status {shown[name]}"
            must(found[name] == due.states, evidence)
            must(len(asked) == due.asked, evidence)
            must(shown[name]["ok"] != due.is_broken, evidence)
            must_repeat(asked, evidence)
        must(with_silent <= 3, f"the silent one was asked {with_silent} times")
        must(shown["silent"]["pending"], "the silent one has taken all")
        must(not receivers.asked["elsewhere"], "a redirect was followed")
        must(peak <= MOST_MEMORY, f"{peak >> 20} MB of memory at the peak")
        must_stop(workplace)
    return {"ways to answer": len(all_of), "beside a silent one": len(swift), "peak MB": peak >> 20}


def states(workplace: Workplace, names: dict[str, Any], first: int, second: int) -> dict[str, tuple[str, str]]:
    """What became of both runs' events in each receiver."""
    events = {event["id"]: event["data"]["sync_run"]["id"] for event in workplace.json("events", "--limit", "1000")}
    ways = workplace.json("deliveries", "--limit", "100000")
    state = {(way["receiver"], events[way["event_id"]]): way["state"] for way in ways}
    return {name: (state[name, first], state[name, second]) for name in names}


def must_repeat(asked: list[Asked], evidence: str) -> None:
    """The same ID, the same bytes."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for request in asked:
        bodies[request.headers["webhook-id"]].add(request.body)
    must(all(len(each) == 1 for each in bodies.values()), f"{evidence}: one ID, several bodies")
    must(len(set().union(*bodies.values())) == len(bodies), f"{evidence}: one body, several IDs")


def wait(workplace: Workplace, true: Any, what: str, seconds: float) -> None:
    """Until it holds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            fail(f"{what}: not in {seconds:g} s\n{workplace.log.read_text()[-3000:]}")
        time.sleep(0.1)


# --- where they are ---


def forbidden_addresses() -> Figures:
    """Link-local and multicast addresses in every notation; the shim hears whoever would connect."""
    with a_workplace() as (workplace, simulator):
        world = World(workplace)
        lines = [f"  r{n}: {{type: webhook, url: 'http://{host}/hook'}}" for n, host in enumerate(FORBIDDEN)]
        write(
            workplace,
            "\n".join([f"{HEAD}workspaces: {{w: {{api_key: k}}}}", "watches: [{syncs: all}]", "receivers:", *lines]),
        )
        refused = {int(n) for n in re.findall(r"receivers\.r(\d+)", workplace.run("check").stderr)}
        lines = [line for n, line in enumerate(lines) if n not in refused]
        # One that may be called shows that the shim hears, and that none is called by mistake.
        lines.append("  open: {type: webhook, url: 'http://198.51.100.7/hook'}")
        lines.append("  named: {type: webhook, url: 'http://203-0-113-9.test/hook'}")
        start(workplace, simulator, lines)
        simulator.add_run(1, status="failed")

        def tried() -> bool:
            return all(way["attempts"] for way in workplace.json("deliveries", "--limit", "1000"))

        wait(workplace, lambda: len(simulator.requests) and workplace.json("deliveries") and tried(), "attempts", 30)
        ways = {way["receiver"]: way for way in workplace.json("deliveries", "--limit", "1000")}
        must_stop(workplace)
        calls = set(world.calls)
        must({"198.51.100.7", "203.0.113.9"} <= calls, f"the shim is deaf: {calls}")
        must(calls == {"198.51.100.7", "203.0.113.9"}, f"called: {calls - {'198.51.100.7', '203.0.113.9'}}")
        for n, host in enumerate(FORBIDDEN):
            way = ways.get(f"r{n}")
            must(way["last_error"] if way else n in refused, f"{host}: {way}")
    return {
        "forbidden addresses": len(FORBIDDEN),
        "of these refused by `check`": len(refused),
    }


# --- signatures ---


def is_signed(asked: Asked, secret: str, now: float) -> bool:
    """Standard Webhooks, by HMAC alone."""
    stamp = asked.headers["webhook-timestamp"]
    content = f"{asked.headers['webhook-id']}.{stamp}.".encode() + asked.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return asked.headers.get("webhook-signature") == expected and abs(now - int(stamp)) < 30


def signatures(size: Size) -> Figures:
    """A worker in each time zone; and one whose secret changes twice while its receiver is away."""
    checked = sum(_in_zone(zone, size.pick(5, 50)) for zone in ZONES)
    return {"signatures": checked + _rotation(), "time zones": len(ZONES)}


def _in_zone(zone: str, number: int) -> int:
    receivers = Receivers()
    with a_workplace() as (workplace, simulator), HostileServer(receivers) as server:
        workplace.environment |= {"TZ": zone, "SECRET": SECRETS[0]}
        start(workplace, simulator, [f"  hook: {{type: webhook, url: '{server.origin}/hook', secret: '${{SECRET}}'}}"])
        for _ in range(number):
            simulator.add_run(1, status="failed", error_message="é \u202e 😀")
        wait(workplace, lambda: len(receivers.asked["hook"]) >= number, f"signatures in {zone}", 30)
        must_stop(workplace)
    bad = [asked for asked in receivers.asked["hook"] if not is_signed(asked, SECRETS[0], time.time())]
    must(not bad, f"{zone}: {len(bad)} signatures are wrong, such as {bad[:1]}")
    return len(receivers.asked["hook"])


def _rotation() -> int:
    """The secret is changed and the worker started anew while messages wait: old ones are signed with the new one."""
    receivers = Receivers()
    receivers.scripts["hook"] = (answers(503), 10**6)
    with a_workplace() as (workplace, simulator), HostileServer(receivers) as server:
        hook = [f"  hook: {{type: webhook, url: '{server.origin}/hook', secret: '${{SECRET}}'}}"]
        workplace.environment["SECRET"] = SECRETS[0]
        start(workplace, simulator, hook)
        runs, borders = [], []
        for secret in SECRETS:
            if workplace.environment["SECRET"] != secret:
                must_stop(workplace)
                borders.append(len(receivers.asked["hook"]))
                workplace.environment["SECRET"] = secret
                workplace.start()
            runs.append(simulator.add_run(1, status="failed")["id"])
            seen = len(receivers.asked["hook"])
            wait(workplace, lambda seen=seen: len(receivers.asked["hook"]) > seen + 1, "a retry", 30)
        receivers.scripts.clear()
        told = set(runs)
        asked = receivers.asked["hook"]

        def all_told() -> bool:
            return told <= {json.loads(each.body)["data"]["sync_run"]["id"] for each in asked}

        wait(workplace, all_told, "all runs", 30)
        must_stop(workplace)
    must_repeat(asked, "while secrets change")
    for place, request in enumerate(asked):
        secret = SECRETS[sum(place >= border for border in borders)]
        must(
            is_signed(request, secret, request.at + time.time() - time.monotonic()),
            f"request {place} is not signed with the secret of its time",
        )
    return len(asked)


ROW: Final = Row(
    7, "webhook receivers of every kind, addresses that must not be called, signatures", CRITERION, run, (900, 1200)
)
