"""Explains to producers why a value is not a JSON object.

Python's parser only names what it expected. Producers' mistakes are a short list: a value cut off,
a byte order mark, Python or JavaScript notation, two objects in one message.
"""

import re
from typing import Final

#: First bytes of well-known formats that are not JSON.
_FORMATS: Final = (
    (b"\xef\xbb\xbf", "begins with a byte order mark (BOM): send UTF-8 without it"),
    (b"\xff\xfe", "begins with UTF-16's byte order mark: send UTF-8"),
    (b"\xfe\xff", "begins with UTF-16's byte order mark: send UTF-8"),
    (b"\x1f\x8b", "looks compressed with gzip: let the Kafka client compress"),
    (b"\x28\xb5\x2f\xfd", "looks compressed with zstd: let the Kafka client compress"),
)

#: The rest of a word, number or escape at the end of a value that was cut off.
_CUT_REST = re.compile(
    r"(?:t|tr|tru|f|fa|fal|fals|n|nu|nul|-|(?<=\d)\.|(?<=\d)[eE][+-]?)?[ \t\n\r]*\Z"
).match
_CUT_ESCAPE = re.compile(r"\\?(?:u[0-9a-fA-F]{0,3})?\Z").match
_WORD = re.compile(r"[A-Za-z_$][\w$]{0,29}").match
_KINDS: Final = {str: "string", bool: "boolean"}
_BLANKS = " \t\n\r"
#: Characters inspected before and after the error's place.
_NEAR = 1000
#: Other languages' words for JSON's.
_WORDS: Final = {"None": "null", "True": "true", "False": "false", "undefined": "null"}


def explain_start(value: bytes) -> str | None:
    """What a value is whose first bytes show that it is not JSON; None if they do not."""
    if not value:
        return "empty: a value of 0 bytes"
    # JSON never begins with 0.
    if value[0] == 0 and len(value) >= 5:
        schema = int.from_bytes(value[1:5])
        return (
            "looks like Schema Registry's wire format "
            f"(magic byte 0, schema id {schema}): send plain JSON"
        )
    return next((said for start, said in _FORMATS if value.startswith(start)), None)


def explain_encoding(error: UnicodeDecodeError) -> str:
    """Where a value is not UTF-8."""
    if error.reason == "unexpected end of data":
        return f"cut off within a character, at byte {error.start}"
    return f"not UTF-8 at byte {error.start}"


def explain_kind(found: object) -> str:
    """What a value is that is JSON, but not an object."""
    if isinstance(found, str) and found.lstrip(_BLANKS).startswith("{"):
        return "an object within a JSON string: it was encoded twice"
    if isinstance(found, list):
        return "a JSON array, not an object: send one object per message"
    kind = "null" if found is None else _KINDS.get(type(found), "number")
    return f"a JSON {kind}, not an object"


def explain_syntax(text: str, message: str, place: int) -> str:
    """What is wrong in a text.

    Args:
        text: the whole value.
        message: the parser's message, of any Python version.
        place: where it stopped, in characters from 0.
    """
    if not text.strip(_BLANKS):
        return "nothing but blanks"
    at = f"at character {place}"
    if message.startswith("Unterminated string"):
        return f"cut off in the string that begins {at}"
    if _is_cut_off(text, message, place):
        return f"cut off at character {len(text)}"
    if "delimiter" in message and "," not in message:
        return f"a colon is missing {at}"
    if message.startswith("Extra data"):
        return f"extra data after the JSON {at}: send one object per message"
    if message.startswith("Invalid control character"):
        return f"a control character in a string {at}: escape it, a line break as \\n"
    if message.startswith("Invalid \\"):
        return f"an invalid escape {at}"
    return f"{_unexpected(text, place)} {at}"


def _is_cut_off(text: str, message: str, place: int) -> bool:
    if message.startswith("Extra data"):
        return False
    rest = _CUT_ESCAPE if message.startswith("Invalid \\") else _CUT_REST
    return rest(text, place) is not None


def _unexpected(text: str, place: int) -> str:
    """What was found instead of a value, a name or a comma."""
    found = text[place]
    # Only parts of the text, because a value may have megabytes.
    before = text[max(0, place - _NEAR) : place].rstrip(_BLANKS)[-1:]
    after = text[place + 1 : place + 1 + _NEAR].lstrip(_BLANKS)[:1]
    word = _WORD(text, place)
    if (found in ("}", "]") and before == ",") or (found == "," and after in ("}", "]")):
        return "a comma before the closing bracket"
    if found == "'":
        return "single quotes instead of double ones"
    if text.startswith(("//", "/*", "#"), place):
        return "a comment, which JSON does not have,"
    if word and word[0] in _WORDS:
        return f"{word[0]} instead of {_WORDS[word[0]]}"
    if place == 0:
        return f"not JSON: {word[0] if word else found!r}"
    if word and before in ("{", ","):
        return f"the name {word[0]} without double quotes"
    if word and before == ":":
        return f"the value {word[0]} without double quotes"
    if found in ("}", "]") and before != ":":
        return "the wrong closing bracket"
    if before in ("{", ",", ":", "["):
        return f"{found!r} instead of a name or a value"
    if before == '"':
        return "a comma is missing, or a quote in a string is not escaped,"
    return "a number that begins with 0" if before == "0" else "a comma is missing"
