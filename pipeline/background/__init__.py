"""Services beside the flush: watching the database, the sales sums, sizes and purges."""
