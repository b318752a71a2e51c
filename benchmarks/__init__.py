"""How good and how fast, each beside a baseline in the same run."""
