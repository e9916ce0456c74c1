"""Lists that say which state they show, honestly or not, and 304 for who has it; over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from notifier.simulator import CensusSimulator, SimulatorThread, Status, Tags, Transform, Validator

pytestmark = pytest.mark.asyncio

LISTS = ("/syncs", "/syncs?page=2&per_page=1", "/syncs/52/sync_runs?per_page=5")
BOTH = (Validator.ETAG, Validator.LAST_MODIFIED)


class Client:
    """The simulator and a session that asks it."""

    def __init__(self, simulator: CensusSimulator, base_url: str, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self._base_url = base_url
        self._session = session

    async def get(
        self, path: str = LISTS[0], headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with self._session.get(self._base_url + path, headers=headers) as response:
            return response.status, response.headers, await response.read()

    async def again(self, told: Mapping[str, str], path: str = LISTS[0], **headers: str) -> int:
        """The status of the answer to who was told that."""
        names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
        asked = {name: told[validator] for validator, name in names.items() if validator in told}
        status, _, body = await self.get(path, asked | headers)
        assert bool(body) is (status == 200)
        return status


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    simulator = CensusSimulator()
    for sync_id in (52, 53):
        simulator.add_run(simulator.add_sync(id=sync_id)["id"], id=f"run_of_{sync_id}", status="completed")
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    async with simulator.serve() as base_url, aiohttp.ClientSession(headers=headers) as session:
        yield Client(simulator, base_url, session)


def change(simulator: CensusSimulator, label: str = "Renamed") -> None:
    """Something of each list."""
    simulator.update_sync(52, label=label)
    simulator.add_run(52)


@pytest.mark.parametrize("path", LISTS)
async def test_by_default_no_list_has_a_validator_and_nobody_is_answered_304(client: Client, path: str) -> None:
    _, headers, _ = await client.get(path)
    assert not any(name in headers for name in Validator)
    assert await client.again({"ETag": '"x"', "Last-Modified": headers["Date"]}, path, **{"If-None-Match": "*"}) == 200
    assert client.simulator.not_modified == 0


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("by", [BOTH[:1], BOTH[1:], BOTH])
async def test_who_has_what_a_list_shows_is_answered_304_until_it_changes(
    client: Client, path: str, by: tuple[Validator, ...]
) -> None:
    client.simulator.tag_answers(by=by)
    client.simulator.date = datetime(2026, 1, 1, tzinfo=UTC)
    _, told, _ = await client.get(path)
    assert {name for name in Validator if name in told} == {*by}
    assert [await client.again(told, path) for _ in range(3)] == [304, 304, 304]
    assert client.simulator.not_modified == 3
    client.simulator.date += timedelta(seconds=1)
    change(client.simulator)
    assert await client.again(told, path) == 200
    assert await client.again((await client.get(path))[1], path) == 304
    client.simulator.forget_requests()
    assert client.simulator.not_modified == 0


async def test_a_304_has_no_body_and_its_validators_and_leaves_the_connection_as_it_was(client: Client) -> None:
    client.simulator.tag_answers(by=BOTH)
    _, told, _ = await client.get()
    address = urlsplit(client._base_url)
    assert address.hostname
    assert address.port
    question = (
        f"GET /api/v1/syncs HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {client.simulator.api_key}\r\n"
        f"If-None-Match: {told['ETag']}\r\n"
    )
    with socket.socket() as raw:
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, (address.hostname, address.port))
        await loop.sock_sendall(raw, f"{question}\r\n{question}Connection: close\r\n\r\n".encode())
        text = b""
        while part := await loop.sock_recv(raw, 65536):
            text += part
    first, second, nothing = text.decode().split("\r\n\r\n")
    assert nothing == ""
    for head in (first, second):
        assert head.startswith("HTTP/1.1 304 ")
        assert f"ETag: {told['ETag']}" in head
        assert f"Last-Modified: {told['Last-Modified']}" in head
        assert "Date: " in head
        assert "Content-Length" not in head


async def test_each_page_has_a_tag_of_its_own_and_a_body_of_before_its_tag_of_before(client: Client) -> None:
    client.simulator.tag_answers()
    tags = [(await client.get(path))[1]["ETag"] for path in LISTS]
    assert len(set(tags)) == 3
    assert await client.again({"ETag": tags[0]}, LISTS[1]) == 200
    client.simulator.add_run(52, id="passing")
    assert await client.again({"ETag": tags[2]}, LISTS[2]) == 200
    client.simulator.remove_run("passing")
    assert await client.again({"ETag": tags[2]}, LISTS[2]) == 304


@pytest.mark.parametrize(
    ("asked", "status"),
    [("*", 304), ("{}", 304), ("{strong}", 304), ('"x", {}', 304), ('"x", W/"y"', 200), ("", 200)],
)
async def test_tags_are_read_as_http_has_them(client: Client, asked: str, status: int) -> None:
    client.simulator.tag_answers()
    tag = (await client.get())[1]["ETag"]
    text = asked.format(tag, strong=tag.removeprefix("W/"))
    assert (await client.get(headers={"If-None-Match": text}))[0] == status


async def test_a_tag_counts_more_than_a_time(client: Client) -> None:
    client.simulator.tag_answers(by=BOTH)
    _, told, _ = await client.get()
    assert await client.again(told, **{"If-None-Match": '"x"'}) == 200
    assert await client.again({"ETag": told["ETag"]}, **{"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 304


async def test_a_time_hides_what_changes_again_within_its_second(client: Client) -> None:
    client.simulator.tag_answers(by=[Validator.LAST_MODIFIED])
    client.simulator.date = datetime(2026, 1, 1, tzinfo=UTC)
    _, told, _ = await client.get()
    client.simulator.date += timedelta(milliseconds=500)
    change(client.simulator)
    assert await client.again(told) == 304


async def test_only_lists_that_were_answered_have_validators(client: Client) -> None:
    client.simulator.tag_answers(by=BOTH)
    for path in ("/syncs/52", "/sync_runs/run_of_52", "/syncs/7/sync_runs", "/nothing"):
        headers = (await client.get(path, {"If-None-Match": "*"}))[1]
        assert not any(name in headers for name in Validator)
    assert (await client.get(headers={"Authorization": "Bearer wrong", "If-None-Match": "*"}))[0] == 401
    client.simulator.fault(Status(503))
    assert (await client.get(headers={"If-None-Match": "*"}))[0] == 503
    assert client.simulator.not_modified == 0


async def test_a_transformed_list_has_the_tag_of_what_it_shows(client: Client) -> None:
    client.simulator.tag_answers()
    _, told, _ = await client.get()
    handle = client.simulator.fault(Transform(lambda answer: answer | {"data": []}))
    assert await client.again(told) == 200
    handle.clear()
    assert await client.again(told) == 304


@pytest.mark.parametrize("by", [BOTH[:1], BOTH[1:], BOTH])
async def test_a_liar_answers_304_whatever_changed(client: Client, by: tuple[Validator, ...]) -> None:
    client.simulator.tag_answers(Tags.ALWAYS_304, by=by)
    status, told, _ = await client.get()
    assert status == 200
    change(client.simulator)
    assert await client.again(told) == 304
    assert client.simulator.not_modified == 1
    _, later, body = await client.get()
    assert [later[name] for name in by] == [told[name] for name in by]
    assert b"Renamed" in body


async def test_a_liar_shows_what_is_new_under_the_tag_of_before(client: Client) -> None:
    client.simulator.tag_answers(Tags.SAME, by=BOTH)
    client.simulator.date = datetime(2026, 1, 1, tzinfo=UTC)
    _, told, _ = await client.get()
    client.simulator.date += timedelta(hours=1)
    change(client.simulator)
    status, later, body = await client.get(headers={"If-None-Match": told["ETag"]})
    assert status == 200
    assert b"Renamed" in body
    assert (later["ETag"], later["Last-Modified"]) == (told["ETag"], told["Last-Modified"])
    assert client.simulator.not_modified == 0


async def test_the_thread_has_the_setting_and_the_count() -> None:
    with SimulatorThread() as thread:
        thread.tag_answers()
        headers = {"Authorization": f"Bearer {thread.api_key}", "If-None-Match": "*"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{thread.base_url}/syncs") as response,
        ):
            assert response.status == 304
        assert thread.not_modified == 1
        thread.forget_requests()
        assert thread.not_modified == 0
