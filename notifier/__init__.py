"""Census notifier: follows Census sync runs and tells Slack channels and webhooks what changed."""

__version__ = "0.1.0"
