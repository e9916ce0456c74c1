"""Keeps a PostgreSQL server for as long as anybody holds it, and takes it away with all that it wrote.

    keeper.py PROGRAMS [NAME=SETTING ...]        standard input is the first who holds it, a Unix socket

A process of its own, since PostgreSQL has nothing that ends it with whoever started it. To hold it is to be connected:
to the first socket, or to the one whose path is told there. A connection ends with its process, also with one that is
killed. Each is told in one line of JSON where the server is, and may then ask: `stop MODE`, `start`, `follow CONNINFO`.
Should this process be killed, the server gets SIGQUIT from the kernel; only its directory stays.
"""

import ctypes
import json
import os
import pwd
import random
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

PATIENCE: Final = 60.0  # seconds; a slow machine that does much else
STOP: Final = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    # What survives a crash of the server is in the page cache, and no test turns the machine off. It is the difference
    # between 1 ms and 10 for a commit; synchronous_commit stays on, for the notifier looks at it.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
}
PORTS: Final = range(10_000, 30_000)  # below those that the kernel gives away, else a stopped server's could be taken
ATTEMPTS: Final = 20
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
LIBC: Final = ctypes.CDLL(None)


def prctl(option: int, value: int) -> None:
    """Linux' own; elsewhere nothing happens."""
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(option, value, 0, 0, 0)


def dies_with_us() -> None:
    """In the server's process, before it becomes the server."""
    prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def unprivileged() -> dict[str, Any]:
    """For subprocess: as whom PostgreSQL runs, which refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    user = next(user for name in ("postgres", "nobody") for user in pwd.getpwall() if user.pw_name == name)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def is_ready(file: Path, pid: int) -> bool:
    """As pg_ctl knows it: by the last line of its file, which may be there in part, or be of another, killed one."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


class Keeper:
    """The server, and where it is."""

    def __init__(self, programs: Path, settings: dict[str, str]) -> None:
        self._programs = programs
        self._settings = SETTINGS | settings
        self._who = unprivileged()
        self._server: subprocess.Popen[bytes] | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="notifier-pg."))
        if self._who:
            os.chown(self._directory, self._who["user"], self._who["group"])
        self._log = self._directory / "log"
        self.facts = {
            "door": str(self._directory / "door"),
            "directory": str(self._directory),
            "admin_password": secrets.token_hex(16),
            "password": f"canary:{secrets.token_hex(8)}@/%",  # has to be escaped in a URL, as real ones have to be
        }

    def make(self) -> None:
        """A cluster that sorts words as people do, as those out there mostly do: not by their bytes, as SQLite."""
        told = self._directory / "password"
        told.write_text(self.facts["admin_password"])
        command = [f"{self._programs}/initdb", "--pgdata", f"{self._directory}/data", "--username", "postgres"]
        command += ["--auth", "scram-sha-256", "--pwfile", str(told), "--no-sync", "--encoding", "UTF8"]
        command += ["--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US"]
        self._run(command)
        told.unlink()

    def follow(self, conninfo: str) -> None:
        """Becomes a standby of another server, at its own port: what was in it is gone."""
        self.stop("immediate")
        shutil.rmtree(self._directory / "data")
        command = [f"{self._programs}/pg_basebackup", "--pgdata", f"{self._directory}/data", "--dbname", conninfo]
        self._run([*command, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync"])
        self.start()

    def _run(self, command: list[str]) -> None:
        made = subprocess.run(command, **self._around(), capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"{Path(command[0]).name}: {made.stdout}{made.stderr}")

    def start(self) -> None:
        """It takes connections when this returns; the first time at a port that is free."""
        if self._server is not None:
            return
        if "port" in self.facts:
            self._start(int(self.facts["port"]))
            return
        for port in random.sample(PORTS, ATTEMPTS):
            try:
                self._start(port)
            except RuntimeError as wrong:
                if "could not bind" not in str(wrong):
                    raise
            else:
                self.facts["port"] = str(port)
                return
        raise RuntimeError(f"no port is free; the last start said: {self._log.read_text()[-2000:]}")

    def _start(self, port: int) -> None:
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        command = [f"{self._programs}/postgres", "-D", f"{self._directory}/data", "-p", str(port), *options]
        with self._log.open("ab") as log:
            server = subprocess.Popen(command, **self._around(), preexec_fn=dies_with_us, stdout=log, stderr=log)
        self._server = server
        end = time.monotonic() + PATIENCE
        while not is_ready(self._directory / "data/postmaster.pid", server.pid):
            if server.poll() is not None or time.monotonic() > end:
                self.stop("immediate")
                raise RuntimeError(f"PostgreSQL did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, mode: str) -> None:
        """It is gone when this returns. What takes too long is killed."""
        if self._server is None:
            return
        self._server.send_signal(STOP[mode])
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None
        while True:  # of one that was killed, also its children, which are ours then
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def remove(self) -> None:
        """Server and files."""
        self.stop("immediate")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _around(self) -> dict[str, Any]:
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}  # nobody's PGDATA or PGPORT
        return {**self._who, "cwd": self._directory, "env": environment, "stdin": subprocess.DEVNULL}

    def answer(self, words: str) -> str:
        """What comes of what a holder asks for: nothing, or what is wrong."""
        command, _, argument = words.partition(" ")
        try:
            if command == "stop":
                self.stop(argument)
            elif command == "follow":
                self.follow(argument)
            else:
                self.start()
        except RuntimeError as wrong:
            return str(wrong)
        return ""


def serve(keeper: Keeper, first: socket.socket) -> None:
    """Returns when nobody holds it any more; the last is told so by the end of the process, all others at once."""
    with socket.socket(socket.AF_UNIX) as door, selectors.DefaultSelector() as selector:
        door.bind(keeper.facts["door"])
        door.listen(64)
        selector.register(door, selectors.EVENT_READ)
        come = [first]
        while come or len(selector.get_map()) > 1:
            for holder in come:
                holder.sendall(json.dumps(keeper.facts).encode() + b"\n")
                selector.register(holder, selectors.EVENT_READ)
            come = []
            for key, _ in selector.select():
                if key.fileobj is door:
                    come.append(door.accept()[0])
                elif isinstance(key.fileobj, socket.socket) and not heard(keeper, key.fileobj):
                    selector.unregister(key.fileobj)
                    if len(selector.get_map()) > 1 or come:
                        say(key.fileobj, {"kept": True})
                        key.fileobj.close()


def heard(keeper: Keeper, holder: socket.socket) -> bool:
    """Does what a holder asks for. False: it has let go."""
    try:
        words = holder.recv(4096).decode().strip()
    except ConnectionError:
        return False
    if words:
        say(holder, {"wrong": keeper.answer(words)})
    return bool(words)


def say(holder: socket.socket, what: dict[str, object]) -> None:
    """Who does not hear any more is noticed when it is listened to."""
    try:
        holder.sendall(json.dumps(what).encode() + b"\n")
    except ConnectionError:
        return


def main() -> None:
    """Until nobody holds it, or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    first = socket.socket(fileno=0)
    keeper = Keeper(
        Path(sys.argv[1]), {name: value for name, _, value in (word.partition("=") for word in sys.argv[2:])}
    )
    try:
        keeper.make()
        keeper.start()
        serve(keeper, first)
    except Exception as wrong:
        say(first, {"wrong": str(wrong) or repr(wrong)})
        raise
    finally:
        keeper.remove()


if __name__ == "__main__":
    main()
