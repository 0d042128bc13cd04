"""Storing the rows of a write: all of them but those that the database rejects, each counted.

`row_store` chooses the way, statement by statement: `load_data` and `insert_ignore` store what they
can, and `proof` says which rows that was or that nobody knows; `insert_values` stores all or
nothing, and splits. `deduplicate` does the same for events that may be stored already.
"""
