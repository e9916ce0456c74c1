"""The Slack simulator of a SimulatorThread, for callers in other threads."""

from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ParamSpec, Protocol, TypeVar

from notifier.simulator.faults import FaultHandle
from notifier.simulator.slack.faults import POST_MESSAGE, SlackFault, SlackFaults
from notifier.simulator.slack.simulator import SlackRequest, SlackSimulator, SlackWanted
from notifier.simulator.slack.workspace import DEFAULT_SCOPES, SlackMessage

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Thread(Protocol):
    """What the facade needs of the thread in which its simulator lives."""

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Runs a function there and gives its result."""
        ...

    def submit(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """Starts a coroutine there."""
        ...

    def remote(self, inner: FaultHandle) -> FaultHandle:
        """A handle that may be used from here."""
        ...


class SlackFacade(SlackFaults):
    """The thread's SlackSimulator, safe from any thread."""

    def __init__(self, thread: Thread, inner: SlackSimulator) -> None:
        self._thread = thread
        self.inner = inner

    @property
    def api_url(self) -> str:
        """See SlackSimulator."""
        return self.inner.api_url

    def webhook_url(self, path: str) -> str:
        """See SlackSimulator."""
        return self.inner.webhook_url(path)

    @property
    def enforce_pace(self) -> bool:
        """See SlackSimulator."""
        return self.inner.enforce_pace

    @enforce_pace.setter
    def enforce_pace(self, on: bool) -> None:
        self._thread.call(setattr, self.inner, "enforce_pace", on)

    @property
    def edits_per_window(self) -> int:
        """See SlackSimulator."""
        return self.inner.edits_per_window

    @edits_per_window.setter
    def edits_per_window(self, count: int) -> None:
        self._thread.call(setattr, self.inner, "edits_per_window", count)

    @property
    def edit_window(self) -> float:
        """See SlackSimulator."""
        return self.inner.edit_window

    @edit_window.setter
    def edit_window(self, seconds: float) -> None:
        self._thread.call(setattr, self.inner, "edit_window", seconds)

    @property
    def requests(self) -> list[SlackRequest]:
        """A copy of the record."""
        return self._thread.call(lambda: list(self.inner.requests))

    @property
    def max_open_requests(self) -> int:
        """The most requests that were open at once."""
        return self.inner.max_open_requests

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self.inner.connections

    def add_channel(
        self,
        name: str,
        *,
        id: str | None = None,  # noqa: A002 Slack's own name
        private: bool = False,
        member: bool = True,
        archived: bool = False,
    ) -> str:
        """See SlackSimulator."""
        add = self.inner.add_channel
        return self._thread.call(add, name, id=id, private=private, member=member, archived=archived)

    def update_channel(self, channel_id: str, **fields: Any) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.update_channel, channel_id, **fields)

    def add_alias(self, channel_id: str, earlier_id: str) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.add_alias, channel_id, earlier_id)

    def lock_thread(self, channel_id: str, ts: str) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.lock_thread, channel_id, ts)

    def remove_channel(self, channel_id: str) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.remove_channel, channel_id)

    def add_token(self, token: str, scopes: tuple[str, ...] = DEFAULT_SCOPES) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.add_token, token, scopes)

    def revoke_token(self, token: str) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.revoke_token, token)

    def add_webhook(self, channel_id: str) -> str:
        """See SlackSimulator."""
        return self._thread.call(self.inner.add_webhook, channel_id)

    def remove_webhook(self, path: str) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.remove_webhook, path)

    def post_elsewhere(self, channel_id: str, text: str) -> SlackMessage:
        """See SlackSimulator."""
        return self._thread.call(self.inner.post_elsewhere, channel_id, text)

    def messages(self, channel_id: str | None = None) -> list[SlackMessage]:
        """See SlackSimulator."""
        return self._thread.call(self.inner.messages, channel_id)

    def replies(self, channel_id: str, ts: str) -> list[SlackMessage]:
        """See SlackSimulator."""
        return self._thread.call(self.inner.replies, channel_id, ts)

    def delete_message(self, channel_id: str, ts: str) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.delete_message, channel_id, ts)

    def fault(
        self, fault: SlackFault, *, method: str = POST_MESSAGE, channel: str | None = None, times: int | None = None
    ) -> FaultHandle:
        """See SlackSimulator; the handle may be cleared from any thread."""
        hang_up = self.inner.fault
        return self._thread.remote(self._thread.call(hang_up, fault, method=method, channel=channel, times=times))

    def clear_faults(self) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.clear_faults)

    def reset(self) -> None:
        """See SlackSimulator."""
        self._thread.call(self.inner.reset)

    def wait_for(self, wanted: SlackWanted, timeout: float = 10.0) -> list[SlackMessage]:
        """Blocks until it holds; see SlackSimulator. The condition runs in the simulator's thread."""
        return self._thread.submit(self.inner.wait_for(wanted, timeout)).result()
