"""What systemd is told of a service of Type=notify: sd_notify(3) as its manual has it, a datagram and no library."""

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

log = structlog.get_logger(__name__)

SHORTEST_WATCHDOG: Final = timedelta(milliseconds=1)


class Systemd:
    """Tells the service manager; nobody, where there is none. Telling never waits and never raises."""

    def __init__(self, address: str | None = None, watchdog: timedelta | None = None) -> None:
        self._address = address
        self._told_of_failure = False
        self.watchdog = watchdog

    @classmethod
    def of(cls, env: Mapping[str, str], pid: int) -> "Systemd":
        """As NOTIFY_SOCKET and WATCHDOG_USEC have it; a watchdog of another process (WATCHDOG_PID) is not ours."""
        name = env.get("NOTIFY_SOCKET", "")
        if name[:1] not in ("/", "@") or "\0" in name:
            return cls()
        address = f"\0{name[1:]}" if name.startswith("@") else name  # @: an abstract socket
        return cls(address, _watchdog(env, pid))

    def tell(self, state: str) -> None:
        """An assignment such as READY=1, or several, one a line."""
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), self._address)
        except OSError as error:
            if not self._told_of_failure:
                self._told_of_failure = True
                log.warning("systemd can't be told", state=state, error=os.strerror(error.errno or 0).lower())


def _watchdog(env: Mapping[str, str], pid: int) -> timedelta | None:
    """How often at least systemd wants to hear from this process."""
    microseconds, whose = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", str(pid))
    if whose != str(pid) or not (microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= 18):
        return None
    watchdog = timedelta(microseconds=int(microseconds))
    return watchdog if watchdog >= SHORTEST_WATCHDOG else None
