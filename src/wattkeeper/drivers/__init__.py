"""One folder per device family: a register table and its exceptions."""
