"""One module a row of the table, with its `ROW`; the runner finds them by themselves."""
