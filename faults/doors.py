"""What workers answer to who looks after them: /healthz and /readyz, asked again and again."""

import http.client
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from faults.row import must

PATHS: Final = ("/healthz", "/readyz")
EVERY: Final = 0.2
PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer other than 200."""

    at: float
    name: str
    path: str
    answer: str


class Doors:
    """Of workers that listen at these ports. Each is asked from `watch` on until `leave`."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self._watched: dict[str, Collection[str]] = {}
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_round, daemon=True)
        self.refusals: list[Refusal] = []
        self.asked = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def are_well(self, name: str) -> bool:
        """Whether all answer 200 now."""
        return all(self._ask(name, path) == "200" for path in PATHS)

    def watch(self, name: str, paths: Collection[str] = PATHS) -> None:
        """This one is well, and may not cease to be."""
        with self._turn:
            self._watched[name] = paths

    def leave(self, name: str) -> None:
        """This one is about to end."""
        with self._turn:  # whoever is asked now is still there
            self._watched.pop(name, None)

    def must_have_been_well(self, paths: Collection[str], since: float = 0.0) -> str:
        """Nobody who was watched answered anything else than 200, since then. How often they were asked at all."""
        refusals = [each for each in self.refusals if each.path in paths and each.at >= since]
        must(not refusals, f"{len(refusals)} answers were not 200: {refusals[:3]}")
        must(self.asked, "nobody was asked")
        return f"{self.asked} times"

    def _go_round(self) -> None:
        while not self._over.wait(EVERY):
            with self._turn:
                for name, paths in self._watched.items():
                    for path in paths:
                        answer = self._ask(name, path)
                        self.asked += 1
                        if answer != "200":
                            self.refusals.append(Refusal(time.monotonic(), name, path, answer))

    def _ask(self, name: str, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[name], timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
        except OSError as error:
            return repr(error)
        finally:
            connection.close()
        return "200" if response.status == http.client.OK else f"{response.status} {body[:200]}"
