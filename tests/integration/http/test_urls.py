"""URLs go out as the watchlist writes them, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from pydantic import SecretStr
from yarl import URL

from notifier.census.client import client_of, new_census_session
from notifier.http.client import as_written
from notifier.receivers.senders import open_senders
from notifier.service.heartbeat import open_heartbeat
from notifier.watchlist.models import HeartbeatSettings, Workspace
from tests.builders import a_message, a_slack_channel, a_slack_webhook, a_webhook, an_event_body
from tests.integration.receivers.desk import TLS, without_proxies

SIGNED = "/p/a%3Ab%40c/%7euser/%c3%A9/a//b/../c?sig=a%2Bb%2fc%3D&sp=%2Ftriggers%2Frun&x='!(*)&empty=&+%20"
WAIT = timedelta(seconds=10)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, asyncio.Queue[str]]]:
    """Answers 200; what was asked for, as it was on the wire."""
    targets: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n")).decode()
        targets.put_nowait(line.split(" ")[1])
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{"ok": true}')
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", targets


@pytest.mark.asyncio
async def test_receivers_are_asked_at_their_url_to_the_byte() -> None:
    async with listening() as (origin, targets), open_senders(WAIT, TLS) as senders:
        for settings in (a_webhook(origin + SIGNED), a_slack_webhook(origin + SIGNED)):
            await senders.build("growth", settings).send(a_message(body=an_event_body()))
            assert await targets.get() == SIGNED


@pytest.mark.asyncio
async def test_apis_are_asked_below_their_url_to_the_byte() -> None:
    async with listening() as (origin, targets), open_senders(WAIT, TLS) as senders:
        settings = a_slack_channel("C0123ABCD", api_url=origin + "/a%3Ab/%7e/api/")
        await senders.build("growth", settings).send(a_message(body=an_event_body()))
        assert await targets.get() == "/a%3Ab/%7e/api/chat.postMessage"
        workspace = Workspace(api_key=SecretStr("key"), base_url=origin + "/a%3Ab/%7e/api/v1/")
        async with new_census_session(workspace, TLS) as session:
            client = client_of(workspace, session, patient=True)
            await client.runs(52, page=1, per_page=5)
        assert await targets.get() == "/a%3Ab/%7e/api/v1/syncs/52/sync_runs?page=1&per_page=5&order=desc"


@pytest.mark.asyncio
async def test_the_heartbeat_is_sent_to_its_url_to_the_byte() -> None:
    async with listening() as (origin, targets):
        settings = HeartbeatSettings(url=SecretStr(origin + SIGNED), every=WAIT)
        async with open_heartbeat(settings) as heartbeat:
            beating = asyncio.create_task(heartbeat.run(lambda: None))
            assert await targets.get() == SIGNED
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)


@pytest.mark.parametrize(
    ("written", "target", "host"),
    [
        ("http://h", "/", "h"),
        ("http://h/", "/", "h"),
        ("http://h?x=%2F", "/?x=%2F", "h"),
        ("http://h?x=a/b", "/?x=a/b", "h"),
        ("http://h/p?", "/p?", "h"),
        ("http://h/p#fragment", "/p", "h"),
        ("http://h/p?a=b#fragment?c", "/p?a=b", "h"),
        ("http://h/p?a=http://x/?y", "/p?a=http://x/?y", "h"),
        ('http://h/a|b"<>`{}^%zz', '/a|b"<>`{}^%zz', "h"),
        ("http://h/grüße?x=ü&y=%C3%bc", "/gr%C3%BC%C3%9Fe?x=%C3%BC&y=%C3%bc", "h"),
        ("http://BÜCHER.example:8080/%7E", "/%7E", "xn--bcher-kva.example"),
        ("https://[::1]:8443/%7E", "/%7E", "::1"),
    ],
)
def test_a_path_and_a_query_are_kept_and_a_host_is_made_fit(written: str, target: str, host: str) -> None:
    url = as_written(written)
    assert isinstance(url, URL)
    assert (url.raw_path_qs, url.raw_host, url.port) == (target, host, URL(written).port)
    assert str(url).endswith(target) or target == "/"
