"""Evidence in, ranked causes out: pure functions, no I/O, no clock."""
