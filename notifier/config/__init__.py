"""The watchlist: what it may say (`models`), and how it is read from a file (`load`)."""
