"""Bytes that anyone may have sent, as text that harms no terminal and hides nothing."""

#: Characters escaped at a time: each one is an object while they are.
_PORTION = 4096


def readable(value: bytes | None, most: int | None = None) -> str:
    """What is no printable character is shown escaped; cut to ``most`` characters."""
    if value is None:
        return "(none)"
    text = value[: most and 4 * most].decode("utf-8", "backslashreplace")
    starts = range(0, len(text), _PORTION)
    shown = "".join([_escaped(text[start : start + _PORTION]) for start in starts])
    return shown if most is None or len(shown) <= most else f"{shown[: most - 1]}…"


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
