"""JAAS lines, Java's way to write a login to Kafka: what to set instead."""

import re

_LINE = re.compile(
    r"(?P<module>\w+LoginModule)\s+(?:required|requisite|sufficient|optional)\b(?P<options>.*)",
    re.IGNORECASE | re.DOTALL,
)
#: An option and its value, which may be quoted; options follow each other without a gap.
_OPTION = re.compile(r"""\s*([\w.]+)\s*=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s;"']+)""")
_MECHANISMS = {
    "plainloginmodule": "PLAIN",
    "scramloginmodule": "SCRAM-SHA-512 (or SCRAM-SHA-256)",
}
#: Of those whose login is no user and password: what to set.
_OTHERS = {
    "oauthbearerloginmodule": "KAFKA_SASL_MECHANISM=OAUTHBEARER, KAFKA_OAUTH_TOKEN_URL, "
    "KAFKA_USERNAME and KAFKA_PASSWORD (the client's id and secret) instead",
    "iamloginmodule": "KAFKA_SASL_MECHANISM=AWS_MSK_IAM instead",
}


def refusal(value: str) -> str | None:
    """What to set instead of a JAAS line; None if the text is not one.

    Names the user, never the password.
    """
    if not (line := _LINE.search(value)):
        return None
    if instead := _OTHERS.get(line["module"].lower()):
        return f"is a JAAS line, which is not supported: set {instead}"
    mechanism = _MECHANISMS.get(line["module"].lower())
    if mechanism is None:
        return (
            "is a JAAS line with an unsupported login module: use one of the logins in "
            "docs/kafka.md"
        )
    return (
        f"is a JAAS line, which is not supported: set KAFKA_SASL_MECHANISM={mechanism}, "
        f"KAFKA_USERNAME={_user(line['options'])} and KAFKA_PASSWORD=PASSWORD instead"
    )


def _user(options: str) -> str:
    at, user = 0, "USER"
    while found := _OPTION.match(options, at):
        at = found.end()
        if found[1].lower() == "username":
            user = found[2].strip("\"'")
    # With unbalanced quotes, part of the password may look like the user.
    return user if options[at:].strip() in ("", ";") else "USER"
