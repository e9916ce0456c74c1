"""One reading of the list of syncs, however its pages are cut."""

import json
from dataclasses import dataclass, field
from typing import cast

import pytest

from notifier.census.client import Answer, CensusClient, Validators
from notifier.census.listing import Listing, ListingReader, read_listing
from notifier.census.v2 import V2
from notifier.model.errors import NotFound
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
