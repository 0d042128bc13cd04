"""The rows of chunks as text, from which pieces are taken.

Each row is a JSON array on a line of its own. In JSON a line feed never stands inside a value, so
text is cut at lines.
"""

from collections import deque
from collections.abc import Iterable, Iterator


class Lines:
    """Lines in order, a piece at a time.

    Args:
        texts: of lines, joined by line feeds; empty ones have none.
    """

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = deque(text for text in texts if text)
        #: Where the first text's next line begins.
        self._start = 0

    def __bool__(self) -> bool:
        return bool(self._texts)

    def take(self, limit: int) -> bytes:
        """The next lines, at least one and otherwise no more bytes than the limit."""
        taken: list[bytes] = []
        room = limit
        while self._texts and (not taken or room > 0):
            text, start = self._texts[0], self._start
            end = len(text)
            if end - start > room:
                end = text.rfind(b"\n", start, start + max(0, room) + 1)
                if end < 0 and taken:
                    break
                if end < 0:
                    end = text.find(b"\n", start)
                end = len(text) if end < 0 else end
            taken.append(text[start:end])
            room -= end - start + 1
            if end == len(text):
                self._texts.popleft()
                self._start = 0
            else:
                self._start = end + 1
        return b"\n".join(taken)


def count(lines: bytes) -> int:
    """How many lines these are."""
    return lines.count(b"\n") + 1


def runs(lines: bytes) -> Iterator[tuple[bytes, bool]]:
    """The lines in order: those with a backslash one by one, all between two of them together.

    Yields:
        Lines, and whether there is a backslash in them.
    """
    start = 0
    while (at := lines.find(b"\\", start)) >= 0:
        begin = max(start, lines.rfind(b"\n", start, at) + 1)
        if begin > start:
            yield lines[start : begin - 1], False
        end = lines.find(b"\n", at)
        if end < 0:
            yield lines[begin:], True
            return
        yield lines[begin:end], True
        start = end + 1
    yield lines[start:], False
