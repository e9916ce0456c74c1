"""What it means that something was seen, and who gets to know. Pure."""
