"""One run of a program: its servers, its table, its cost, and what its result depends on."""
