"""The tables: their declaration, their migration, and checks of existing ones."""
