"""A simulator, a sink and a Slack in a thread of their own, for tests that block (a worker as a subprocess).

Everything that touches the simulator runs in its event loop: the methods here hand the call over and wait for it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from datetime import datetime
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from notifier.simulator import scenario
from notifier.simulator.census import CensusSimulator, RecordedRequest
from notifier.simulator.conditional import Tags, Validator
from notifier.simulator.defaults import GENERATED, Id, Marker
from notifier.simulator.faults import Fault, FaultHandle
from notifier.simulator.listing import Announced
from notifier.simulator.sink import ReceivedWebhook, Wanted, WebhookSink
from notifier.simulator.slack.facade import SlackFacade
from notifier.simulator.slack.simulator import SlackSimulator

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SimulatorThread:
    """`with SimulatorThread() as simulator:` serves `base_url` (Census), `sink_url` (webhooks) and `slack_url`.

    The methods are those of CensusSimulator, safe from any thread; those of the sink are under `sink`, those of Slack
    under `slack`.
    """

    def __init__(
        self,
        *,
        api_key: str = "simulated-key",
        token: str = "simulated-token",
        versions: str = "both",
        latency: float = 0.0,
        port: int = 0,
        sink_port: int = 0,
        slack_port: int = 0,
    ) -> None:
        self.base_url = ""
        self.sink_url = ""
        self.slack_url = ""
        self.simulator = CensusSimulator(api_key=api_key, token=token, versions=versions, latency=latency)
        self.sink = SinkFacade(self, WebhookSink())
        self.slack = SlackFacade(self, SlackSimulator())
        self._ports = (port, sink_port, slack_port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="census-simulator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)

    @property
    def api_key(self) -> str:
        """The key that the simulated workspace takes."""
        return self.simulator.api_key

    @property
    def token(self) -> str:
        """The token that version 2 of the simulated API takes."""
        return self.simulator.token

    def retire_v1(self, at: datetime, status: int = 410) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.retire_v1, at, status)

    def announce_runs(self, announced: Announced = Announced.STATUSES) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.announce_runs, announced)

    def lag_list(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """See CensusSimulator; its thread asks the clock."""
        self.call(self.simulator.lag_list, seconds, clock)

    def tag_answers(self, tags: Tags = Tags.HONEST, *, by: Collection[Validator] = (Validator.ETAG,)) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.tag_answers, tags, by=by)

    def add_sync(
        self,
        *,
        id: Id | None = None,  # noqa: A002 the API's own name
        label: str | Marker | None = GENERATED,
        **fields: Any,
    ) -> dict[str, Any]:
        """See CensusSimulator."""
        return self.call(self.simulator.add_sync, id=id, label=label, **fields)

    def update_sync(self, sync_id: Id, **fields: Any) -> dict[str, Any]:
        """See CensusSimulator."""
        return self.call(self.simulator.update_sync, sync_id, **fields)

    def remove_sync(self, sync_id: Id) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.remove_sync, sync_id)

    def add_run(
        self,
        sync_id: Id,
        *,
        id: Id | None = None,  # noqa: A002 the API's own name
        status: str = "queued",
        **fields: Any,
    ) -> dict[str, Any]:
        """See CensusSimulator."""
        return self.call(self.simulator.add_run, sync_id, id=id, status=status, **fields)

    def update_run(self, run_id: Id, **fields: Any) -> dict[str, Any]:
        """See CensusSimulator."""
        return self.call(self.simulator.update_run, run_id, **fields)

    def remove_run(self, run_id: Id) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.remove_run, run_id)

    def set_records(self, run_id: Id, records: list[dict[str, Any]]) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.set_records, run_id, records)

    def run(self, run_id: Id) -> dict[str, Any]:
        """See CensusSimulator."""
        return self.call(self.simulator.run, run_id)

    def sync(self, sync_id: Id) -> dict[str, Any]:
        """See CensusSimulator."""
        return self.call(self.simulator.sync, sync_id)

    def fault(self, fault: Fault, *, path: str = "*", times: int | None = None) -> FaultHandle:
        """See CensusSimulator; the handle may be cleared from any thread."""
        return self.remote(self.call(self.simulator.fault, fault, path=path, times=times))

    def clear_faults(self) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.clear_faults)

    def forget_requests(self) -> None:
        """See CensusSimulator."""
        self.call(self.simulator.forget_requests)

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the record."""
        return self.call(lambda: list(self.simulator.requests))

    @property
    def request_count(self) -> int:
        """See CensusSimulator."""
        return self.simulator.request_count

    @property
    def not_modified(self) -> int:
        """See CensusSimulator."""
        return self.simulator.not_modified

    @property
    def connections(self) -> int:
        """See CensusSimulator."""
        return self.simulator.connections

    @property
    def max_open_requests(self) -> int:
        """See CensusSimulator."""
        return self.simulator.max_open_requests

    def play(self, story: scenario.Scenario, *, speed: float = 1.0) -> "Future[scenario.Names]":
        """Starts a scenario in the background; the future ends with it and can be cancelled."""
        return self.submit(scenario.play(self.simulator, story, speed=speed))

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Runs a function in the simulator's event loop and gives its result or raises its error."""

        async def called() -> _T:
            return function(*args, **kwargs)

        return self.submit(called()).result(timeout=30)

    def submit(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """Starts a coroutine in the simulator's event loop."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the simulator's thread is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def remote(self, inner: FaultHandle) -> FaultHandle:
        """The same handle for use from any thread."""
        return FaultHandle(lambda: self.call(inner.clear), lambda: inner.hits)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        port, sink_port, slack_port = self._ports
        async with (
            self.simulator.serve(port=port) as base_url,
            self.sink.inner.serve(port=sink_port) as sink_url,
            self.slack.inner.serve(port=slack_port) as slack_url,
        ):
            self.base_url, self.sink_url, self.slack_url = base_url, sink_url, slack_url
            self._loop = asyncio.get_running_loop()
            self._started.set_result(None)
            await self._stop.wait()
            self._loop = None


class SinkFacade:
    """The thread's WebhookSink, safe from any thread."""

    def __init__(self, thread: SimulatorThread, inner: WebhookSink) -> None:
        self._thread = thread
        self.inner = inner

    @property
    def received(self) -> list[ReceivedWebhook]:
        """A copy of what was received."""
        return self._thread.call(lambda: list(self.inner.received))

    @property
    def accepted(self) -> list[ReceivedWebhook]:
        """Those answered 2xx."""
        return self._thread.call(lambda: self.inner.accepted)

    @property
    def max_open_requests(self) -> int:
        """The most requests that were open at once."""
        return self.inner.max_open_requests

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self.inner.connections

    def answer(
        self,
        status: int = 200,
        *,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        delay: float = 0.0,
        path: str = "*",
    ) -> FaultHandle:
        """See WebhookSink."""
        push = self.inner.answer
        handle = self._thread.call(push, status, times=times, headers=headers, body=body, delay=delay, path=path)
        return self._thread.remote(handle)

    def hang(self, *, times: int | None = None, path: str = "*") -> FaultHandle:
        """See WebhookSink."""
        return self._thread.remote(self._thread.call(self.inner.hang, times=times, path=path))

    def drop(self, *, times: int | None = None, path: str = "*") -> FaultHandle:
        """See WebhookSink."""
        return self._thread.remote(self._thread.call(self.inner.drop, times=times, path=path))

    def drip(self, *, interval: float = 0.05, times: int | None = None, path: str = "*") -> FaultHandle:
        """See WebhookSink."""
        return self._thread.remote(self._thread.call(self.inner.drip, interval=interval, times=times, path=path))

    def reset(self) -> None:
        """See WebhookSink."""
        self._thread.call(self.inner.reset)

    def wait_for(self, wanted: Wanted, timeout: float = 10.0) -> list[ReceivedWebhook]:
        """Blocks until it holds; see WebhookSink. The condition runs in the simulator's thread."""
        return self._thread.submit(self.inner.wait_for(wanted, timeout)).result()
