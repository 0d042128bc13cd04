# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -ffp-contract=off
"""From the bytes of a whole event to the JSON of its row, compiled. See ``models/whole_events.py``.

It takes only what it is sure of, and answers None to all else: one object with known fields, each
once, none missing that a rule fills; texts without a backslash, in UTF-8, that fit their columns;
numbers of 15 digits at most, without an exponent; a timestamp as nearly every producer spells it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from libc.math cimport fabs
from libc.string cimport memcmp, memcpy, strlen

cdef extern from "Python.h":
    char *PyOS_double_to_string(double, char, int, int, int *)
    int Py_DTSF_ADD_DOT_0

# What ``models/whole_events.py`` expects: another number there means an old build.
REVISION = 2

ctypedef const unsigned char *Text

cdef enum:
    MAX_FIELDS = 32
    # Bytes of a value. Its row has no text that the value has not, but for a few numbers.
    MAX_VALUE = 1000
    MAX_ROW = 2000

cdef enum Kind:
    TEXT, INTEGER, PRICE, QUANTITY, TIMESTAMP, OTHER

# Powers of ten that a float64 holds exactly.
cdef double[16] TENS
cdef int _power
TENS[0] = 1
for _power in range(1, 16):
    TENS[_power] = TENS[_power - 1] * 10


cdef struct Part:
    # What the row has of a field, without quotes; NULL where it is null.
    Text start
    Py_ssize_t size

cdef struct Decimal:
    long long digits
    int places

cdef struct Event:
    unsigned int named
    Part[MAX_FIELDS] parts
    Decimal price
    int quantity
    unsigned char[19] moment


cdef inline Text skip_blanks(Text at, Text end) noexcept:
    while at < end and (at[0] == c' ' or at[0] == c'\n' or at[0] == c'\r' or at[0] == c'\t'):
        at += 1
    return at


cdef inline bint is_digit(Text at, Text end) noexcept:
    return at < end and c'0' <= at[0] <= c'9'


cdef Text read_text(Text at, Text end, Part *part, int limit):
    """Read a text behind its quote; NULL where it is none of ``limit`` characters at most."""
    cdef bint ascii = True
    cdef Py_ssize_t characters
    part.start = at
    while at < end and at[0] != c'"':
        if at[0] < c' ' or at[0] == c'\\':
            return NULL
        if at[0] >= 0x80:
            ascii = False
        at += 1
    if at == end:
        return NULL
    part.size = characters = at - part.start
    if not ascii:
        try:
            characters = len((<const char *>part.start)[:part.size].decode("utf-8"))
        except UnicodeDecodeError:
            return NULL
    return at + 1 if characters <= limit else NULL


cdef Text read_number(Text at, Text end, Decimal *found, bint fraction) noexcept:
    """Read a number; NULL where it is not as expected."""
    cdef bint negative = at[0] == c'-'
    cdef int count = 0, before = 0
    found.digits = 0
    at += negative
    if not is_digit(at, end) or (at[0] == c'0' and is_digit(at + 1, end)):
        return NULL
    while is_digit(at, end) or (fraction and at < end and at[0] == c'.' and is_digit(at + 1, end)):
        if at[0] == c'.':
            fraction, before = False, count
        else:
            found.digits = found.digits * 10 + (at[0] - c'0')
            count += 1
            if count > 15:
                return NULL
        at += 1
    found.places = count - before if before else 0
    # What follows decides, too; and there is a -0.0.
    if at < end and (at[0] == c'.' or at[0] == c'e' or at[0] == c'E') or negative and not found.digits:
        return NULL
    if negative:
        found.digits = -found.digits
    return at


cdef inline int two_digits(Text at) noexcept:
    """A number below 100; far below zero where it is none."""
    if not (c'0' <= at[0] <= c'9' and c'0' <= at[1] <= c'9'):
        return -10_000
    return (at[0] - c'0') * 10 + at[1] - c'0'


cdef inline void put_two(unsigned char *to, int number, char behind) noexcept:
    to[0] = c'0' + number // 10
    to[1] = c'0' + number % 10
    if behind:
        to[2] = behind


cdef inline int last_day(int month, int year) noexcept:
    return 28 + (year % 4 == 0) if month == 2 else 30 + (month + month // 8) % 2


cdef bint read_moment(Part *part, unsigned char *to) noexcept:
    """Spell a plain timestamp as ``YYYY-MM-DD HH:MM:SS`` in UTC; whether it is one that fits."""
    cdef Text at = part.start
    cdef Text end = at + part.size
    cdef int year, month, day, hour, minute, second, zone_hour, zone_minute, ahead = 0
    if part.size < 19 or at[4] != c'-' or at[7] != c'-' or at[13] != c':' or at[16] != c':':
        return False
    if at[10] != c'T' and at[10] != c' ':
        return False
    year = two_digits(at) * 100 + two_digits(at + 2)
    month, day = two_digits(at + 5), two_digits(at + 8)
    hour, minute, second = two_digits(at + 11), two_digits(at + 14), two_digits(at + 17)
    # Within these years no zone leads out of a TIMESTAMP, and every fourth is a leap year.
    if not (1971 <= year <= 2037 and 1 <= month <= 12 and 1 <= day <= last_day(month, year)):
        return False
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        return False
    memcpy(to, at, 19)
    to[10] = c' '
    at += 19
    if at < end and at[0] == c'.':
        at += 1
        while is_digit(at, end):
            at += 1
    if at == end or (at[0] == c'Z' and end - at == 1):
        return True
    if end - at != 6 or (at[0] != c'+' and at[0] != c'-') or at[3] != c':':
        return False
    zone_hour, zone_minute = two_digits(at + 1), two_digits(at + 4)
    if not (0 <= zone_hour <= 17 and 0 <= zone_minute <= 59):
        return False
    ahead = zone_hour * 60 + zone_minute
    minute += hour * 60 - (ahead if at[0] == c'+' else -ahead)
    # Less than a day either way.
    if minute < 0:
        minute += 1440
        day -= 1
        if day == 0:
            month = month - 1 if month > 1 else 12
            year -= month == 12
            day = last_day(month, year)
    elif minute >= 1440:
        minute -= 1440
        day += 1
        if day > last_day(month, year):
            day = 1
            month = month + 1 if month < 12 else 1
            year += month == 1
    put_two(to, year // 100, 0)
    put_two(to + 2, year % 100, c'-')
    put_two(to + 5, month, c'-')
    put_two(to + 8, day, c' ')
    put_two(to + 11, minute // 60, c':')
    put_two(to + 14, minute % 60, c':')
    return True


cdef Py_ssize_t put_decimal(unsigned char *to, long long digits, int places) noexcept:
    """Spell a decimal as ``repr`` spells its float64: of 15 digits at most it has the same ones.

    Returns:
        The bytes it has; 0 where it would have an exponent.
    """
    cdef unsigned char[24] backwards
    cdef Py_ssize_t count = 0, size = digits < 0
    if digits == 0:
        memcpy(to, b"0.0", 3)
        return 3
    if digits < 0:
        to[0] = c'-'
        digits = -digits
    if digits / TENS[places] < 1e-4:
        return 0
    if places == 0:
        digits *= 10
        places = 1
    while places > 1 and digits % 10 == 0:
        digits //= 10
        places -= 1
    while digits or count <= places:
        backwards[count] = c'0' + digits % 10
        digits //= 10
        count += 1
    while count:
        if count == places:
            to[size] = c'.'
            size += 1
        count -= 1
        to[size] = backwards[count]
        size += 1
    return size


cdef Py_ssize_t put_revenue(unsigned char *to, Decimal price, int quantity, double *revenue) noexcept:
    """Compute and spell the revenue as ``models.rules`` does; 0 bytes where it must look."""
    cdef double exact = price.digits / TENS[price.places], short = exact * quantity
    cdef float single = <float>exact
    cdef char *spelled
    cdef Py_ssize_t size
    # It would be -0.0. Numbers of 15 digits and of 9 do not multiply to more than a FLOAT holds.
    if not price.digits and quantity < 0 or price.digits < 0 and not quantity:
        return 0
    revenue[0] = <double>single * quantity
    if <float>short == <float>revenue[0]:
        revenue[0] = short
    if fabs(<double>price.digits * quantity) < 1e15 and (
        price.digits * quantity / TENS[price.places] == revenue[0]
    ):
        return put_decimal(to, price.digits * quantity, price.places)
    if not 1e-4 <= fabs(revenue[0]) < 1e15:
        return 0
    spelled = PyOS_double_to_string(revenue[0], c'r', 0, Py_DTSF_ADD_DOT_0, NULL)
    if spelled == NULL:
        return 0
    size = strlen(spelled)
    memcpy(to, spelled, size)
    PyMem_Free(spelled)
    return size


cdef class WholeEvents:
    """Makes rows; is told once which fields there are.

    Args:
        fields: name, kind and most characters of each field of an event.
        row: for each value of a row the place of its field, -1 for the revenue.
        required: places of the fields that may not be null.
    """

    cdef int count, width
    cdef list names
    cdef int[MAX_FIELDS] kinds
    cdef int[MAX_FIELDS] limits
    cdef int[MAX_FIELDS] row
    cdef bint[MAX_FIELDS] required

    def __init__(self, fields, row, required):
        self.names = [name.encode() for name, _, _ in fields]
        self.count, self.width = len(fields), len(row)
        if max(self.count, self.width) > MAX_FIELDS or len({*row}) < self.width:
            raise ValueError("too many fields, or one twice")
        for place, (_, kind, limit) in enumerate(fields):
            self.kinds[place] = kind
            self.limits[place] = limit or MAX_VALUE
            self.required[place] = place in required
        for place, field in enumerate(row):
            self.row[place] = field

    def rows(self, list values not None):
        """The row of each value as JSON, or None; and the sum of these rows' revenues."""
        cdef list found = []
        cdef double total = 0
        cdef Event event
        for value in values:
            if PyBytes_CheckExact(value) and self._read(value, &event):
                found.append(self._spell(&event, &total))
            else:
                found.append(None)
        return found, total

    cdef int _field(self, Text name, Py_ssize_t size, int expected) noexcept:
        """The place of the field of this name; most often the one after the last. -1 for none."""
        cdef int tried, place
        cdef bytes one
        for tried in range(self.count):
            place = (expected + tried) % self.count
            one = <bytes>self.names[place]
            if PyBytes_GET_SIZE(one) == size and not memcmp(PyBytes_AS_STRING(one), name, size):
                return place
        return -1

    cdef bint _read(self, bytes value, Event *event):
        """Whether the value is an event as expected; then it is in ``event``."""
        cdef Text at = <Text>PyBytes_AS_STRING(value)
        cdef Text end = at + PyBytes_GET_SIZE(value)
        cdef Part name
        cdef int place = -1
        event.named = event.price.digits = event.price.places = event.quantity = 0
        at = skip_blanks(at, end)
        if end - at > MAX_VALUE or at == end or at[0] != c'{':
            return False
        while True:
            at = skip_blanks(at + 1, end)
            if at == end or at[0] != c'"':
                return False
            at = read_text(at + 1, end, &name, MAX_VALUE)
            if at == NULL:
                return False
            place = self._field(name.start, name.size, place + 1)
            if place < 0 or event.named >> place & 1:
                return False
            event.named |= 1u << place
            at = skip_blanks(at, end)
            if at == end or at[0] != c':':
                return False
            at = self._read_value(skip_blanks(at + 1, end), end, event, place)
            if at == NULL:
                return False
            at = skip_blanks(at, end)
            if at == end or (at[0] != c',' and at[0] != c'}'):
                return False
            if at[0] == c'}':
                return skip_blanks(at + 1, end) == end

    cdef Text _read_value(self, Text at, Text end, Event *event, int place):
        cdef Part *part = &event.parts[place]
        cdef int kind = self.kinds[place]
        cdef Decimal number
        if at == end:
            return NULL
        if at[0] == c'n':
            part.start = NULL
            return at + 4 if end - at >= 4 and not memcmp(at, b"null", 4) else NULL
        if kind == TEXT or kind == TIMESTAMP:
            at = read_text(at + 1, end, part, self.limits[place]) if at[0] == c'"' else NULL
            if at != NULL and kind == TIMESTAMP:
                if not read_moment(part, event.moment):
                    return NULL
                part.start, part.size = event.moment, 19
            return at
        part.start = at
        at = read_number(at, end, &number, kind == PRICE)
        if at == NULL:
            return NULL
        if kind == PRICE:
            event.price = number
        elif at - part.start > 9 or kind == OTHER:
            return NULL
        elif kind == QUANTITY:
            event.quantity = <int>number.digits
        part.size = at - part.start
        return at

    cdef object _spell(self, Event *event, double *total):
        """The row of an event; None where that is not sure."""
        cdef unsigned char[MAX_ROW] text
        cdef unsigned char *to = text
        cdef double revenue = 0
        cdef Py_ssize_t size
        cdef Part part
        cdef int place, field
        for place in range(self.width):
            to[0] = c',' if place else c'['
            to += 1
            field = self.row[place]
            part = event.parts[max(field, 0)]
            if field < 0:
                size = put_revenue(to, event.price, event.quantity, &revenue)
            elif not event.named >> field & 1 or part.start == NULL:
                memcpy(to, b"null", 4)
                size = 0 if self.required[field] else 4
            elif self.kinds[field] == PRICE:
                size = put_decimal(to, event.price.digits, event.price.places)
            elif self.kinds[field] == TEXT or self.kinds[field] == TIMESTAMP:
                to[0] = to[part.size + 1] = c'"'
                memcpy(to + 1, part.start, part.size)
                size = part.size + 2
            else:
                memcpy(to, part.start, part.size)
                size = part.size
            if not size:
                return None
            to += size
        to[0] = c']'
        total[0] += revenue
        return (<char *>text)[: to + 1 - text]
