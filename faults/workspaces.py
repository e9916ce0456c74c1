"""Several workspaces, each with a Census API of its own; the webhook receiver and Slack are the same for all."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

from notifier.simulator import GENERATED, RecordedRequest, SimulatorThread
from notifier.simulator.defaults import Id, Marker

NAMES: Final = ("amber", "birch", "cedar", "delta")


class Workspaces(SimulatorThread):
    """Looked at as if it were one: syncs go to the workspaces by turns, and no two have a sync or a run in common.

    Itself the API of the first.
    """

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        super().__init__()
        first, *others = names
        self.each: Mapping[str, SimulatorThread] = {first: self} | {name: SimulatorThread() for name in others}
        self._ends = ExitStack()
        self._of_sync: dict[str, SimulatorThread] = {}
        self._of_run: dict[str, SimulatorThread] = {}
        self._last_run = 100_000

    def __enter__(self) -> Self:
        super().__enter__()
        for simulator in self.each.values():
            if simulator is not self:
                self._ends.enter_context(simulator)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()
        super().__exit__(kind, error, trace)

    def add_sync(
        self,
        *,
        id: Id | None = None,  # noqa: A002 the API's own name
        label: str | Marker | None = GENERATED,
        **fields: Any,
    ) -> dict[str, Any]:
        """A sync of the workspace whose turn it is."""
        owner = list(self.each.values())[len(self._of_sync) % len(self.each)]
        sync = SimulatorThread.add_sync(owner, id=id, label=label, **fields)
        self._of_sync[str(sync["id"])] = owner
        return sync

    def add_run(
        self,
        sync_id: Id,
        *,
        id: Id | None = None,  # noqa: A002 the API's own name
        status: str = "queued",
        **fields: Any,
    ) -> dict[str, Any]:
        """A run of a sync, whosever."""
        if id is None:
            self._last_run += 1
            id = self._last_run  # noqa: A001
        owner = self._of_sync[str(sync_id)]
        run = SimulatorThread.add_run(owner, sync_id, id=id, status=status, **fields)
        self._of_run[str(run["id"])] = owner
        return run

    def update_run(self, run_id: Id, **fields: Any) -> dict[str, Any]:
        """Changes a run, whosever."""
        return SimulatorThread.update_run(self._of_run[str(run_id)], run_id, **fields)

    def run(self, run_id: Id) -> dict[str, Any]:
        """A run, whosever."""
        return SimulatorThread.run(self._of_run[str(run_id)], run_id)

    def asked(self) -> dict[str, list[RecordedRequest]]:
        """By workspace, a copy of the record."""
        return {name: each.call(list, each.simulator.requests) for name, each in self.each.items()}

    @property
    def requests(self) -> list[RecordedRequest]:
        """What all were asked."""
        return sorted((request for each in self.asked().values() for request in each), key=lambda each: each.at)

    @property
    def request_count(self) -> int:
        """Of all together."""
        return sum(each.simulator.request_count for each in self.each.values())

    def counts(self) -> dict[str, int]:
        """By workspace, how many requests there were."""
        return {name: each.simulator.request_count for name, each in self.each.items()}
