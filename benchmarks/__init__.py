"""How fast this app is beside others, on a real broker and a real database of this machine."""

from dev import LOCAL

#: What `make bench` sets up, and the results.
BENCH = LOCAL / "bench"
