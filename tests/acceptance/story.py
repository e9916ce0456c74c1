"""A story to watch: runs that begin, go on and end; and what the messages about them say of it in the end."""

import json
import random
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from notifier.simulator import ReceivedWebhook, SimulatorThread

FIELDS = ("status", "canceled", "error_code", "error_message", "error_detail")
ENDS = ("completed", "failed", "skipped")


class Story:
    """Runs of several syncs, a change every few milliseconds; `pause` is the shortest and the longest in seconds."""

    def __init__(
        self,
        simulator: SimulatorThread,
        syncs: Sequence[int | str],
        chance: random.Random,
        pause: tuple[float, float] = (0.005, 0.06),
    ) -> None:
        self.runs: list[int] = []
        self.changes = 0
        self._simulator = simulator
        self._syncs = syncs
        self._random = chance
        self._pause = pause
        self._open: list[int] = []

    @contextmanager
    def told(self, changes: int | None = None) -> Iterator[None]:
        """Goes on in a thread while the block runs; or for so many changes, which the end of the block waits for."""
        over = threading.Event()
        thread = threading.Thread(target=self._tell, args=(over, changes), daemon=True)
        thread.start()
        try:
            yield
        finally:
            if changes is None:
                over.set()
            thread.join(timeout=30)
        assert not thread.is_alive()

    def truth(self) -> dict[int, dict[str, Any]]:
        """How each run is now, as the API shows it."""
        return {run_id: {name: self._simulator.run(run_id)[name] or None for name in FIELDS} for run_id in self.runs}

    def _tell(self, over: threading.Event, changes: int | None) -> None:
        left = changes
        while left != 0 and not over.wait(self._random.uniform(*self._pause)):
            self._change()
            self.changes += 1
            left = None if left is None else left - 1

    def _change(self) -> None:
        if len(self._open) < 8 or self._random.random() < 0.1:
            status = self._random.choice(("queued", "queued", "working", *ENDS))
            run = self._simulator.add_run(self._random.choice(self._syncs), status=status)
            self.runs.append(run["id"])
            if status not in ENDS:
                self._open.append(run["id"])
        else:
            self._go_on(self._random.choice(self._open))

    def _go_on(self, run_id: int) -> None:
        status = self._random.choice(("working", "preparing", "queued", "working", "retrying", *ENDS))
        error = {"error_code": "BROKE", "error_message": f"the {len(self.runs)}th"} if status == "failed" else {}
        self._simulator.update_run(run_id, status=status, **error)
        if status in ENDS:
            self._open.remove(run_id)


def last_told(accepted: Iterable[ReceivedWebhook]) -> dict[int, dict[str, Any]]:
    """What the events tell of each run in the end. Each must go on from where the one before it left the run."""
    runs: dict[int, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(FIELDS))
    seen: set[str] = set()
    for webhook in accepted:
        event_id = webhook.headers["webhook-id"]
        if event_id in seen:
            continue
        seen.add(event_id)
        data = json.loads(webhook.body)["data"]
        told = runs[data["sync_run"]["id"]]
        for change in data["changes"]:
            assert told[change["field"]] == (change["old"] or None), (webhook.body, told)
            told[change["field"]] = change["new"] or None
    return dict(runs)
