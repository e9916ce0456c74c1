"""PostgreSQL's protocol, version 3.0, as far as one must know it to lose a certain message. Pure."""

from collections import deque
from collections.abc import Iterator
from typing import Final

MAY_WE_ENCRYPT: Final = {80877103: b"S", 80877104: b"G"}  # what a client may ask first, and the byte that means yes


class Messages:
    """Parts one direction of a connection into the protocol's messages, as they become whole (version 3.0)."""

    def __init__(self) -> None:
        self._rest = b""
        self.is_opaque = False  # encrypted, so that nothing more can be told apart

    def whole(self, data: bytes) -> Iterator[bytes]:
        """What can be passed on by now, in order: together it is all that came, but for a message that is not whole."""
        self._rest += data
        while self._rest:
            length = len(self._rest) if self.is_opaque else self._length()
            if length is None or len(self._rest) < length:
                return
            message, self._rest = self._rest[:length], self._rest[length:]
            yield message

    def _length(self) -> int | None:
        """Of the first message, as far as that is known."""
        return 1 + int.from_bytes(self._rest[1:5]) if len(self._rest) >= 5 else None


class Answers(Messages):
    """From the server to the client."""

    def __init__(self) -> None:
        super().__init__()
        self.short: deque[bytes] = deque()  # answers of a byte that are due, and which of them is a yes

    def whole(self, data: bytes) -> Iterator[bytes]:
        for message in super().whole(data):
            if self.short and not self.is_opaque:
                self.is_opaque = message == self.short.popleft()
            yield message

    def _length(self) -> int | None:
        return 1 if self.short else super()._length()

    @staticmethod
    def is_of_commit(message: bytes) -> bool:
        """CommandComplete of a COMMIT that committed; of one that could not it is a ROLLBACK."""
        return message[:1] == b"C" and message[5:] == b"COMMIT\0"


class Requests(Messages):
    """From the client to the server."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers
        self._begun = False
        self._commits: set[bytes] = set()  # names of prepared ones

    def whole(self, data: bytes) -> Iterator[bytes]:
        self.is_opaque = self._answers.is_opaque
        for message in super().whole(data):
            if not self._begun:
                yes = MAY_WE_ENCRYPT.get(int.from_bytes(message[4:8]))
                self._begun = yes is None
                if yes is not None:
                    self._answers.short.append(yes)
            yield message

    def _length(self) -> int | None:
        if self._begun:
            return super()._length()
        return int.from_bytes(self._rest[:4]) if len(self._rest) >= 4 else None

    def is_commit(self, message: bytes) -> bool:
        """A COMMIT that is to be executed, by itself or prepared."""
        kind, words = message[:1], message[5:].split(b"\0")
        if kind == b"P":  # name, statement
            (self._commits.add if _is_commit(words[1]) else self._commits.discard)(words[0])
            return False
        return (kind == b"Q" and _is_commit(words[0])) or (kind == b"B" and words[1] in self._commits)


def _is_commit(statement: bytes) -> bool:
    return statement.strip(b" ;\n").upper() == b"COMMIT"
