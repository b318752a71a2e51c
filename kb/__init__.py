"""The knowledge base: a memory of runbooks, postmortems and incidents that answers in milliseconds."""
