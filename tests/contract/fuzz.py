"""``python -m tests.contract.fuzz``: mutated contract values and made-up ones against the rules.

Whatever the bytes, the answer must be one row that the table can hold, or one dead letter with
its reason; never both, never an exception. And it must be decoded as the plainest decoder does, and
the compiled module, where it was built, must make the same row of it with the same flags, or none;
and the same chunk of many values, with the same counts of what was filled and repaired.
The same seed makes the same values.
"""

import argparse
import base64
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from models.fields import EVENT_FIELDS
from models.rules import Rejection, transform
from models.whole_events import whole_rows
from tests.contract.compiled import assert_chunks_alike, assert_compiled_alike
from tests.contract.reference import assert_same_answer
from tests.contract.storable import assert_storable
from tests.contract.test_cases import load
from tests.contract.whole_values import (
    INSTEAD,
    MOMENTS,
    NUMBERS,
    TEXTS,
    UNKNOWN,
    WHOLE,
    spelled,
)

_FIELDS = [field.name for field in EVENT_FIELDS]

#: Values that break parsers: extremes, other types, other alphabets, half-made things.
_ODD: list[Any] = [
    None, True, False, 0, -0.0, 1, -1, 1.5, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63, 2**64,
    10**400, 1e-400, 3.4028235e38, 3.5e38, 1e308, "", " ", "0", "1", "19.99", "NaN", "Infinity",
    "-INF", "null", "e" * 50, "é" * 50, "漢" * 51, "😀" * 20, "\x00", "\x1b[2J", "\u2028", "'; --",
    "\\", '"', "%s", "${x}", "<script>", [], {}, [[]], {"a": {"b": []}}, ["x", 1, None],
    "2026-11-27", "2026-11-27T10:15:30Z", "2026-11-27 10:15:30.123456789+05:30", "1970-01-01",
    "2038-01-19T03:14:08Z", "2026-02-30", "0000", "9999-12-31T23:59:59-18:00", "2026-11",
    "T10:15", "now",
]  # fmt: skip
_WORDS = [b"NaN", b"Infinity", b"//", b"\xef\xbb\xbf", b"\xff", b"\x00", b"\\u0000", b"\\ud800",
          b"1e999", b"01", b".5", b"9" * 400, b"0" * 1100, b" " * 1100,
          b"[" * 1200, b"{}", b",", b":", b'"', b"'", b"\r\n"]  # fmt: skip


#: Values that make a chunk.
_CHUNK = 500


def values(seed: int) -> Iterator[bytes]:
    """An endless stream of Kafka values."""
    random = Random(seed)
    known = [base64.b64decode(case["value_b64"] or b"") for case in load()]
    makers = [_bytes_changed, _spliced, _made_up, _field_changed, _fields_added, _nearly_whole]
    # Filled and repaired events most of the time.
    makers += [_filled_or_repaired] * 8
    while True:
        yield random.choice(makers)(random, known)


def _bytes_changed(random: Random, known: list[bytes]) -> bytes:
    value = bytearray(random.choice(known))
    for _ in range(random.randint(1, 4)):
        place = random.randint(0, len(value))
        match random.randrange(4):
            case 0:
                value[place : place + 1] = bytes([random.randrange(256)])
            case 1:
                value[place:place] = random.choice(_WORDS)
            case 2:
                del value[place : place + random.randint(1, 8)]
            case _:
                value[place:place] = value[place : place + random.randint(1, 20)]
    return bytes(value)


def _spliced(random: Random, known: list[bytes]) -> bytes:
    one, other = random.choice(known), random.choice(known)
    return one[: random.randint(0, len(one))] + other[random.randint(0, len(other)) :]


def _made_up(random: Random, known: list[bytes]) -> bytes:
    del known
    fields = [(name, random.choice(_ODD)) for name in _FIELDS if random.random() < 0.9]
    fields += [(random.choice([*_FIELDS, "other", ""]), random.choice(_ODD))] * random.randrange(3)
    random.shuffle(fields)
    ascii_only = random.random() < 0.5
    pairs = (f"{json.dumps(k)}:{json.dumps(v, ensure_ascii=ascii_only)}" for k, v in fields)
    return f"{{{','.join(pairs)}}}".encode()


def _field_changed(random: Random, known: list[bytes]) -> bytes:
    try:
        event = json.loads(random.choice(known))
    except (ValueError, RecursionError):
        return _made_up(random, known)
    if not isinstance(event, dict):
        return _made_up(random, known)
    event[random.choice(_FIELDS)] = random.choice(_ODD)
    return json.dumps(event).encode(errors="surrogatepass")


def _fields_added(random: Random, known: list[bytes]) -> bytes:
    value = random.choice(known)
    place = value.find(b"{") + 1
    added = [
        b'"%d":%s' % (number, random.choice(_WORDS))
        if random.random() < 0.05
        else json.dumps({str(number): random.choice(_ODD)}).encode()[1:-1]
        for number in range(random.randint(1, 20))
    ]
    return value[:place] + b",".join(added) + b"," + value[place:]


def _nearly_whole(random: Random, known: list[bytes]) -> bytes:
    """An event with nothing to be done, or with little."""
    quantity = str(random.randrange(-10, 1000))
    fields = {**WHOLE, "price": _decimal(random), "quantity": quantity}
    for name in random.sample(_FIELDS, random.randrange(4)):
        fields[name] = random.choice((_number, _decimal, _odd_text, _odd_moment))(random)
    pairs = list(fields.items())
    for number in range(random.choice((0, 0, 1, 5))):
        name = random.choice((f"field {number}", f"field {number}", random.choice(_FIELDS)))
        pairs.insert(random.randint(0, len(pairs)), (name, _nested(random)))
    if random.random() < 0.2:
        random.shuffle(pairs)
    value = spelled(pairs, between=random.choice(["", "", " ", "\n"]))
    return _bytes_changed(random, [value]) if random.random() < 0.2 else value


def _filled_or_repaired(random: Random, known: list[bytes]) -> bytes:
    """An event that lacks some fields, or has values of another type in them."""
    del known
    product = random.choice(
        ("P0042", "P", "", "é漢x", "😀😀", "P" * 44, "é" * 44, "é" * 45, "P" * 50)
    )
    quantity = random.choice(("1", "2", "-3", "0"))
    fields = {
        **WHOLE,
        "product_id": f'"{product}"',
        "price": _decimal(random),
        "quantity": quantity,
    }
    for name in random.sample(_FIELDS, random.randint(1, 4)):
        if random.random() < 0.5:
            fields[name] = random.choice((*INSTEAD, json.dumps(random.choice(_ODD))))
        elif random.random() < 0.5:
            fields[name] = "null"
        else:
            del fields[name]
    value = spelled(fields.items(), between=random.choice(["", "", " "]))
    return _bytes_changed(random, [value]) if random.random() < 0.2 else value


def _nested(random: Random) -> str:
    """JSON of a field that nobody knows."""
    inner = random.choice((random.choice(UNKNOWN), json.dumps(random.choice(_ODD[:40]))))
    match random.randrange(4):
        case 0:
            return f"[{inner}, {_decimal(random)}]"
        case 1:
            return f'{{"a":{inner},"b":{{"c":{inner}}}}}'
        case _:
            return inner


def _number(random: Random) -> str:
    return random.choice(NUMBERS)


def _decimal(random: Random) -> str:
    digits = str(random.randrange(10 ** random.randint(1, 16)))
    place = random.randrange(len(digits))
    return f"{digits[:place]}.{digits[place:]}" if place else digits


def _odd_text(random: Random) -> str:
    return f'"{random.choice(TEXTS)}"'


def _odd_moment(random: Random) -> str:
    return f'"{random.choice(MOMENTS)}"'


def run(number: int, seed: int) -> Counter[str]:
    """Transform so many values; returns how many became what.

    Raises:
        AssertionError: an answer is neither a storable row nor a dead letter; with the value.
    """
    outcomes: Counter[str] = Counter()
    together: list[bytes] = []
    for _, value in zip(range(number), values(seed), strict=False):
        try:
            assert_same_answer(value)
            if whole_rows is not None:
                assert_compiled_alike(whole_rows, value)
            transformed = transform(value)
            if isinstance(transformed, Rejection):
                assert transformed.detail
                outcomes[transformed.reason.value] += 1
            else:
                assert_storable(transformed[0])
                outcomes["row, something repaired" if transformed[1] else "row"] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {value!r}") from error
        together.append(value)
        if len(together) == _CHUNK:
            assert_chunks_alike(together)
            together.clear()
    return outcomes


def main() -> int:
    """Run the fuzzer; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.fuzz")
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    outcomes = run(options.values, options.seed)
    seconds = time.monotonic() - started
    print(f"{options.values:,} values (seed {options.seed}) in {seconds:.0f} s, 0 exceptions:")
    for outcome, number in outcomes.most_common():
        print(f"  {number:>9,} {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
