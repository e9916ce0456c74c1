"""What is sent when, to each receiver by itself."""
