"""A PostgreSQL server for tests, faults and benchmarks: this machine's programs, started by whoever wants one."""
