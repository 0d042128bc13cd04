"""JAAS lines, Java's way to write a login to Kafka: what to set instead."""

import re

_LINE = re.compile(
    r"(?P<module>\w+LoginModule)\s+(?:required|requisite|sufficient|optional)\b(?P<options>.*)",
    re.IGNORECASE | re.DOTALL,
)
#: An option with its value, and nothing between one and the next: what is quoted is read whole.
_OPTION = re.compile(r"""\s*([\w.]+)\s*=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s;"']+)""")
_MECHANISMS = {
    "plainloginmodule": "PLAIN",
    "scramloginmodule": "SCRAM-SHA-512 (or SCRAM-SHA-256)",
}


def refusal(value: str) -> str | None:
    """What is wrong with a text that is a JAAS line, and what to set; None for another text.

    It names the user, and never the password.
    """
    if not (line := _LINE.search(value)):
        return None
    mechanism = _MECHANISMS.get(line["module"].lower())
    if mechanism is None:
        return (
            "is a JAAS line of a login that is not supported: use PLAIN, SCRAM-SHA-256 or "
            "SCRAM-SHA-512 (docs/kafka.md)"
        )
    return (
        f"is a JAAS line, which this app does not read: set KAFKA_SASL_MECHANISM={mechanism}, "
        f"KAFKA_USERNAME={_user(line['options'])} and KAFKA_PASSWORD=PASSWORD instead"
    )


def _user(options: str) -> str:
    at, user = 0, "USER"
    while found := _OPTION.match(options, at):
        at = found.end()
        if found[1].lower() == "username":
            user = found[2].strip("\"'")
    # Where quotes do not match, part of the password may look like the user.
    return user if options[at:].strip() in ("", ";") else "USER"
