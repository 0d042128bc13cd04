"""What several tests need: servers, traffic, waiting, and what a table must hold."""
