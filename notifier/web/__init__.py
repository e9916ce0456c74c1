"""The notifier's own HTTP server. It only looks at what the worker tells it, and at the database; see app.py."""
