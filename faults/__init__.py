"""What can go wrong, done to the real worker on purpose: a process, files and sockets, judged from outside.

    python -m faults [--short] [ROW ...]      or: make faults, make faults-short

Each module in `rows` is one row of the table: what is done, the criterion, the figures. `runner.py` gives each row a
process of its own and a time limit, and prints the table.
"""
