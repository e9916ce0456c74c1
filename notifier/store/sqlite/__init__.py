"""What only SQLite has: a file, its lock, a connection's thread."""
