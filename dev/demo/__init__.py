"""``python -m dev.demo``: the whole pipeline on this machine, and how it shows on a terminal."""
