"""What the compiled module makes of a value, held against what the rules make of it."""

import msgspec

from models.fields import ROW_NAMES
from models.rules import transform
from models.whole_events import WholeRows

_REVENUE = ROW_NAMES.index("revenue")


def assert_compiled_alike(whole_rows: WholeRows, value: bytes) -> bool:
    """Fail unless the row is byte for byte that of the rules, with nothing repaired.

    Returns:
        Whether there is a row; what has none is left to the rules.
    """
    [line], total = whole_rows([value])
    if line is None:
        assert total == 0.0, value
        return False
    transformed = transform(value)
    assert isinstance(transformed, tuple), (value, line, transformed)
    row, flags = transformed
    assert (line, flags) == (msgspec.json.encode(row), 0), value
    assert total == row[_REVENUE], value
    return True
