"""What is said of a TLS connection that fails: real handshakes with certificates that openssl makes."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import uvloop

from notifier.http.client import sending_session
from notifier.model.delivery import Delivered, Outcome, Retry
from notifier.receivers.webhook import WebhookSender
from tests.builders import a_message, a_webhook
from tests.integration.receivers.desk import without_proxies

WAIT: Final = timedelta(seconds=10)
OK: Final = b"HTTP/1.1 204 No\r\nX-A : odd\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
AUTHORITY: Final = """[req]
distinguished_name=dn
prompt=no
x509_extensions=v
[dn]
CN=An authority of these tests
[v]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier={identifier}
[ca]
default_ca=c
[c]
database=index
unique_subject=no
new_certs_dir=.
rand_serial=yes
default_md=sha256
policy=p
[p]
CN=optional
"""
KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


class Authority:
    """A certificate authority in a directory."""

    def __init__(self, place: Path, *, identifier: str = "hash") -> None:
        self._place = place
        self._identified = "keyid" if identifier == "hash" else "none"
        place.mkdir()
        (place / "index").touch()
        (place / "config").write_text(AUTHORITY.format(identifier=identifier))
        self._openssl("req", "-x509", *KEY, "-days", "3650", "-config", "config", "-keyout", "ca.key", "-out", "ca.pem")

    @property
    def certificate(self) -> Path:
        return self._place / "ca.pem"

    def server(self, *, name: str = "localhost", start: str = "20200101", end: str = "20990101") -> ssl.SSLContext:
        """A server with a certificate for this name and time."""
        (self._place / "extensions").write_text(
            f"subjectAltName=DNS:{name}\nauthorityKeyIdentifier={self._identified}\n"
        )
        self._openssl("req", *KEY, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
        lifetime = ("-startdate", f"{start}000000Z", "-enddate", f"{end}000000Z", "-extfile", "extensions")
        files = ("-in", "server.csr", "-cert", "ca.pem", "-keyfile", "ca.key", "-out", "server.pem")
        self._openssl("ca", "-batch", "-notext", "-config", "config", *lifetime, *files)
        return self._context("server")

    def itself(self) -> ssl.SSLContext:
        """A server that shows the authority's own certificate."""
        return self._context("ca")

    def _context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._place / f"{name}.pem", self._place / f"{name}.key")
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._place, check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@asynccontextmanager
async def answering(tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """The address of a server that takes every request, whatever it is; over TLS or not."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/hook"


async def sent(tls: ssl.SSLContext | None, trusted: Authority | None, *, strict: bool = False) -> Outcome:
    client = ssl.create_default_context()
    if trusted is not None:
        client.load_verify_locations(trusted.certificate)
    if strict:
        client.verify_flags |= ssl.VERIFY_X509_STRICT  # as by default since Python 3.13
    async with answering(tls) as url, sending_session(WAIT, client) as session:
        return await WebhookSender("pipeline", a_webhook(url), session).send(a_message())


def failed(why: str) -> Retry:
    return Retry(f"no connection: TLS failed: {why}")


@pytest.mark.asyncio
async def test_an_answer_over_tls_is_read_as_widely_as_any(authority: Authority) -> None:
    assert isinstance(await sent(authority.server(), authority), Delivered)


@asynccontextmanager
async def tunnelling(says: bytes) -> AsyncIterator[str]:
    """The address of a proxy that says this to CONNECT and hands on what follows."""
    tunnels: set[asyncio.Task[None]] = set()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].rpartition(b":")
        onward, back = await asyncio.open_connection(host.decode(), int(port))
        writer.write(says)
        await asyncio.gather(hand_on(reader, back), hand_on(onward, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnels.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*tunnels)  # both ends are gone by now


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("lines", [b"", b"X-A : b\r\n", b"X-A: " + b"x" * 20_000 + b"\r\n"])
def test_a_tunnel_opens_whatever_the_proxys_headers_are(
    authority: Authority,
    lines: bytes,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> Outcome:
        async with tunnelling(b"HTTP/1.1 200 Connection established\r\n" + lines + b"\r\n") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            return await sent(authority.server(), authority)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert isinstance(runner.run(story()), Delivered)


@pytest.mark.asyncio
async def test_a_certificate_that_is_over_or_not_begun_is_told_as_such(authority: Authority) -> None:
    assert await sent(authority.server(end="20210101"), authority) == failed("the certificate has expired")
    assert await sent(authority.server(start="20980101"), authority) == failed("the certificate is not valid yet")


@pytest.mark.asyncio
async def test_a_certificate_for_another_name_is_told_without_either_name(authority: Authority) -> None:
    outcome = await sent(authority.server(name="secret.example"), authority)
    assert outcome == failed("the certificate is for another name")


@pytest.mark.asyncio
async def test_an_authority_that_is_not_known_is_told_with_the_remedy(authority: Authority) -> None:
    assert await sent(authority.server(), None) == failed(
        "the certificate is not signed by a known authority (SSL_CERT_FILE can name another)"
    )
    assert await sent(authority.itself(), None) == failed(
        "the certificate is signed by itself, not by a known authority (SSL_CERT_FILE can name it)"
    )


@pytest.mark.asyncio
async def test_ssl_cert_file_is_the_remedy(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert isinstance(await sent(authority.server(), None), Delivered)


@pytest.mark.asyncio
async def test_what_python_3_13_wants_of_an_authority_is_said(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "terse", identifier="none")
    outcome = await sent(authority.server(), authority, strict=True)
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith(
        "no connection: TLS failed: the certificate or its authority's is not as RFC 5280 wants it: missing "
    )


@pytest.mark.asyncio
async def test_plain_http_behind_https_is_told_as_such() -> None:
    assert await sent(None, None) == failed("the other side does not speak TLS: should the URL begin with http?")
