"""What `forked` has loaded before it forks: all modules of the command."""

import gc

import notifier.cli.app
from notifier.cli.app import GROUPS

for group in set(GROUPS.values()):
    __import__(f"notifier.cli.{group}")
gc.freeze()  # what is loaded stays shared between the processes
__all__ = ["notifier"]
