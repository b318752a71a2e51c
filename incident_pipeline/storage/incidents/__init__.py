"""The incident store: one DuckDB file for each incident, with every version of every asset."""
