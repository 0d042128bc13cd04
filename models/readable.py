"""Bytes that anyone may have sent, as text that harms no terminal and hides nothing."""


def readable(value: bytes | None, most: int | None = None) -> str:
    """What is no printable character is shown escaped; cut to ``most`` characters."""
    if value is None:
        return "(none)"
    text = value[: most and 4 * most].decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if most is None or len(shown) <= most else f"{shown[: most - 1]}…"
