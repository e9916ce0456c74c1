"""What every HTTP client of ours obeys, on real sockets."""

import asyncio
import gzip
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from notifier.http.answer import AnswerTooLarge
from notifier.http.client import (
    AddressRefused,
    Timeouts,
    date_of,
    describe,
    new_session,
    proxy_for,
    read_capped,
    refuse_address,
    retry_after,
)
from notifier.model.errors import ProxyUnusable
from notifier.simulator import Big, CensusSimulator, Drip, GzipBomb, Hang, Redirect, Reset, WebhookSink
from notifier.simulator.wire import gzip_bomb
from tests.builders import NOW

TLS = ssl.create_default_context()
MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def session_of(*, total: float = 5.0, read: float = 5.0) -> aiohttp.ClientSession:
    timeouts = Timeouts(timedelta(seconds=5), timedelta(seconds=read), timedelta(seconds=total))
    return new_session(timeouts=timeouts, tls=TLS, connections=4, keep_idle=timedelta(seconds=60))


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with session_of(total=60, read=60) as made:  # these tests are not about time, and a machine may be busy
        yield made


@pytest_asyncio.fixture
async def census() -> AsyncIterator[tuple[CensusSimulator, str]]:
    simulator = CensusSimulator()
    simulator.add_sync(id=52)
    async with simulator.serve() as base_url:
        yield simulator, base_url + "/syncs"


async def fetch(session: aiohttp.ClientSession, url: str, most: int = MEGABYTE) -> bytes:
    async with session.get(
        url, allow_redirects=False, headers={"Authorization": "Bearer simulated-key", "Accept-Encoding": "gzip"}
    ) as answer:
        return await read_capped(answer, most)


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Gives these bytes to each request, then closes; keeps the heads of the requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", heads


def an_answer(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


# --- capped answers ---


@pytest.mark.asyncio
async def test_a_gzip_bomb_is_refused_without_being_unpacked(
    session: aiohttp.ClientSession, census: tuple[CensusSimulator, str]
) -> None:
    simulator, url = census
    gzip_bomb(300 * MEGABYTE)  # made once, before anything is asked: that takes seconds, and memory
    simulator.fault(GzipBomb(300 * MEGABYTE))
    with pytest.raises(AnswerTooLarge):  # once before measuring: the connection is made
        await fetch(session, url)
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge):
            await fetch(session, url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MEGABYTE


@pytest.mark.asyncio
async def test_an_answer_that_is_too_large_is_refused_and_one_that_just_fits_is_not(
    session: aiohttp.ClientSession, census: tuple[CensusSimulator, str]
) -> None:
    simulator, url = census
    simulator.fault(Big(100_000))
    assert len(await fetch(session, url, 100_000)) == 100_000
    with pytest.raises(AnswerTooLarge):
        await fetch(session, url, 99_999)


@pytest.mark.asyncio
@pytest.mark.parametrize("most", [4_999, 5_000, 5_001])
async def test_the_cap_counts_what_is_unpacked(session: aiohttp.ClientSession, most: int) -> None:
    async with raw_server(an_answer(gzip.compress(b"x" * 5_000), "Content-Encoding: gzip")) as (url, _):
        if most < 5_000:
            with pytest.raises(AnswerTooLarge):
                await fetch(session, url, most)
        else:
            assert await fetch(session, url, most) == b"x" * 5_000


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"plain", ""),
        (b"plain", "Content-Encoding: identity"),
        (gzip.compress(b"plain", mtime=0), "Content-Encoding: gzip"),
        (gzip.compress(b"plain", mtime=0), "Content-Encoding: X-GZip"),
        (zlib.compress(b"plain"), "Content-Encoding: deflate"),
        (zlib.compress(b"plain", wbits=-zlib.MAX_WBITS), "Content-Encoding: deflate"),
        (b"".join(gzip.compress(part, mtime=0) for part in (b"pl", b"", b"ain")), "Content-Encoding: gzip"),
        (gzip.compress(b"plain", mtime=0) + bytes(1_000), "Content-Encoding: gzip"),
        (gzip.compress(b"pl", mtime=0) + bytes(9) + gzip.compress(b"ain", mtime=0), "Content-Encoding: gzip"),
        (gzip.compress(b"plain", mtime=0) + b"\r\n", "Content-Encoding: gzip"),
        (gzip.compress(b"plain", mtime=0), "Content-Encoding: gzip, identity"),
        (gzip.compress(b"plain", mtime=0), "Content-Encoding: identity\r\nContent-Encoding: gzip"),
        (b"plain", "Content-Encoding:"),
        (b"plain", "Content-Encoding: utf-8"),
        (b"plain", "Content-Encoding: none"),
        (b"plain", "Content-Encoding: UTF8, none"),
    ],
)
async def test_plain_and_packed_answers_are_read(session: aiohttp.ClientSession, body: bytes, encoding: str) -> None:
    async with raw_server(an_answer(body, *([encoding] if encoding else []))) as (url, _):
        assert await fetch(session, url) == b"plain"


@pytest.mark.asyncio
async def test_an_empty_answer_that_claims_to_be_packed_is_empty(session: aiohttp.ClientSession) -> None:
    async with raw_server(an_answer(b"", "Content-Encoding: gzip")) as (url, _):
        assert await fetch(session, url) == b""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"no gzip at all", "gzip"),
        (gzip.compress(b"plain" * 100, mtime=0)[:-10], "gzip"),  # broken off
        (gzip.compress(b"plain" * 100, mtime=0)[:-8] + bytes(8), "gzip"),  # a wrong checksum
        (gzip.compress(b"pl", mtime=0) + gzip.compress(b"ain", mtime=0)[:-1], "gzip"),
        (gzip.compress(b"pl", mtime=0) + b"\x1f\x8bnonsense", "gzip"),
        (b"\x1f", "gzip"),
        (b"plain", "br"),
        (b"plain", "zstd"),
        (b"plain", "gzip, gzip"),
    ],
)
async def test_a_body_that_is_not_packed_as_it_says_is_refused(
    session: aiohttp.ClientSession, body: bytes, encoding: str
) -> None:
    async with raw_server(an_answer(body, f"Content-Encoding: {encoding}")) as (url, _):
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetch(session, url)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"{", mtime=0) + gzip.compress(b" " * (64 << 20), mtime=0),  # the bomb comes second
        gzip.compress(b"", mtime=0) * 70_000,
        gzip.compress(b"{}", mtime=0) + bytes(2 * MEGABYTE),
    ],
    ids=["a bomb", "members without end", "zeros without end"],
)
async def test_what_follows_the_first_member_is_capped_too(session: aiohttp.ClientSession, body: bytes) -> None:
    tracemalloc.start()
    try:
        async with raw_server(an_answer(body, "Content-Encoding: gzip")) as (url, _):
            with pytest.raises(aiohttp.ClientPayloadError):
                await fetch(session, url)
        assert tracemalloc.get_traced_memory()[1] < 32 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.asyncio
async def test_an_answer_shorter_than_announced_is_an_error(session: aiohttp.ClientSession) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort") as (url, _):
        with pytest.raises(aiohttp.ClientPayloadError) as raised:
            await fetch(session, url)
    assert describe(raised.value) == "the answer broke off or is not as announced"


# --- time-outs, resets, redirects ---


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [Drip(interval=0.01), Hang()])
async def test_an_answer_that_drips_or_never_comes_ends_by_the_total_time(
    census: tuple[CensusSimulator, str], fault: Drip | Hang
) -> None:
    simulator, url = census
    simulator.fault(fault)
    async with session_of(total=0.15) as session:
        with pytest.raises(TimeoutError) as raised:
            await fetch(session, url)
    assert describe(raised.value) == "no answer in time"


@pytest.mark.asyncio
async def test_a_connection_that_is_reset_is_described_without_its_address(
    session: aiohttp.ClientSession, census: tuple[CensusSimulator, str]
) -> None:
    simulator, url = census
    simulator.fault(Reset())
    with pytest.raises(aiohttp.ClientError) as raised:
        await fetch(session, url)
    assert describe(raised.value) == "the connection was dropped before an answer"


@pytest.mark.asyncio
async def test_a_redirect_comes_back_as_it_is(
    session: aiohttp.ClientSession, census: tuple[CensusSimulator, str]
) -> None:
    simulator, url = census
    simulator.fault(Redirect(url.replace("/syncs", "/elsewhere")))
    async with session.get(url, allow_redirects=False) as answer:
        assert answer.status == 302
    assert [request.path for request in simulator.requests] == ["/syncs"]


@pytest.mark.asyncio
async def test_nobody_listening_is_a_refused_connection(session: aiohttp.ClientSession) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(aiohttp.ClientConnectorError) as raised:
            await fetch(session, f"http://127.0.0.1:{unused.getsockname()[1]}/secret")
    assert describe(raised.value) == "no connection: connection refused"


# --- refused addresses ---

REFUSED = ["169.254.169.254", "169.254.0.1", "224.0.0.1", "239.255.255.250", "[fe80::1]", "[ff02::1]",
           "[::ffff:169.254.169.254]", "[::ffff:224.0.0.1]", "[fe80::1%25lo]", "[64:ff9b::169.254.169.254]",
           "[64:ff9b::224.0.0.1]", "[2002:a9fe:a9fe::1]", "[::169.254.169.254]"]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("host", REFUSED)
async def test_a_link_local_or_multicast_address_is_refused(session: aiohttp.ClientSession, host: str) -> None:
    with pytest.raises(aiohttp.ClientConnectorError) as raised:
        await fetch(session, f"http://{host}:9/latest/meta-data")
    assert isinstance(raised.value.os_error, AddressRefused)
    assert describe(raised.value) == "no connection: link-local and multicast addresses are refused"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "addresses", [["169.254.169.254"], ["fe80::1"], ["::ffff:169.254.169.254"], ["169.254.1.1", "ff02::1"]]
)
async def test_a_name_that_leads_to_a_refused_address_is_refused(
    session: aiohttp.ClientSession, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def getaddrinfo(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 1 if address.startswith("fe80") else 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(aiohttp.ClientConnectorError) as raised:
        await fetch(session, "http://metadata.example:9/secret")
    assert describe(raised.value) == "no connection: link-local and multicast addresses are refused"


def test_a_connection_that_rests_is_kept_alive_by_the_system() -> None:
    with refuse_address((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        assert idle <= 60, "a middlebox may forget a connection after four minutes, and some do after one"


@pytest.mark.asyncio
async def test_a_private_address_is_fine(session: aiohttp.ClientSession, census: tuple[CensusSimulator, str]) -> None:
    _, url = census
    assert url.startswith("http://127.0.0.1:")
    assert b"success" in await fetch(session, url)


# --- proxies and .netrc ---


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "https://api.example/x", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://api.example/x", "http://p:3128"),
        ({"https_proxy": "http://p:3128"}, "https://api.example/x", "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "https://api.example/x", "http://p:3128"),
        ({"HTTPS_PROXY": ""}, "https://api.example/x", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://api.example/x", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://api.example/x", "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "https://api.example/x", None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "api.example"}, "https://api.example/x", None),
        ({"HTTPS_PROXY": "http://p:3128", "no_proxy": "other, .example"}, "https://api.example/x", None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "example"}, "https://api.example/x", None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "*"}, "https://api.example/x", None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "pi.example"}, "https://api.example/x", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "other"}, "https://api.example/x", "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "127.0.0.1"}, "http://127.0.0.1:8700/x", None),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "127.0.0.1:8700"}, "http://127.0.0.1:8700/x", None),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "127.0.0.1:8701"}, "http://127.0.0.1:8700/x", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "api.example:443"}, "https://api.example/x", None),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "::1"}, "http://[::1]:8700/x", None),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "[::1]"}, "http://[::1]:8700/x", None),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3/hook", None),
        ({"HTTP_PROXY": "http://p:3128", "no_proxy": "10.0.0.0/8"}, "http://10.1.2.3/hook", None),
        ({"HTTP_PROXY": "http://p:3128", "no_proxy": "", "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3/hook", None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "xn--bcher-kva.example"}, "https://bücher.example/x", None),
    ],
)  # fmt: skip
def test_the_environment_names_the_proxy(
    environment: dict[str, str], url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == (None if expected is None else URL(expected))


@pytest.mark.asyncio
async def test_the_credentials_of_a_netrc_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hunter2\ndefault login someone password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    sink = WebhookSink()
    async with sink.serve() as url, session_of() as session, session.post(url, data=b"x") as answer:
        assert answer.status == 200
    assert "Authorization" not in sink.received[0].headers


@pytest.mark.asyncio
async def test_a_session_says_who_it_is_and_keeps_no_cookies(session: aiohttp.ClientSession) -> None:
    async with raw_server(an_answer(b"", "Set-Cookie: a=b; Path=/", "Connection: close")) as (url, heads):
        await fetch(session, url)
        await fetch(session, url)
    assert len(heads) == 2
    assert all(b"User-Agent: census-notifier/" in head for head in heads)
    assert not any(b"\r\ncookie:" in head.lower() for head in heads)


# --- Retry-After and Date ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("120", 120),
        (" 120 ", 120),
        ("007", 7),
        ("3600", 3_600),
        ("3601", 3_600),
        ("9" * 400, 3_600),
        ("Mon, 23 Nov 2026 10:20:30 GMT", 299.877),  # NOW is 10:15:30.123
        ("Monday, 23-Nov-26 10:20:30 GMT", 299.877),
        ("Mon Nov 23 10:20:30 2026", 299.877),
        ("Mon, 23 Nov 2026 12:20:30 +0200", 299.877),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
        ("Mon, 23 Nov 2026 10:15:30 GMT", None),
        ("Mon, 23 Nov 2020 10:15:30 GMT", None),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("+5", None),
        ("١٢", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("5, 10", None),
        ("Mon, 99 Nov 2026 10:20:30 GMT", None),
        ("Mon, 23 Nov 2026 10:20:30 +99999999999999999999", None),
        ("Mon, 23 Nov 99999999999999999999 10:20:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_an_hour_at_most(text: str, seconds: float | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after({"Retry-After": text}, NOW) == expected


def test_no_retry_after_is_none() -> None:
    assert retry_after({}, NOW) is None


DATE_LIKE = st.lists(
    st.sampled_from(
        ["Mon,", "23", "Nov", "2026", "10:15:30", "GMT", "+2359", "-2359", "9999", "31", "Dec", "0", "-", ":", ","]
    )
    | st.text("0123456789:+-, ", max_size=25),
    max_size=7,
).map(" ".join)


@given(DATE_LIKE | st.text(max_size=30))
def test_any_text_is_a_wait_within_the_hour_or_none(text: str) -> None:
    wait = retry_after({"Retry-After": text}, NOW)
    assert wait is None or timedelta(0) < wait <= timedelta(hours=1)


@given(DATE_LIKE | st.text(max_size=30))
def test_any_date_is_a_time_in_utc_or_none(text: str) -> None:
    date = date_of({"Date": text})
    assert date is None or date.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 23 Nov 2026 10:15:30 GMT", datetime(2026, 11, 23, 10, 15, 30, tzinfo=UTC)),
        ("Mon, 23 Nov 2026 12:15:30 +0200", datetime(2026, 11, 23, 10, 15, 30, tzinfo=UTC)),
        ("Fri, 31 Dec 9999 23:00:00 -2300", None),
        ("Mon, 23 Nov 99999999999999999999 10:15:30 GMT", None),
        ("now", None),
        ("", None),
    ],
)
def test_the_servers_clock_is_read_where_it_can_be(text: str, expected: datetime | None) -> None:
    assert date_of({"Date": text}) == expected


# --- words for what went wrong ---

KEY = aiohttp.client_reqrep.ConnectionKey("secret.example", 443, True, True, None, None, None)
REQUEST = aiohttp.RequestInfo(URL("https://secret.example/hook"), "POST", {}, URL("https://secret.example/hook"))  # type: ignore[arg-type]


def tls(number: int, words: str = "secret.example") -> Callable[[], Exception]:
    """A certificate that OpenSSL refuses for this reason."""
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {words}")
    error.verify_code, error.verify_message = number, words
    return lambda: aiohttp.ClientConnectorCertificateError(KEY, error)


def broken_tls(reason: str) -> Callable[[], Exception]:
    """A handshake that OpenSSL gives up for this reason."""
    error = ssl.SSLError(1, "secret.example")
    error.reason = reason
    return lambda: aiohttp.ClientConnectorSSLError(KEY, error)


def connector(cause: OSError) -> Callable[[], Exception]:
    return lambda: aiohttp.ClientConnectorError(KEY, cause)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            connector(ConnectionRefusedError(111, "Connect call failed ('203.0.113.7', 443)")),
            "no connection: connection refused",
        ),
        (connector(OSError(101, "Connect call failed ('203.0.113.7', 443)")), "no connection: network is unreachable"),
        (
            connector(OSError(113, "Multiple exceptions: [Errno 113] ('203.0.113.7', 443), …")),
            "no connection: no route to host",
        ),
        (connector(OSError("Multiple exceptions: 203.0.113.7, secret.example")), "no connection: OSError"),
        (connector(OSError(2, "No such file", "/secret.example")), "no connection: no such file or directory"),
        (connector(OSError(99_999, "secret.example")), "no connection: OSError"),
        (connector(TimeoutError(110, "203.0.113.7")), "no connection: no answer in time"),
        (
            lambda: aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")),
            "no connection: the host's name can't be resolved",
        ),
        (tls(10), "no connection: TLS failed: the certificate has expired"),
        (tls(9), "no connection: TLS failed: the certificate is not valid yet"),
        (tls(62), "no connection: TLS failed: the certificate is for another name"),
        (tls(64), "no connection: TLS failed: the certificate is for another name"),
        (
            tls(20),
            "no connection: TLS failed: the certificate is not signed by a known authority "
            "(SSL_CERT_FILE can name another)",
        ),
        (
            tls(18),
            "no connection: TLS failed: the certificate is signed by itself, not by a known authority "
            "(SSL_CERT_FILE can name it)",
        ),
        (
            tls(85, "Missing Authority Key Identifier"),
            "no connection: TLS failed: the certificate or its authority's is not as RFC 5280 wants it: "
            "missing authority key identifier",
        ),
        (
            tls(23, "certificate revoked"),
            "no connection: TLS failed: the certificate is not accepted: certificate revoked",
        ),
        (
            lambda: aiohttp.ClientConnectorCertificateError(KEY, ValueError("secret.example")),
            "no connection: TLS failed: the certificate is not accepted",
        ),
        (
            lambda: aiohttp.ClientConnectorSSLError(KEY, OSError(1, "secret.example")),
            "no connection: TLS failed: the other side broke off",
        ),
        (
            broken_tls("TLSV1_ALERT_PROTOCOL_VERSION"),
            "no connection: TLS failed: tlsv1 alert protocol version",
        ),
        (
            broken_tls("WRONG_VERSION_NUMBER"),
            "no connection: TLS failed: the other side does not speak TLS: should the URL begin with http?",
        ),
        (
            lambda: aiohttp.ClientProxyConnectionError(KEY, OSError(111, "203.0.113.7")),
            "no connection: the proxy can't be reached",
        ),
        (
            lambda: aiohttp.ClientHttpProxyError(REQUEST, (), status=407, message="secret.example"),
            "no connection: the proxy answered HTTP 407",
        ),
        (
            lambda: aiohttp.ClientResponseError(REQUEST, (), status=400, message="secret.example"),
            "no connection: the proxy's answer can't be read",
        ),
        (lambda: aiohttp.ServerTimeoutError("secret.example"), "no answer in time"),
        (TimeoutError, "no answer in time"),
        (lambda: aiohttp.ServerDisconnectedError("secret.example"), "the connection was dropped before an answer"),
        (lambda: aiohttp.ClientOSError(104, "203.0.113.7"), "the connection was dropped before an answer"),
        (lambda: aiohttp.ClientPayloadError("secret.example"), "the answer broke off or is not as announced"),
        (lambda: aiohttp.InvalidURL("https://secret.example"), "the request failed (InvalidURL)"),
        (lambda: ValueError("https://secret.example"), "the request failed (ValueError)"),
    ],
)
def test_what_went_wrong_is_said_without_a_host_or_url(make: Callable[[], Exception], expected: str) -> None:
    said = describe(make())
    assert said == expected
    assert "secret" not in said
    assert "203.0.113" not in said


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://", "http://user:hush@host:99999"])
def test_a_proxy_that_is_none_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(ProxyUnusable, match="HTTPS_PROXY") as caught:
        proxy_for("https://example.com/x")
    assert "hush" not in str(caught.value)
    assert "1080" not in str(caught.value)
