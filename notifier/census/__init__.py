"""The border in: the API's requests and answers, and its webhooks."""
