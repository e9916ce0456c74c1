"""What people are shown of the memory: read only."""
