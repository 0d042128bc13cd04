"""The bytes of a fetch as records: codecs, record formats, batches."""
