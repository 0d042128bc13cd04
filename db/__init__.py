"""The database: one room a folder, and each may import only those named before it.

`connection` opens sessions and says what an error means. `schema` is what the tables are and how
they become so. `rollup` keeps sums. `write` is the sink: rows, dead letters, ledger and offsets in
one transaction. `dead_letters` lists them and replays them.
"""
