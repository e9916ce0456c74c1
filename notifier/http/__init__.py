"""What every client of ours obeys."""
