"""What can go wrong with Slack on demand, as a closed union, and the methods that hang it up.

The order in which faults apply is that of notifier.simulator.faults. A Hang lets the request go on to the next fault
once it is cleared; every other one ends it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from notifier.simulator.faults import Body, FaultHandle, Hang, Redirect, Status

POST_MESSAGE: Final = "chat.postMessage"
UPDATE: Final = "chat.update"


@dataclass(frozen=True, slots=True)
class SlackError:
    """This error code as Slack says it: in JSON with status 200, or as text from an incoming webhook."""

    code: str
    status: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """429 with this Retry-After, or without one."""

    retry_after: int | str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is closed without an answer; nothing was done."""


@dataclass(frozen=True, slots=True)
class Accept:
    """What was asked is done, as without the fault; then the connection is closed, or this status is answered."""

    then: Drop | Status


Ending = SlackError | RateLimit | Status | Body | Redirect | Drop | Accept
SlackFault = Ending | Hang


class SlackFaults(ABC):
    """The ways to make Slack fail, for the simulator and for its facade in another thread.

    `method` is a glob over the names of methods ("conversations.*"; an incoming webhook is "incoming_webhook"), and
    `channel` is an ID or a name.
    """

    @abstractmethod
    def fault(
        self, fault: SlackFault, *, method: str = POST_MESSAGE, channel: str | None = None, times: int | None = None
    ) -> FaultHandle:
        """Hangs up a fault, for so many requests or until it is cleared."""

    def error(
        self,
        code: str,
        *,
        method: str = POST_MESSAGE,
        channel: str | None = None,
        times: int | None = None,
        status: int | None = None,
        **extra: Any,
    ) -> FaultHandle:
        """Answers with an error code, and with `extra` beside it; a webhook has the status that goes with the code."""
        return self.fault(SlackError(code, status, extra), method=method, channel=channel, times=times)

    def rate_limit(
        self,
        retry_after: int | str | None = 1,
        *,
        method: str = POST_MESSAGE,
        channel: str | None = None,
        times: int | None = None,
    ) -> FaultHandle:
        """Answers 429; None leaves the header out, a text is sent as it is."""
        return self.fault(RateLimit(retry_after), method=method, channel=channel, times=times)

    def status(
        self,
        code: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = POST_MESSAGE,
        channel: str | None = None,
        times: int | None = None,
    ) -> FaultHandle:
        """Answers with this status; nothing is kept."""
        return self.fault(Status(code, body, dict(headers or {})), method=method, channel=channel, times=times)

    def body(
        self,
        content: bytes,
        content_type: str = "application/json",
        *,
        method: str = POST_MESSAGE,
        channel: str | None = None,
        times: int | None = None,
    ) -> FaultHandle:
        """Answers 200 with these bytes; nothing is kept."""
        return self.fault(Body(content, content_type), method=method, channel=channel, times=times)

    def redirect(
        self,
        location: str,
        code: int = 302,
        *,
        method: str = POST_MESSAGE,
        channel: str | None = None,
        times: int | None = None,
    ) -> FaultHandle:
        """Answers with a redirect; nothing is kept."""
        return self.fault(Redirect(location, code), method=method, channel=channel, times=times)

    def hang(self, *, method: str = POST_MESSAGE, channel: str | None = None, times: int | None = None) -> FaultHandle:
        """Takes the request and never answers; when cleared, what hangs goes on."""
        return self.fault(Hang(), method=method, channel=channel, times=times)

    def drop(self, *, method: str = POST_MESSAGE, channel: str | None = None, times: int | None = None) -> FaultHandle:
        """Takes the request, keeps nothing and closes the connection without an answer."""
        return self.fault(Drop(), method=method, channel=channel, times=times)

    def accept_then_drop(
        self, *, method: str = POST_MESSAGE, channel: str | None = None, times: int | None = None
    ) -> FaultHandle:
        """Keeps the message, or makes the edit, and closes the connection without an answer."""
        return self.fault(Accept(Drop()), method=method, channel=channel, times=times)

    def accept_then_status(
        self,
        code: int = 500,
        body: bytes = b"",
        *,
        method: str = POST_MESSAGE,
        channel: str | None = None,
        times: int | None = None,
    ) -> FaultHandle:
        """Keeps the message, or makes the edit, and answers with this status all the same."""
        return self.fault(Accept(Status(code, body)), method=method, channel=channel, times=times)
