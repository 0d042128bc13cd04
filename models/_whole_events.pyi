from array import array
from collections.abc import Collection, Sequence

from models.whole_events import PackedValues

REVISION: int

class WholeEvents:
    def __init__(
        self,
        fields: Sequence[tuple[str, int, int | None, int, int, str, int]],
        row: Sequence[int],
        required: Collection[int],
        product: int,
        unparsable: int,
    ) -> None: ...
    def rows(
        self, values: list[bytes | None] | PackedValues
    ) -> tuple[list[bytes], list[int], array[int], float]: ...
