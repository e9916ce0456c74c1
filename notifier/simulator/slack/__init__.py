"""A Slack: its Web API and incoming webhooks, as its documentation has them."""
