"""Events at and beside the limits of what the compiled module takes."""

import json
from datetime import datetime

from hypothesis import strategies as st

#: Each field's value as JSON, in an event to which nothing has to be done.
WHOLE = {
    "event_id": '"evt-1"',
    "user_id": '"user_17"',
    "product_id": '"P0042"',
    "category": '"toys"',
    "event_type": '"purchase"',
    "price": "19.99",
    "quantity": "2",
    "timestamp": '"2026-11-27T11:15:30+01:00"',
}


def spelled(members, between=""):
    """A document of members whose values are JSON already."""
    pairs = [f"{between}{json.dumps(name)}{between}:{between}{text}" for name, text in members]
    return f"{between}{{{','.join(pairs)}{between}}}{between}".encode(errors="surrogatepass")


def whole(**changed):
    """A whole event, but for these values as JSON."""
    return spelled({**WHOLE, **changed}.items())


#: Spellings at and beside every limit of the module: digits, places, exponents, signs, ends.
NUMBERS = [
    *("0", "-0", "0.0", "-0.0", "00", "01", "-01", "-", "+1", ".5", "1.", "1..2", "1.2.3", "--1"),
    *("1e5", "1E5", "1e+5", "1.5e-7", "1e", "0e0", "1e400", "0.0001", "0.00009", "0.00010"),
    *("0.00000000000001", "0.000000000000001", "-0.0001", "-0.00009", "0.10000000000000"),
    *("9" * digits for digits in (7, 8, 9, 10, 14, 15, 16, 17, 19, 20, 40, 310)),
    *("9." + "9" * digits for digits in (13, 14, 15, 16)),
    *("1" + "0" * digits for digits in (13, 14, 15, 16)),
    *("-999999999", "-99999999", "2147483647", "2147483648", "-2147483648", "3.0", "16777217"),
    *("1", "3", "-7", "20"),
    *("NaN", "Infinity", "true", "null", "nul", "n", "nulll", '"1"', "[]", "{}", "1 2", "1\x00"),
    *("100.0", "1.10", "1.999999999999", "33333333.3333333", "0.1", "0.3", "1e15", "12345.678"),
]
#: Moments at and beside every limit.
MOMENTS = [
    f"{date}{between}{time}{fraction}{zone}"
    for date in (
        *("1970-01-01", "1970-12-31", "1971-01-01", "1971-12-31", "2037-01-01", "2037-12-31"),
        *("2038-01-01", "2038-01-19", "2000-02-29", "2028-02-29", "2027-02-29", "2100-02-29"),
        *("2026-02-28", "2026-03-01", "2026-04-31", "2026-08-31", "2026-00-01", "2026-13-01"),
        *("2026-01-00", "2026-1-01", "02026-01-01", "-2026-01-01", "2026/01/01", "2026-01-1é"),
    )
    for between in "T t"
    for time in ("00:00:00", "23:59:59", "24:00:00", "12:60:00", "12:00:60", "1:00:00", "12:0a:00")
    for fraction in ("", ".", ".1", ".999999999999")
    for zone in (
        *("", "Z", "z", "ZZ", "+00:00", "-00:00", "+17:59", "-17:59", "+18:00", "-18:00", "+18:01"),
        *("+05:30", "-09:60", "+5:30", "+0530", " Z", "+05:30:00", "+05:3", "UTC", "Europe/Paris"),
    )
]
TEXTS = [
    *("", "a", "x" * 20, "x" * 21, "x" * 50, "x" * 51, "é" * 20, "é" * 21, "😀" * 50, "😀" * 51),
    *("\x7f", "\x1f", "\x00", "\t", "\\n", "\\u00e9", "\\ud800", '\\"', "\\", "\u2028", "/"),
    *("\udc80", "\ud800", "\ud83d\ude00", "\ufeff", "\uffff", "z" * 900, "z" * 1100),
]  # fmt: skip

#: Values in place of one of another type, at and beside the limits of what the module repairs.
INSTEAD = [
    *(
        "4711",
        "-5",
        "0",
        "-0",
        "007",
        "1.5",
        "2.0",
        "2.50",
        "-0.0",
        "0.0",
        "1e3",
        "2.",
        "true",
        "false",
    ),
    *(
        "tru",
        "truex",
        "falsey",
        "nul",
        "1" * 20,
        "1" * 21,
        "1" * 50,
        "1" * 51,
        "9" * 19,
        "-",
        "--1",
    ),
    *('""', '"x"', '"19.99"', '"2"', '"NaN"', '"-INF"', '"Infinity"', '"+INF"', '"+x"', '"nan"'),
    *('"\\u004eaN"', '"a\\nb"', '"é😀"', '"\\ud800"', '"\x1f"', '"', '"x', "[]", "{}", "[", "{"),
    *('[1,{"a":"\\\\"}]', '{"a":[1.5]}', '["NaN"]', "[1,]", "[" * 17 + "]" * 17),
    *("2026", "202611", "2026112", "-2026112", "-202611", "1766661330123", "-1766661330123"),
    *('"2026"', '"2026112"', '"+2026112"', '"-2026112"', '"1766661330123"', '"1766661330.5"'),
    *(
        '"yesterday"',
        '"now"',
        '"Tuesday"',
        '"T"',
        '"T10"',
        '"t10"',
        '"UTC"',
        '"é"',
        '" x"',
        '"10:15"',
    ),
    *('"2026-11-27"', '"27.11.2026"', '"@"', '"["', '"`"', '"{"', '"-"', '"-x"', '"1234567x"'),
]

#: Values of fields that nobody knows, at and beside what the module skips.
UNKNOWN = [
    *NUMBERS,
    *(f'"{text}"' for text in TEXTS),
    *('"%s"' % (character * 8 * count) for character in "xé😀" for count in (1, 2, 3)),
    *(
        f'"{"x" * before}{odd}{"x" * 9}"'
        for odd in ("\\", "\x1f", "\x00", "\x7f", "é")
        for before in range(10)
    ),
    *(
        f'"{"x" * before}\\{one}{"x" * after}"'
        for one in '"\\/bfnrtuxU0 '
        for before in (0, 7, 8)
        for after in (0, 9)
    ),
    *(
        f'"\\u{code}"'
        for code in ("0000", "00e9", "00E9", "d7ff", "D7FF", "d800", "dBFF", "dc00", "e000", "FFFF")
    ),
    *(f'"\\u{code}"' for code in ("", "0", "00e", "00eg", "g0e9", "00 9", "d83d\\ude00", "00e9\\")),
    *("true", "false", "null", "tru", "fals", "truefalse", "nullnull", "True", "falsey", "t", "f"),
    *("0" * count for count in (1, 2, 301)),
    *("1" * count for count in (299, 300, 301, 308, 310, 1001)),
    *("0." + "1" * count for count in (298, 299, 300, 999, 1001)),
    *("[]", "{}", "[ ]", "{ }", "[1]", "[1,]", "[,1]", "[1 2]", "[1,2 ]", "[", "]", "{", "}", "[}"),
    *("{]", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", '{"a":1 "b":2}', '{"a" : 1 , "b" : [ 2 ] }'),
    *(
        '{"a":1,"a":2}',
        '{"event_id":"other"}',
        '{"\\u0061":"\\ud83d\\ude00"}',
        '{"a":{"a":{"a":{}}}}',
    ),
    *('{"é":"é"}', '{"\x00":1}', '[null,true,false,-1.5,"",[],{}]', '["a]b","c}d"]', '["a\\"]"]'),
    *("[" * depth + "]" * depth for depth in (14, 15, 16, 17, 18, 999, 1000, 1001)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (15, 16, 17, 18)),
    "[" * 12 + "]" * 11,
]

digits = st.text("0123456789", min_size=1, max_size=17)
numbers = st.one_of(
    st.sampled_from(NUMBERS),
    st.integers(-(2**65), 2**65).map(str),
    st.integers(0, 1000).map(str),
    st.floats().map(repr),
    st.decimals(-10_000, 10_000, places=2).map(str),
    st.builds("{}{}.{}".format, st.sampled_from(["", "", "-"]), digits, digits),
)
escaped = st.text(max_size=55).map(json.dumps)
as_is = st.text(max_size=55).map(lambda text: f'"{text}"')
texts = st.one_of(
    escaped, as_is, as_is, st.sampled_from(TEXTS).map(lambda text: f'"{text}"'), st.just("null")
)
zones = st.sampled_from(["", "Z", "z", "+00:00"]) | st.builds(
    "{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 19), st.integers(0, 61)
)
moments = st.one_of(
    st.sampled_from(MOMENTS),
    st.text("0123456789-+:. TZ", max_size=30),
    st.builds(
        lambda moment, between, zone: moment.isoformat(between) + zone,
        st.datetimes() | st.datetimes(datetime(1970, 12, 30), datetime(2038, 1, 2)),
        st.sampled_from("T "),
        zones,
    ),
).map(lambda text: f'"{text}"')
anything = st.recursive(
    texts | numbers | st.sampled_from(UNKNOWN),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: f"[{','.join(found)}]"),
        st.lists(st.tuples(texts, inner), max_size=3).map(
            lambda found: f"{{{','.join(f'{name}:{value}' for name, value in found)}}}"
        ),
    ),
    max_leaves=6,
)
KINDS = {"price": numbers, "quantity": numbers, "timestamp": moments}
#: Mostly right, and mostly one of each; sometimes a field once more, or one that nobody knows.
members = st.tuples(
    st.fixed_dictionaries(
        {},
        optional={name: st.just(text) | KINDS.get(name, texts) for name, text in WHOLE.items()},
    ).map(lambda found: {**WHOLE, **found}),
    st.sets(st.sampled_from(list(WHOLE)), max_size=1),
    st.lists(st.tuples(st.sampled_from([*WHOLE, "other", "é", ""]), anything), max_size=2),
).flatmap(
    lambda found: st.permutations(
        [(name, text) for name, text in found[0].items() if name not in found[1]] + found[2]
    )
)
documents = st.builds(spelled, members, st.sampled_from(["", "", " ", "\n\t\r", "\x00", "\x0b"]))
