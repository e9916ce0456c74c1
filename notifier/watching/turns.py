"""The tasks that poll: one waits for who is due next, the others for their turn or a poll; another joins when all are
polling.

What is due together begins in one turn of the event loop: who has waited polls itself, and hands the rest to those who
wait. Who has ended a poll takes the next one that is due, and wakes nobody for it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from notifier.watching.schedule import Poller


class Turns:
    """Runs up to `most` such tasks.

    `next_to_begin` waits for a poll; `due_at_once` gives one that may begin now, where there is room for so many more
    than were handed out and have yet to begin.
    """

    def __init__(
        self,
        next_to_begin: Callable[[], Awaitable[Poller]],
        due_at_once: Callable[[int], Poller | None],
        poll: Callable[[Poller], Awaitable[None]],
        *,
        most: int,
    ) -> None:
        self._next_to_begin = next_to_begin
        self._due_at_once = due_at_once
        self._poll = poll
        self._most = most
        self._idle: deque[asyncio.Future[Poller | None]] = deque()  # None: it is your turn to wait for who is due
        self._tasks = self._handed = 0  # the latter: out to those who have yet to begin
        self._is_led = False

    async def run(self, name: str) -> None:
        """Polls until cancelled, or until a poll raises."""
        async with asyncio.TaskGroup() as group:
            self._pass_on(group, name)

    async def _poll_in_turn(self, group: asyncio.TaskGroup, name: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            poller = self._due_at_once(self._handed)
            if poller is None and self._is_led:
                turn: asyncio.Future[Poller | None] = loop.create_future()
                self._idle.append(turn)
                poller = await turn
                self._handed -= poller is not None
            if poller is None:
                self._is_led = True
                poller = await self._next_to_begin()
                self._is_led = False
            if not self._is_led:
                self._pass_on(group, name)
            await self._poll(poller)

    def _pass_on(self, group: asyncio.TaskGroup, name: str) -> None:
        """Hands what else is due to those who wait, and another the turn to wait for who is due."""
        while self._idle and (other := self._due_at_once(self._handed + 1)) is not None:
            self._handed += 1
            self._idle.popleft().set_result(other)
        if self._idle:
            self._is_led = True
            self._idle.popleft().set_result(None)
        elif self._tasks < self._most:
            self._tasks += 1
            group.create_task(self._poll_in_turn(group, name), name=name)
