"""Packs the records of a batch in compiled code, if the installation could build it.

The compiled code finds where each record lies, and no object is made of it. It takes batches of
Kafka's format 2 that are in order. All others, and all where it was not built, are read by
aiokafka's parser, which makes an object for each record.
"""

from array import array

from source.records.formats import LOG_APPEND_TIME

#: The revision of the compiled module that matches this file.
_REVISION = 1

try:
    from source.records import _scan

    _is_built = _scan.REVISION == _REVISION
except ImportError:
    _is_built = False


def is_packing() -> bool:
    """Whether the compiled code is there."""
    return _is_built


def read_by() -> str:
    """What finds the records of a batch, in words."""
    return "the compiled module" if _is_built else "aiokafka's parser, record by record"


def pack(
    message: bytes, header: tuple[int, ...], messages: list[bytes], places: "array[int]"
) -> bool:
    """Add a batch's records to what is packed already; see ``pipeline.packed_records``.

    Args:
        message: the batch, decompressed.
        header: its header's numbers.
        messages: gets the batch.
        places: get the places of its records.

    Returns:
        Whether that was done; where not, nothing was added.
    """
    if not _is_built:
        return False
    base, first_timestamp, last_timestamp, count = header[0], header[7], header[8], header[12]
    append_time = bool(header[5] & LOG_APPEND_TIME)
    timestamp = last_timestamp if append_time else first_timestamp
    number = len(messages)
    if not _scan.scan(message, number, places, base, timestamp, append_time, count):
        return False
    messages.append(message)
    return True
