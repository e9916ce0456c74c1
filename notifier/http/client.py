"""What every HTTP client of ours obeys: capped answers, no redirects, refused addresses, proxies, Retry-After."""

import asyncio
import errno
import ipaddress
import os
import socket
import ssl
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote
from urllib.request import getproxies_environment

import aiohttp
from aiohttp.abc import AbstractCookieJar
from yarl import URL

import notifier
from notifier.http.answer import AnswerTooLarge, ForgivingAnswer, LenientConnector, NotHttp
from notifier.http.no_proxy import goes_direct
from notifier.http.unpack import FOREIGN, PACKED, BrokenPack, Unpacker
from notifier.model.errors import ProxyUnusable

USER_AGENT: Final = f"census-notifier/{notifier.__version__}"
LONGEST_HOLD: Final = timedelta(hours=1)
CHUNK: Final = 64 * 1024
REST_TIMEOUT: Final = 2.0  # seconds
_STRICT: Final = range(78, 95)  # X509_V_ERR_* that X509_V_FLAG_X509_STRICT brings, which is Python's default since 3.13
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


class AddressRefused(OSError):
    """The peer's address is link-local (cloud metadata) or multicast."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Of one request; `total` also ends an answer that drips."""

    connect: timedelta
    read: timedelta
    total: timedelta

    def of_aiohttp(self) -> aiohttp.ClientTimeout:
        connect = self.connect.total_seconds()
        return aiohttp.ClientTimeout(
            total=self.total.total_seconds(), sock_connect=connect, sock_read=self.read.total_seconds()
        )


def refuse_address(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """aiohttp's socket factory: sees the final address, of an IP literal and after DNS rebinding too."""
    family, kind, protocol, _, address = info
    ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if any(place.is_link_local or place.is_multicast for place in (ip, _within(ip))):
        raise AddressRefused("link-local and multicast addresses are refused")
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    _keep_alive(made)
    return made


def _keep_alive(made: socket.socket) -> None:
    """A connection that rests between two polls is neither forgotten by a middlebox (the shortest known: 4 min) nor
    taken for alive long after it was.
    """
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):  # seconds, seconds, times
        if hasattr(socket, option):  # not everywhere
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _within(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address to which a gateway, or this machine, would translate an IPv6 one: mapped, compatible, NAT64
    (RFC 6052) or 6to4 (RFC 3056). Else the address itself.
    """
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64 or ip in _COMPATIBLE:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def new_session(
    *,
    timeouts: Timeouts,
    tls: ssl.SSLContext,
    connections: int,
    keep_idle: timedelta,
    per_host: int = 0,
    answers: type[ForgivingAnswer] = ForgivingAnswer,
    middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
) -> aiohttp.ClientSession:
    """A session for the life of its client. `keep_idle` must exceed the time between two requests to a host.

    `answers` and `middlewares` are for clients that are not ours, and can't be told our rules otherwise.
    """
    connector = LenientConnector(
        limit=connections,
        limit_per_host=per_host,
        keepalive_timeout=keep_idle.total_seconds(),
        ssl=tls,
        socket_factory=refuse_address,
        ttl_dns_cache=60,
    )
    jar: AbstractCookieJar = aiohttp.DummyCookieJar()
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeouts.of_aiohttp(),
        cookie_jar=jar,
        trust_env=False,  # would send the credentials of ~/.netrc; proxies are looked up in proxy_for
        auto_decompress=False,  # aiohttp inflates without bound; read_capped does it
        headers={"User-Agent": USER_AGENT},
        skip_auto_headers=("Accept",),
        response_class=answers,
        middlewares=middlewares,
    )


def sending_session(
    timeout: timedelta,
    tls: ssl.SSLContext,
    *,
    answers: type[ForgivingAnswer] = ForgivingAnswer,
    middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
) -> aiohttp.ClientSession:
    """The session of all receivers of one kind. `timeout` is of one request."""
    return new_session(
        timeouts=Timeouts(connect=timeout, read=timeout, total=timeout),
        tls=tls,
        connections=0,  # each receiver bounds its own
        keep_idle=timedelta(seconds=60),
        answers=answers,
        middlewares=middlewares,
    )


def as_written(url: str) -> URL | str:
    """The URL for aiohttp, which would requote it: path and query go out byte for byte, for a signature is over them.

    What is beyond ASCII is percent-encoded as UTF-8. What is no URL stays as it is, for aiohttp to say so.
    """
    try:
        read = URL(url)
        authority = read.raw_authority
    except ValueError:
        return url
    _, _, rest = url.partition("#")[0].partition("://")
    target = rest[len(rest.partition("/")[0].partition("?")[0]) :]
    target = quote(target if target.startswith("/") else f"/{target}", safe=string.punctuation)
    return URL.build(scheme=read.scheme, authority=authority, path=target, encoded=True)  # its query is as good there


def proxy_for(url: str) -> URL | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY (either case) ask for, or None. Raises ProxyUnusable."""
    target = URL(url)
    proxy = getproxies_environment().get(target.scheme)
    if not proxy or target.raw_host is None:
        return None
    if goes_direct(target.raw_host, target.port, os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")):
        return None
    try:
        found = URL(proxy if "://" in proxy else f"http://{proxy}")
    except ValueError:
        found = URL()
    if found.scheme not in ("http", "https") or not found.host:  # it may hold a password, so it is not shown
        raise ProxyUnusable(f"{target.scheme.upper()}_PROXY: must be a URL such as http://proxy.example.com:3128")
    return found


async def read_capped(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, inflated, of at most `most` bytes. Raises AnswerTooLarge, ClientPayloadError for broken gzip."""
    packed = _packing(answer) if "Content-Encoding" in answer.headers else None
    parts: list[bytes] = []
    size = taken = 0
    try:
        while chunk := await answer.content.readany():
            plain = chunk if packed is None else packed.feed(chunk, most - size + 1)
            size += len(plain)
            taken += len(chunk)
            if size > most or taken > most + CHUNK:  # what is packed may be endless and come to nothing
                answer.close()
                raise AnswerTooLarge(f"the answer is larger than {most} bytes")
            parts.append(plain)
        if packed is not None:
            packed.feed_eof()
    except BrokenPack as error:
        raise aiohttp.ClientPayloadError(str(error)) from error
    return b"".join(parts)


def _packing(answer: aiohttp.ClientResponse) -> Unpacker | None:
    lines = answer.headers.getall("Content-Encoding")
    codings = {coding.strip().lower() for line in lines for coding in line.split(",")}
    if foreign := codings & FOREIGN:
        raise aiohttp.ClientPayloadError(f"content encoding {min(foreign)!r} was not asked for")
    return Unpacker() if codings & PACKED else None  # what is neither, such as `utf-8` or `none`, is no coding at all


async def rest_of(answer: aiohttp.ClientResponse) -> bytes | None:
    """The body where the status has said it all: a short one is read so that the connection can be used again, a long,
    slow or broken one closes it and is None.
    """
    try:
        if answer.content.is_eof():  # all of it has come: there is nothing to wait for, and no clock to be set
            return await read_capped(answer, CHUNK)
        async with asyncio.timeout(REST_TIMEOUT):
            return await read_capped(answer, CHUNK)
    except (aiohttp.ClientError, TimeoutError, OSError):
        answer.close()
        return None


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Retry-After in seconds or as an HTTP date; None where absent, unreadable or past. An hour at most."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text[:9]), 10**6))
    else:
        due = _http_date(text)
        if due is None:
            return None
        wait = due - now
    return min(wait, LONGEST_HOLD) if wait > timedelta(0) else None


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The Date header: the server's own clock."""
    return _http_date(headers.get("Date", ""))


@lru_cache(maxsize=16)  # a `Date` has whole seconds: of thousands of answers a minute most say what another said
def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):  # no date, or one beyond what a datetime or its offset holds
        return None


def describe(error: BaseException) -> str:
    """What went wrong on the wire, in words that hold no address: a webhook's URL is a secret."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"no connection: TLS failed: {_certificate_reason(error.certificate_error)}"
        case aiohttp.ClientConnectorSSLError():
            return f"no connection: TLS failed: {_tls_reason(error.os_error)}"
        case aiohttp.ClientConnectorDNSError():
            return "no connection: the host's name can't be resolved"
        case aiohttp.ClientProxyConnectionError():
            return "no connection: the proxy can't be reached"
        case aiohttp.ClientHttpProxyError():
            return f"no connection: the proxy answered HTTP {error.status}"
        case aiohttp.ClientConnectorError():
            cause = error.os_error
            return f"no connection: {cause if isinstance(cause, AddressRefused) else _os_reason(cause)}"
        case asyncio.TimeoutError():
            return "no answer in time"
        case aiohttp.ClientResponseError():  # of CONNECT; those of our own requests are NotHttp
            return "no connection: the proxy's answer can't be read"
        case AnswerTooLarge() | NotHttp():
            return str(error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "the connection was dropped before an answer"
        case aiohttp.ClientPayloadError():
            return "the answer broke off or is not as announced"
        case _:
            return f"the request failed ({type(error).__name__})"


def _certificate_reason(error: Exception) -> str:
    """By OpenSSL's number (x509_vfy.h): its words hold the name that was asked for in case 62 and 64, else no name."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate is not accepted"
    match error.verify_code:
        case 9:
            return "the certificate is not valid yet"
        case 10:
            return "the certificate has expired"
        case 62 | 64:
            return "the certificate is for another name"
        case 18:
            return "the certificate is signed by itself, not by a known authority (SSL_CERT_FILE can name it)"
        case 19 | 20 | 21:
            return "the certificate is not signed by a known authority (SSL_CERT_FILE can name another)"
        case number if number in _STRICT:
            return f"the certificate or its authority's is not as RFC 5280 wants it: {error.verify_message.lower()}"
        case _:
            return f"the certificate is not accepted: {error.verify_message.lower()}"


def _tls_reason(error: OSError) -> str:
    """By OpenSSL's name for it, which holds nothing of the peer's."""
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    match reason:
        case "WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "PACKET_LENGTH_TOO_LONG":
            return "the other side does not speak TLS: should the URL begin with http?"
        case str():
            return reason.lower().replace("_", " ")
        case _:
            return "the other side broke off"


def _os_reason(error: OSError) -> str:
    reasons = {ConnectionRefusedError: "connection refused", TimeoutError: "no answer in time"}
    for kind, reason in reasons.items():
        if isinstance(error, kind):
            return reason
    # Not error.strerror: asyncio writes the address into it.
    number = error.errno or 0
    return os.strerror(number).lower() if number in errno.errorcode else type(error).__name__
