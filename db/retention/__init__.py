"""How large the tables are, and how old rows are purged."""
