"""Shows untrusted bytes as text that is safe for a terminal and hides nothing."""

#: Characters escaped at a time, to limit memory: each is a string object meanwhile.
_PORTION = 4096


def printable(value: bytes | None, limit: int | None = None) -> str:
    """Bytes as text, with unprintable characters escaped, cut to ``limit`` characters."""
    if value is None:
        return "(none)"
    text = value[: limit and 4 * limit].decode("utf-8", "backslashreplace")
    starts = range(0, len(text), _PORTION)
    shown = "".join([_escaped(text[start : start + _PORTION]) for start in starts])
    return shown if limit is None or len(shown) <= limit else f"{shown[: limit - 1]}…"


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
