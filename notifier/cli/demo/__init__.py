"""`notifier demo`: the worker between the simulators."""
