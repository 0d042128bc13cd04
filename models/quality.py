"""Notes about a row: what was filled in and what was mended, one bit each."""

from collections import Counter
from collections.abc import Mapping
from enum import IntFlag, auto


class Note(IntFlag):
    """A row's notes are the sum of these. Filled: the rules gave a value where there was none.
    Mended: the value sent was not what the schema says."""

    USER_ID_FILLED = auto()
    CATEGORY_FILLED = auto()
    PRICE_FILLED = auto()
    QUANTITY_FILLED = auto()
    EVENT_ID_STRINGIFIED = auto()
    USER_ID_STRINGIFIED = auto()
    PRODUCT_ID_STRINGIFIED = auto()
    CATEGORY_STRINGIFIED = auto()
    EVENT_TYPE_STRINGIFIED = auto()
    TIMESTAMP_STRINGIFIED = auto()
    PRICE_MISTYPED = auto()
    QUANTITY_MISTYPED = auto()
    QUANTITY_OUT_OF_RANGE = auto()
    TIMESTAMP_UNPARSABLE = auto()


def _name(note: Note) -> tuple[str, str]:
    """Field and kind: QUANTITY_OUT_OF_RANGE is ``("quantity", "out_of_range")``."""
    text = str(note.name).lower()
    for kind in ("filled", "stringified", "mistyped", "out_of_range", "unparsable"):
        if text.endswith(f"_{kind}"):
            return text.removesuffix(f"_{kind}"), kind
    raise AssertionError(text)


_NAMES = {note.value: _name(note) for note in Note}


def tally(notes: Mapping[int, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Count rows by what was noted of them.

    Args:
        notes: how many rows have this sum of notes.

    Returns:
        Rows filled, by field; rows mended, by ``field.kind``.
    """
    filled: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    for bits, rows in notes.items():
        for bit, (field, kind) in _NAMES.items():
            if bits & bit:
                if kind == "filled":
                    filled[field] += rows
                else:
                    mended[f"{field}.{kind}"] += rows
    return dict(filled), dict(mended)
