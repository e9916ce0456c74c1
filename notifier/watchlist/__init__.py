"""What people wrote, as values."""
