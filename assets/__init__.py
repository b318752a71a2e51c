"""All that Dagster sees, and the only package that imports it: one module per Dagster concept or asset group."""
