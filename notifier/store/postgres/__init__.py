"""What only PostgreSQL has: connections that end, errors by number, several workers at one database."""
