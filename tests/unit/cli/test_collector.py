"""The collector rests while modules load, and must not begin amid the exchange of the standard streams: its first look
at all that was loaded takes so long that a SIGINT would find standard output detached (exit code 120)."""

import subprocess
import sys

PROGRAM = """
import gc, sys
from notifier.cli import streams
set_up, during = streams.set_up, []
gc.callbacks.append(lambda phase, info: during.append(phase) if inside else None)
inside = False
def watched():
    global inside
    inside = True
    set_up()
    inside = False
streams.set_up = watched
sys.argv = ["notifier", "--version"]
from notifier.__main__ import main
try:
    main()
finally:
    sys.stderr.write(f"collections: {len(during)}")
"""


def test_nothing_is_collected_while_the_streams_are_exchanged() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert ended.stderr == "collections: 0"
