"""Sums of the stored events by minute and product, added in rounds up to a watermark."""
