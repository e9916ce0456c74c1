"""What the notifier costs and how quick it is: `make bench` measures every row of docs/performance.md's table anew."""
