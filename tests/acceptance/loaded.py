"""What `forked` has loaded before it forks: all modules of the command, and what a worker loads when it needs it."""

import gc

import notifier.cli.app
from notifier.cli.app import GROUPS
from notifier.receivers.senders import KINDS

for group in set(GROUPS.values()):
    __import__(f"notifier.cli.{group}")
for module in (*KINDS.values(), "notifier.web.app"):
    __import__(module)
gc.freeze()  # what is loaded stays shared between the processes
__all__ = ["notifier"]
