"""`notifier init`: a first watchlist."""
