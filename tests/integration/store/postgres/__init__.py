"""PostgreSQL as the store's engine: its parts, on a real server."""
