"""The flush: what waits is written in batches, retried, and bisected when an event is bad."""
