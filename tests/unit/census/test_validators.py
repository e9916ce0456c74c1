"""What an API says of the versions of its answers, and what of it is sent back."""

import asyncio
from typing import cast
from unittest.mock import Mock

import aiohttp
import pytest

from notifier.census.client import LONGEST_VALIDATOR, Answer, CensusClient, Gate, Validators
from notifier.census.v1 import V1

MONDAY, LATER = "Mon, 23 Nov 2026 10:00:00 GMT", "Mon, 23 Nov 2026 10:00:01 GMT"


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"ETag": 'W/"a"'}, {"If-None-Match": 'W/"a"'}),
        ({"Last-Modified": MONDAY, "Date": LATER}, {"If-Modified-Since": MONDAY}),
        ({"Last-Modified": MONDAY, "Date": MONDAY}, None),
        (
            {"ETag": '"a"', "Last-Modified": MONDAY, "Date": MONDAY},
            {"If-None-Match": '"a"', "If-Modified-Since": MONDAY},
        ),
        ({"ETag": '"' + "a" * LONGEST_VALIDATOR + '"'}, None),
        ({"ETag": '"a\r\nX: b"'}, None),
        ({"ETag": '"\xe4"'}, None),
        ({}, None),
    ],
)
def test_what_can_be_sent_back_is_and_a_time_alone_when_its_second_was_over(
    headers: dict[str, str], sent: dict[str, str] | None
) -> None:
    found = Validators.of(headers)
    assert (found.headers() if found is not None else None) == sent


@pytest.mark.parametrize(("tag", "is_lie"), [("a", True), ("b", False)])
@pytest.mark.asyncio
async def test_one_tag_for_two_answers_is_said_once_and_none_is_sent_from_then_on(tag: str, is_lie: bool) -> None:
    session, told = Mock(spec=aiohttp.ClientSession), Mock()
    session.get.side_effect = aiohttp.ClientConnectionError
    client = CensusClient(
        cast(aiohttp.ClientSession, session), V1("https://example.com", "key"), Gate(10, 1), on_lying_validators=told
    )
    for _ in range(2):
        client.is_another(Validators("a", ""), Answer(b"", None, Validators(tag, "")))
        client.is_another(None, Answer(b"", None, None))
    assert told.call_count == is_lie
    [failed] = await asyncio.gather(client.syncs_unless(Validators("a", ""), page=1), return_exceptions=True)
    assert isinstance(failed, Exception)
    assert ("If-None-Match" in session.get.call_args.kwargs["headers"]) == (not is_lie)
