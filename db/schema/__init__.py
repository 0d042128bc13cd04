"""The tables: what they are, how migrations make them, and whether those there will do."""
