"""The database. Each folder may import only those named before it.

`connection` opens sessions and classifies errors. `schema` declares, migrates and checks the
tables. `rollup` keeps the sales sums. `write` stores rows, dead letters, ledger and offsets in one
transaction. `dead_letters` lists and replays dead letters.
"""
