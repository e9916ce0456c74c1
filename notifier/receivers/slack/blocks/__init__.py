"""What a Slack message shows, as Block Kit. Pure."""
