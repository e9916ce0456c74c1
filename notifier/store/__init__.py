"""The memory: everything that speaks SQL."""
