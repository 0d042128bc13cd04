"""Dead letters after they are stored: listing, counting, replaying."""
