"""When Census is asked what, and what was seen."""
