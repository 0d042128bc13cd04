from collections.abc import Collection, Sequence

REVISION: int

class WholeEvents:
    def __init__(
        self,
        fields: Sequence[tuple[str, int, int | None]],
        row: Sequence[int],
        required: Collection[int],
    ) -> None: ...
    def rows(self, values: list[bytes | None]) -> tuple[list[bytes | None], float]: ...
