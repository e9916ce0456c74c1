"""One reading of the list of syncs, however its pages are cut."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest

from notifier.census.client import Answer, CensusClient, Gate, Validators
from notifier.census.listing import AT_ONCE, Listing, ListingReader, read_listing
from notifier.census.v2 import V2
from notifier.model.errors import NotFound, Unreachable
from notifier.model.identity import Id
from tests.builders import NOW


@dataclass
class Pages:
    """A client whose API gives these pages, and none after them."""

    pages: list[bytes]
    failing: dict[int, Exception] = field(default_factory=dict)
    tag: str = ""
    asked: list[int] = field(default_factory=list)
    known: list[Validators | None] = field(default_factory=list)
    others: list[Validators | None] = field(default_factory=list)
    version = V2("", "", "mine")
    gate = Gate(10, 16)

    async def syncs_unless(self, known: Validators | None, *, page: int) -> Answer:
        self.known.append(known)
        return await self.syncs(page=page)

    def is_another(self, before: Validators | None, answer: Answer) -> None:
        self.others.append(before)

    async def syncs(self, *, page: int) -> Answer:
        self.asked.append(page)
        if page in self.failing:
            raise self.failing[page]
        body = self.pages[page - 1] if page <= len(self.pages) else a_page()
        return Answer(body, NOW, Validators(self.tag, ""))


def a_page(
    *own: Id,
    foreign: tuple[Id, ...] = (),
    more: bool | None = None,
    total: int | None = None,
    last: int | None = None,
) -> bytes:
    data: list[dict[str, object]] = [{"id": i, "group_id": "mine"} for i in own]
    data += [{"id": i, "group_id": "another's"} for i in foreign]
    paging: dict[str, object] = {"total_records": total, "last_page": last}
    if more is not None:
        paging["next_page"] = 2 if more else None
    return json.dumps({"data": data, "pagination": paging}).encode()


async def listing_of(*pages: bytes) -> Listing:
    return await read_listing(cast(CensusClient, Pages(list(pages))), NOW)


@pytest.mark.parametrize("more", [None, True])
@pytest.mark.asyncio
async def test_a_page_that_holds_syncs_of_another_group_alone_is_not_the_last(more: bool | None) -> None:
    listing = await listing_of(a_page(foreign=(90, 91), more=more), a_page(52, more=None if more is None else False))
    assert listing.syncs.keys() == {52}
    assert listing.foreign == {90, 91}
    assert listing.complete


@pytest.mark.asyncio
async def test_a_sync_that_one_page_shows_as_of_the_workspace_is_of_it() -> None:
    """It moves while the list is read."""
    listing = await listing_of(a_page(foreign=(90, 91), more=True), a_page(90, "52a", more=False, total=3))
    assert listing.syncs.keys() == {90, "52a"}
    assert listing.foreign == {91}
    assert listing.complete
    less = await listing_of(a_page(foreign=(90, 91), more=True), a_page(90, "52a", more=False, total=4))
    assert less.flaw == "it holds 3 syncs, and says that there are 4"


@dataclass
class Gated:
    """A client whose API answers a page when it is told to. Thirty pages of one sync each."""

    asked: list[int] = field(default_factory=list)
    under_way: set[int] = field(default_factory=set)
    answered: dict[int, asyncio.Event] = field(default_factory=dict)
    fails: frozenset[int] = frozenset()
    label: dict[int, str] = field(default_factory=dict)
    last: int = 30
    version = V2("", "", "mine")
    gate: Gate = field(default_factory=lambda: Gate(10, 16))

    async def syncs(self, *, page: int) -> Answer:
        self.asked.append(page)
        self.under_way.add(page)
        try:
            await self.answered.setdefault(page, asyncio.Event()).wait()
        finally:
            self.under_way.discard(page)
        if page in self.fails:
            raise Unreachable("the answer is lost")
        paging = {
            "next_page": page + 1 if page < self.last else None,
            "last_page": self.last,
            "total_records": self.last,
        }
        data = [{"id": page, "group_id": "mine", "label": self.label.get(page, "as ever")}]
        return Answer(json.dumps({"data": data, "pagination": paging}).encode(), NOW)

    async def syncs_unless(self, known: Validators | None, *, page: int) -> Answer:
        return await self.syncs(page=page)

    def is_another(self, before: Validators | None, answer: Answer) -> None:
        pass

    async def answers(self, *pages: int) -> None:
        for page in pages:
            self.answered.setdefault(page, asyncio.Event()).set()
        for _ in range(10):
            await asyncio.sleep(0)

    def all(self) -> None:
        self.answered = {page: asyncio.Event() for page in range(1, self.last + 1)}
        for answered in self.answered.values():
            answered.set()


@pytest.mark.asyncio
async def test_of_a_long_list_the_next_page_is_asked_for_as_soon_as_one_was_read() -> None:
    client = Gated()
    reading = asyncio.create_task(read_listing(cast(CensusClient, client), NOW))
    await client.answers(1)
    assert client.asked == list(range(1, 2 + AT_ONCE))
    await client.answers(2, 3)
    assert client.asked == list(range(1, 4 + AT_ONCE))
    assert len(client.under_way) == AT_ONCE
    await client.answers(*range(4, 31))
    listing = await reading
    assert (len(listing.syncs), listing.pages, listing.flaw) == (30, 30, None)
    assert client.asked == list(range(1, 31))


@pytest.mark.parametrize(("places", "at_once"), [(1, 1), (2, 1), (9, 4), (64, AT_ONCE)])
@pytest.mark.asyncio
async def test_a_list_takes_no_more_than_half_of_the_places(places: int, at_once: int) -> None:
    client = Gated(gate=Gate(10, places))
    reading = asyncio.create_task(read_listing(cast(CensusClient, client), NOW))
    await client.answers(1)
    assert len(client.under_way) == at_once
    await client.answers(*range(2, 31))
    assert (await reading).complete


@pytest.mark.asyncio
async def test_a_list_of_which_one_page_fails_is_none_and_no_other_page_is_under_way_after_that() -> None:
    client = Gated(fails=frozenset({3}))
    reading = asyncio.create_task(read_listing(cast(CensusClient, client), NOW))
    await client.answers(1, 3)
    await client.answers(2)
    with pytest.raises(Unreachable):
        await reading
    assert not client.under_way


@pytest.mark.asyncio
async def test_who_stops_reading_leaves_no_page_under_way() -> None:
    client = Gated()
    reading = asyncio.create_task(read_listing(cast(CensusClient, client), NOW))
    await client.answers(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not client.under_way


@pytest.mark.asyncio
async def test_a_page_that_is_another_is_shown_while_others_are_still_awaited() -> None:
    client = Gated()
    client.all()
    reader = ListingReader(cast(CensusClient, client))
    shown: list[Mapping[Id, int]] = []
    before = await reader.read(NOW, shown=shown.append)
    assert shown == []
    client.answered.clear()
    client.label[5] = "another"
    reading = asyncio.create_task(reader.read(NOW, shown=shown.append))
    await client.answers(1)
    await client.answers(5, 6)
    assert [page.keys() for page in shown] == [{5}]
    assert not reading.done()
    await client.answers(*range(1, 31))
    listing = await reading
    assert {i for i, item in listing.items.items() if before.items[i] != item} == {5}


@pytest.mark.asyncio
async def test_why_a_page_past_the_end_can_not_be_read_does_not_matter() -> None:
    """A list that became shorter since its first page was read: that said how many pages to ask for at once."""
    api = Pages([a_page(52, more=True, last=3), a_page(53, more=False)], {3: NotFound("there are two")})
    listing = await read_listing(cast(CensusClient, api), NOW)
    assert listing.complete
    assert listing.syncs.keys() == {52, 53}
    api.failing = {2: NotFound("there is one")}
    with pytest.raises(NotFound):
        await read_listing(cast(CensusClient, api), NOW)


@pytest.mark.asyncio
async def test_as_many_pages_are_asked_for_as_the_list_says_it_has() -> None:
    api = Pages([a_page(i, more=i < 5, last=5) for i in range(1, 6)])
    assert (await read_listing(cast(CensusClient, api), NOW)).complete
    assert api.asked == [1, 2, 3, 4, 5]


@pytest.mark.asyncio
async def test_a_page_is_asked_for_with_what_its_last_answer_said_of_itself() -> None:
    """Though its bytes are the same; where they are not, it is looked at whether that had changed with them."""
    api = Pages([a_page(52, more=False)], tag="a")
    reader = ListingReader(cast(CensusClient, api))
    await reader.read(NOW)
    api.tag = "b"
    await reader.read(NOW)
    await reader.read(NOW, conditionally=True)
    assert api.known == [None, Validators("b", "")]
    assert not api.others
    api.pages = [a_page(52, 53, more=False)]
    await reader.read(NOW, conditionally=True)
    assert api.others == [Validators("b", "")]
