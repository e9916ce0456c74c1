"""The values that travel between the packages: frozen, with their units, free of I/O.

Times are aware datetimes in UTC. IDs of Census objects are compared for equality and nothing else.
"""
