"""How many threads requests of one kind may have at once."""

import asyncio
import threading

import pytest

from notifier.web.threads import MOST_THREADS, Threads


@pytest.mark.asyncio
async def test_who_asks_much_has_a_few_threads_and_the_others_wait_their_turn() -> None:
    threads, go, begun = Threads(), threading.Event(), list[int]()

    def look(number: int) -> int:
        begun.append(number)
        assert go.wait(10)
        return number

    asking = [asyncio.create_task(threads.run(lambda number=number: look(number))) for number in range(5)]  # type: ignore[misc]
    for _ in range(200):  # turns of the loop
        await asyncio.sleep(0)
    while len(begun) < MOST_THREADS:
        await asyncio.sleep(0)
    assert len(begun) == MOST_THREADS
    go.set()
    assert await asyncio.gather(*asking) == [0, 1, 2, 3, 4]


@pytest.mark.asyncio
async def test_what_fails_in_a_thread_fails_for_who_asked_and_leaves_its_place() -> None:
    threads = Threads()

    def fail() -> None:
        raise ValueError("as a database may")

    for _ in range(MOST_THREADS + 1):
        with pytest.raises(ValueError, match="as a database may"):
            await threads.run(fail)
