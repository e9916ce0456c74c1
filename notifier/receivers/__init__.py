"""The border out: a package or a file for each kind of receiver."""
