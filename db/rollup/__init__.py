"""Sums of the stored events by minute and product, kept in rounds up to a watermark."""
