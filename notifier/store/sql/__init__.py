"""Tables and statements, for any database."""
