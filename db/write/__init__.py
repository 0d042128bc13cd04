"""One write: its rows, but those that the database rejects, dead letters, ledger line and offsets.

`row_store` chooses the way, statement by statement: `lenient` stores what it can, and says which
rows that was or that nobody knows; `insert_values` stores all or nothing, and splits.
`deduplicate` does the same for events that may be stored already.
"""
