"""How systems are asked to carry an action out; one file for each."""
