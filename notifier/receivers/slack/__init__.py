"""Slack by a bot token, and by an incoming webhook."""
