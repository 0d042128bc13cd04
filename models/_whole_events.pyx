# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -ffp-contract=off
"""From the bytes of events to the JSON of their rows, compiled. See ``models/whole_events.py``.

It takes only what it is sure of, and leaves all else: one object with known fields each
once; texts without a backslash, in UTF-8, that fit their columns; numbers of 15 digits at most,
without an exponent; a timestamp as nearly every producer spells it. It fills what is missing, and
repairs values of another type that are plain, as the rules do, with their flags.
Other fields are skipped, but for numbers with an exponent and escapes of half a surrogate pair.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport fabs
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy

from array import array as new_array

# What ``models/whole_events.py`` expects: another number there means an old build.
REVISION = 7

cdef enum:
    MAX_FIELDS = 32
    MAX_ROW = 16_000
    # Bytes of rows that there is room for from the start, and still is after a call.
    FEW_ROWS = 65_536
    MANY_ROWS = 1_048_576
    # Characters of a text whose column has no limit.
    MAX_TEXT = 500
    # A year has fewer digits: a number of so many is no timestamp.
    NO_YEAR = 7
    # Of what is skipped: characters of a text, digits of a number, and how deep objects nest.
    ANY = 0x7FFFFFFF
    MAX_DIGITS = 300
    MAX_DEPTH = 16

cdef enum Kind:
    TEXT, INTEGER, PRICE, QUANTITY, TIMESTAMP, OTHER

# Behind the last byte of a value there is a zero, as in all bytes objects: it ends whatever is read.
ctypedef const unsigned char *Text

# Powers of ten that a float64 holds exactly.
cdef double[16] TENS = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15]


# What a missing quantity is.
cdef Text ONE = b"1"

cdef array.array NO_FLAGS = new_array("Q")


cdef struct Part:
    # What the row has of a field, without quotes.
    Text start
    Py_ssize_t size, characters

cdef struct Decimal:
    long long digits
    int places

cdef struct Event:
    # Bits of fields: those that were named, and those that have a value.
    unsigned int named, valued
    uint64_t flags
    Part[MAX_FIELDS] parts
    Decimal price
    int quantity
    unsigned char[28] moment
    # Where filled texts are: there is room for a row's texts.
    unsigned char[MAX_ROW] spare

cdef struct Lines:
    # Rows, each with a line feed behind it: their bytes, and those that there is room for.
    unsigned char *start
    Py_ssize_t size, room


cdef int make_room(Lines *lines) except -1 nogil:
    """Make room for one more row."""
    cdef Py_ssize_t room = lines.room
    cdef unsigned char *start
    if room - lines.size <= MAX_ROW:
        room = max(FEW_ROWS, 2 * room)
        start = <unsigned char *>realloc(lines.start, room)
        if start == NULL:
            with gil:
                raise MemoryError
        lines.start, lines.room = start, room
    return 0


cdef bytes take(Lines *lines):
    """The rows, without the last line feed."""
    cdef Py_ssize_t size = lines.size
    lines.size = 0
    return PyBytes_FromStringAndSize(<char *>lines.start, max(0, size - 1))


cdef Part part_of(bytes text):
    """All of a text, as long as it is kept elsewhere."""
    cdef Part part
    part.start, part.size, part.characters = <Text>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), 0
    return part


cdef inline Text skip_blanks(Text at, Text end) noexcept nogil:
    while at < end and (at[0] == c' ' or at[0] == c'\n' or at[0] == c'\r' or at[0] == c'\t'):
        at += 1
    return at


cdef inline bint is_digit(Text at, Text end) noexcept nogil:
    return at < end and c'0' <= at[0] <= c'9'


cdef inline bint are_plain(Text at) noexcept nogil:
    """Whether eight bytes are ASCII, and none of them a quote, a backslash or a control."""
    cdef uint64_t eight, ones = 0x0101010101010101, found
    memcpy(&eight, at, 8)
    found = eight | (eight - ones * c' ')
    found |= ((eight ^ ones * c'"') - ones) | ((eight ^ ones * c'\\') - ones)
    return not found & ones * 0x80


cdef inline Text skip_escape(Text at, Text end) noexcept nogil:
    """The last byte of an escape; NULL where it is none, or perhaps of half a surrogate pair."""
    cdef int digit
    if end - at < 6 or at[1] != c'u':
        return at + 1 if end - at > 1 and memchr(b'"\\/bfnrt', at[1], 8) else NULL
    for digit in range(2, 6):
        if not memchr(b"0123456789abcefABCEFdD", at[digit], 20 if digit == 2 else 22):
            return NULL
    return at + 5


cdef Py_ssize_t count_characters(Text start, Py_ssize_t size) noexcept with gil:
    """How many characters bytes have; -1 where they are not UTF-8, or too many for the memory."""
    try:
        return len((<const char *>start)[:size].decode("utf-8"))
    except (UnicodeDecodeError, MemoryError):
        return -1


cdef Text read_text(Text at, Text end, Part *part, int limit) noexcept nogil:
    """Read a text behind its quote; NULL where it is none of ``limit`` characters at most."""
    cdef bint ascii = True
    cdef Py_ssize_t characters
    part.start = at
    while at[0] != c'"':
        if end - at >= 8 and are_plain(at):
            at += 8
            continue
        if at[0] == c'\\':
            at = skip_escape(at, end) if limit == ANY else NULL
        if at == NULL or at[0] < c' ':
            return NULL
        ascii = ascii and at[0] < 0x80
        at += 1
    part.size = characters = at - part.start
    if not ascii:
        characters = count_characters(part.start, part.size)
    part.characters = characters
    return at + 1 if 0 <= characters <= limit else NULL


cdef Text read_number(Text at, Text end, Decimal *found, bint fraction, int limit) noexcept nogil:
    """Read a number; NULL where it is not as expected. It keeps 15 digits, of those it may have."""
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
            count += 1
            if count <= 15:
                found.digits = found.digits * 10 + (at[0] - c'0')
        at += 1
    found.places = count - before if before else 0
    # What follows decides, too; and there is a -0.0.
    if count > limit or at < end and at[0] in (c'.', c'e', c'E') or negative and not found.digits:
        return NULL
    if negative:
        found.digits = -found.digits
    return at


cdef inline void cut(Part *part, Py_ssize_t characters) noexcept nogil:
    """Cut a text after so many characters."""
    cdef Text at = part.start, end = at + part.size
    if part.characters <= characters:
        return
    part.characters = characters
    while at < end and (characters or at[0] & 0xC0 == 0x80):
        characters -= at[0] & 0xC0 != 0x80
        at += 1
    part.size = at - part.start


cdef inline Py_ssize_t put_text(unsigned char *to, Part part) noexcept nogil:
    to[0] = to[part.size + 1] = c'"'
    memcpy(to + 1, part.start, part.size)
    return part.size + 2


cdef inline int two_digits(Text at) noexcept nogil:
    """A number below 100; far below zero where it is none."""
    cdef int tens = at[0] - c'0', ones = at[1] - c'0'
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -10_000


cdef inline int last_day(int month, int year) noexcept nogil:
    return 28 + (year % 4 == 0) if month == 2 else 30 + (month + month // 8) % 2


cdef bint read_moment(Part *part, unsigned char *to) noexcept nogil:
    """Spell a plain timestamp as ``models.timestamps`` does; whether it is one."""
    cdef Text start = part.start, at = start + 19, end = start + part.size
    cdef int year, month, day, hour, minute, second, zone_hour, zone_minute, place
    cdef int[6] numbers
    if part.size < 19 or start[4] != c'-' or start[7] != c'-' or start[13] != c':' or start[16] != c':':
        return False
    year = two_digits(start) * 100 + two_digits(start + 2)
    month, day = two_digits(start + 5), two_digits(start + 8)
    hour, minute, second = two_digits(start + 11), two_digits(start + 14), two_digits(start + 17)
    # No zone leads out of a TIMESTAMP then, and every fourth is a leap year.
    if not (1971 <= year <= 2037 and 1 <= month <= 12 and 1 <= day <= last_day(month, year)):
        return False
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59 and start[10] in (c'T', c' ')):
        return False
    part.start, part.size = to, 19
    if at < end and at[0] == c'.':
        at += 1
        while is_digit(at, end):
            # Microseconds at most, and no zeros at their end.
            if at - start < 26 and at[0] != c'0':
                part.size = at - start + 1
            at += 1
    memcpy(to, start, part.size)
    to[10] = c' '
    if at == end or (at[0] == c'Z' and end - at == 1):
        return True
    if end - at != 6 or (at[0] != c'+' and at[0] != c'-') or at[3] != c':':
        return False
    zone_hour, zone_minute = two_digits(at + 1), two_digits(at + 4)
    if not (0 <= zone_hour <= 17 and 0 <= zone_minute <= 59):
        return False
    minute += hour * 60 + (zone_hour * 60 + zone_minute) * (-1 if at[0] == c'+' else 1)
    # Less than a day either way.
    if minute < 0:
        day -= 1
        if day == 0:
            month = month - 1 or 12
            year -= month == 12
            day = last_day(month, year)
    elif minute >= 1440:
        day += 1
        if day > last_day(month, year):
            day = 1
            month = month % 12 + 1
            year += month == 1
    minute = (minute + 1440) % 1440
    numbers = [year // 100, year % 100, month, day, minute // 60, minute % 60]
    for place in range(6):
        to[3 * place - (place > 0)] = c'0' + numbers[place] // 10
        to[3 * place - (place > 0) + 1] = c'0' + numbers[place] % 10
    return True


cdef inline bint is_no_moment(Part *part) noexcept nogil:
    """Whether no timestamp begins like that: with a letter, but T, or with too many digits."""
    cdef unsigned char first = part.start[0] | 0x20
    cdef Py_ssize_t place
    if part.size == 0 or c'a' <= first <= c'z':
        return part.size == 0 or part.start[0] != c'T'
    for place in range(part.start[0] == c'-', part.size):
        if not c'0' <= part.start[place] <= c'9':
            return False
    return part.size >= NO_YEAR + (part.start[0] == c'-')


cdef Py_ssize_t put_decimal(unsigned char *to, long long digits, int places) noexcept nogil:
    """Spell a decimal of at most 15 digits as ``repr`` does; 0 bytes where that has an exponent."""
    cdef unsigned char[24] backwards
    cdef Py_ssize_t count = 0, size = digits < 0
    if digits < 0:
        to[0] = c'-'
        digits = -digits
    if digits and digits / TENS[places] < 1e-4:
        return 0
    if places == 0:
        digits, places = digits * 10, 1
    while places > 1 and digits % 10 == 0:
        digits, places = digits // 10, places - 1
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


cdef Py_ssize_t put_double(unsigned char *to, double number) except -1 with gil:
    """Spell a number as ``repr`` does."""
    cdef bytes spelled = repr(number).encode()
    memcpy(to, PyBytes_AS_STRING(spelled), PyBytes_GET_SIZE(spelled))
    return PyBytes_GET_SIZE(spelled)


cdef Py_ssize_t put_revenue(
    unsigned char *to, Decimal price, int quantity, double *revenue
) except -1 nogil:
    """Compute and spell the revenue as ``models.rules`` does; 0 bytes where it must look."""
    cdef double exact = price.digits / TENS[price.places], short = exact * quantity
    cdef float single = <float>exact
    # It would be -0.0. Numbers of 15 digits and of 9 do not multiply to more than a FLOAT holds.
    if not price.digits and quantity < 0 or price.digits < 0 and not quantity:
        return 0
    revenue[0] = <double>single * <float>quantity
    if <float>short == <float>revenue[0]:
        revenue[0] = short
    if fabs(<double>price.digits * quantity) < 1e15 and (
        price.digits * quantity / TENS[price.places] == revenue[0]
    ):
        return put_decimal(to, price.digits * quantity, price.places)
    if not 1e-4 <= fabs(revenue[0]) < 1e15:
        return 0
    return put_double(to, revenue[0])


cdef class WholeEvents:
    """Makes rows; is told once which fields there are.

    Args:
        fields: of each field of an event its name, kind and most characters; the flags of a row
            in which it was filled or is of another type, 0 where that is left to the rules; what a
            filled text begins with, and how many characters of the product follow.
        row: for each value of a row the place of its field, -1 for the revenue.
        required: places of the fields that may not be null.
        product: place of the field that texts are filled from.
        unparsable: the flag of a text that is no timestamp.

    Raises:
        ValueError: they are too many or too long; the text is what there is room for.
    """

    cdef Lines lines
    cdef int count, width, product
    cdef list names, prefixes
    # The same, where they lie.
    cdef Part[MAX_FIELDS] name_texts, prefix_texts
    cdef int[MAX_FIELDS] kinds, limits, row, taken
    # Bits of fields.
    cdef unsigned int required, filled_texts, filled
    cdef uint64_t unparsable
    cdef uint64_t[MAX_FIELDS] filled_flags, repaired_flags

    def __init__(self, fields, row, required, int product, uint64_t unparsable):
        self.names = [field[0].encode() for field in fields]
        self.prefixes = [field[5].encode() for field in fields]
        self.count, self.width = len(fields), len(row)
        # A text may have four bytes a character, and a number the digits of two.
        room = sum(4 * (limit or MAX_TEXT) * (kind == TEXT) + 40 for _, kind, limit, *_ in fields)
        most = max(self.count, self.width)
        if most > MAX_FIELDS:
            raise ValueError(f"{MAX_FIELDS} fields, not for {most}")
        if room > MAX_ROW:
            name, _, limit, *_ = max(fields, key=lambda field: field[2] or 0)
            raise ValueError(
                f"rows of {MAX_ROW:,} bytes, not of {room:,}: "
                f"the longest field, {name}, has {limit:,} characters"
            )
        if len({*row}) < self.width:
            raise ValueError("each field once")
        self.product, self.unparsable = product, unparsable
        for place, (_, kind, limit, filled, repaired, _, taken) in enumerate(fields):
            self.kinds[place], self.limits[place] = kind, limit or MAX_TEXT
            self.filled_flags[place], self.repaired_flags[place] = filled, repaired
            self.taken[place] = taken
            self.name_texts[place] = part_of(<bytes>self.names[place])
            self.prefix_texts[place] = part_of(<bytes>self.prefixes[place])
            self.required |= <unsigned int>(place in required) << place
            self.filled |= <unsigned int>(filled != 0) << place
        for place, field in enumerate(row):
            self.row[place] = field

    def __dealloc__(self):
        free(self.lines.start)

    def rows(self, values):
        """Make the rows of values.

        Returns:
            The rows as JSON lines, in texts that end before each value that has none, and with the
            last value; the places of these values; the flags of each value; the sum of revenues.

        Raises:
            ValueError: a packed value lies outside of its message.
        """
        # Taken, so that no other call finds it.
        cdef Lines lines = self.lines
        self.lines.start, self.lines.room = NULL, 0
        try:
            if isinstance(values, list):
                return self._listed(values, &lines)
            return self._packed(values.messages, values.which, values.starts, values.sizes, &lines)
        finally:
            free(self.lines.start)
            if lines.room > MANY_ROWS:
                free(lines.start)
                lines.start, lines.room = NULL, 0
            lines.size = 0
            self.lines = lines

    cdef tuple _listed(self, list values, Lines *lines):
        cdef double total = 0
        cdef Py_ssize_t place, count = len(values)
        cdef list texts = [], others = []
        cdef array.array flags = array.clone(NO_FLAGS, count, True)
        for place in range(count):
            value = values[place]
            if not PyBytes_CheckExact(value) or not self._row(
                <Text>PyBytes_AS_STRING(value),
                PyBytes_GET_SIZE(value),
                &total,
                &flags.data.as_ulonglongs[place],
                lines,
            ):
                texts.append(take(lines))
                others.append(place)
        texts.append(take(lines))
        return texts, others, flags, total

    cdef tuple _packed(
        self,
        list messages,
        const long long[::1] which,
        const long long[::1] starts,
        const long long[::1] sizes,
        Lines *lines,
    ):
        cdef double total = 0
        cdef Py_ssize_t place, number, size, count = which.shape[0]
        cdef list texts = [], others = []
        cdef array.array flags = array.clone(NO_FLAGS, count, True)
        cdef unsigned long long *flag = flags.data.as_ulonglongs
        cdef bint has_row
        cdef Text start
        # Held, and where they lie: the interpreter's lock is released below.
        cdef tuple held = tuple(messages)
        cdef Py_ssize_t many = len(held)
        cdef Part *parts = <Part *>malloc(max(1, many) * sizeof(Part))
        if parts == NULL:
            raise MemoryError
        try:
            if starts.shape[0] != count or sizes.shape[0] != count:
                raise ValueError("a start and a size for each value")
            for number in range(many):
                if not PyBytes_CheckExact(held[number]):
                    raise ValueError(f"message {number} is not of bytes")
                parts[number] = part_of(held[number])
            for place in range(count):
                if not 0 <= which[place] < many:
                    raise ValueError(f"no message {which[place]}")
                size = parts[which[place]].size
                if not 0 <= starts[place] <= size or not -1 <= sizes[place] <= size - starts[place]:
                    raise ValueError(f"no value at {starts[place]}")
            with nogil:
                for place in range(count):
                    start, size = parts[which[place]].start + starts[place], sizes[place]
                    if size < 0:
                        has_row = False
                    elif start[size]:
                        has_row = self._copied(start, size, &total, &flag[place], lines)
                    else:
                        has_row = self._row(start, size, &total, &flag[place], lines)
                    if not has_row:
                        with gil:
                            texts.append(take(lines))
                            others.append(place)
        finally:
            free(parts)
        texts.append(take(lines))
        return texts, others, flags, total

    cdef int _copied(
        self, Text value, Py_ssize_t size, double *total, unsigned long long *flags, Lines *lines
    ) except -1 with gil:
        """The same for a value that does not end with a zero."""
        cdef bytes copy = PyBytes_FromStringAndSize(<const char *>value, size)
        return self._row(<Text>PyBytes_AS_STRING(copy), size, total, flags, lines)

    cdef int _row(
        self, Text value, Py_ssize_t size, double *total, unsigned long long *flags, Lines *lines
    ) except -1 nogil:
        """Add the row of a value; whether it has one."""
        cdef Event event
        if not self._read(value, value + size, &event):
            return False
        make_room(lines)
        if not self._spell(&event, total, lines):
            return False
        flags[0] = event.flags
        return True

    cdef int _field(self, Text name, Py_ssize_t size, int expected) noexcept nogil:
        """The place of the field of this name; most often the one after the last. -1 for none."""
        cdef int tried, place = expected
        cdef Part known
        for tried in range(self.count):
            if place >= self.count:
                place = 0
            known = self.name_texts[place]
            if known.size == size and not memcmp(known.start, name, size):
                return place
            place += 1
        return -1

    cdef bint _read(self, Text start, Text end, Event *event) noexcept nogil:
        """Whether the value is an event as expected; then it is in ``event``, and filled."""
        cdef Text at = skip_blanks(start, end)
        event.named = event.valued = event.price.digits = event.price.places = event.quantity = 0
        event.flags = 0
        at = self._members(at, end, event, 0) if at[0] == c'{' else NULL
        if at == NULL or skip_blanks(at, end) != end:
            return False
        if self.filled & ~event.valued:
            self._fill(event)
        return not self.required & ~event.valued

    cdef void _fill(self, Event *event) noexcept nogil:
        """Fill what is missing, as far as it fits."""
        cdef unsigned char *spare = event.spare
        cdef int place
        for place in range(self.count):
            if not (self.filled & ~event.valued) >> place & 1:
                continue
            if self.kinds[place] == TEXT:
                if not self._fill_text(event, place, &spare):
                    continue
            elif self.kinds[place] == QUANTITY:
                event.parts[place].start = ONE
                event.parts[place].size = event.quantity = 1
            event.valued |= 1u << place
            event.flags |= self.filled_flags[place]

    cdef bint _fill_text(self, Event *event, int place, unsigned char **spare) noexcept nogil:
        """Fill a text from the product, where there is one and the text fits."""
        cdef Py_ssize_t before = self.prefix_texts[place].size
        cdef Part product = event.parts[self.product]
        cdef unsigned char *to = spare[0]
        if not event.valued >> self.product & 1:
            return False
        cut(&product, self.taken[place])
        if before + product.characters > self.limits[place]:
            return False
        memcpy(to, self.prefix_texts[place].start, before)
        memcpy(to + before, product.start, product.size)
        event.parts[place].start, event.parts[place].size = to, before + product.size
        spare[0] = to + before + product.size
        return True

    cdef Text _members(self, Text at, Text end, Event *event, int depth) noexcept nogil:
        """Read the fields of the event or, below it, skip an object or an array."""
        cdef unsigned char closing = at[0] + 2
        cdef Part name
        cdef int place = -1
        at = skip_blanks(at + 1, end)
        if at[0] == closing:
            return at + 1
        while True:
            if closing == c'}':
                at = read_text(at + 1, end, &name, ANY if depth else MAX_TEXT) if at[0] == c'"' else NULL
                at = skip_blanks(at, end) if at != NULL else end
                if at[0] != c':':
                    return NULL
                at = skip_blanks(at + 1, end)
            place = -1 if depth else self._field(name.start, name.size, place + 1)
            if place < 0:
                at = self._skip(at, end, depth)
            elif event.named >> place & 1:
                return NULL
            else:
                event.named |= 1u << place
                at = self._read_value(at, end, event, place)
            at = skip_blanks(at, end) if at != NULL else end
            if at[0] != c',':
                return at + 1 if at[0] == closing else NULL
            at = skip_blanks(at + 1, end)

    cdef Text _skip(self, Text at, Text end, int depth) noexcept nogil:
        """Skip a value; NULL where that is not sure."""
        cdef Part text
        cdef Decimal number
        if at[0] == c'"':
            return read_text(at + 1, end, &text, ANY)
        if at[0] == c'{' or at[0] == c'[':
            return self._members(at, end, NULL, depth + 1) if depth < MAX_DEPTH else NULL
        if end - at > 4 and (not memcmp(at, b"null", 4) or not memcmp(at, b"true", 4)):
            return at + 4
        if end - at > 4 and not memcmp(at, b"false", 5):
            return at + 5
        return read_number(at, end, &number, True, MAX_DIGITS)

    cdef Text _read_value(self, Text at, Text end, Event *event, int place) noexcept nogil:
        cdef int kind = self.kinds[place]
        if at[0] == c'n':
            return at + 4 if end - at >= 4 and not memcmp(at, b"null", 4) else NULL
        if kind == TEXT or kind == TIMESTAMP:
            return self._read_text(at, end, event, place)
        return self._read_number(at, end, event, place) if kind != OTHER else NULL

    cdef Text _read_text(self, Text at, Text end, Event *event, int place) noexcept nogil:
        """Read a text or a timestamp, or an integer or a boolean that becomes a text."""
        cdef Part *part = &event.parts[place]
        cdef Decimal number
        if at[0] == c'"':
            at = read_text(at + 1, end, part, self.limits[place])
        elif not self.repaired_flags[place]:
            return NULL
        else:
            event.flags |= self.repaired_flags[place]
            part.start = at
            if at[0] == c't' or at[0] == c'f':
                at = self._skip(at, end, 0)
            else:
                at = read_number(at, end, &number, False, MAX_DIGITS)
            part.size = part.characters = at - part.start if at != NULL else 0
            if part.size > self.limits[place]:
                return NULL
        if at == NULL:
            return NULL
        if self.kinds[place] == TIMESTAMP:
            if is_no_moment(part):
                event.flags |= self.unparsable
                return at
            if not read_moment(part, event.moment):
                return NULL
        event.valued |= 1u << place
        return at

    cdef Text _read_number(self, Text at, Text end, Event *event, int place) noexcept nogil:
        """Read a number, or what is none and becomes null."""
        cdef Part *part = &event.parts[place]
        cdef int kind = self.kinds[place]
        cdef Decimal number
        part.start = at
        number.places = 0
        if at[0] == c'-' or is_digit(at, end):
            at = read_number(at, end, &number, True, 15)
            if at == NULL:
                return NULL
            if kind == PRICE or not number.places:
                if kind == PRICE:
                    event.price = number
                elif at - part.start > 9:
                    return NULL
                elif kind == QUANTITY:
                    event.quantity = <int>number.digits
                part.size = at - part.start
                event.valued |= 1u << place
                return at
        else:
            # Words like NaN, and what may spell one, are for the rules.
            if at[0] == c'"' and end - at > 1 and memchr(b"NI+-", at[1], 4):
                return NULL
            at = self._skip(at, end, 0)
            if at == NULL or memchr(part.start, c'\\', at - part.start):
                return NULL
        event.flags |= self.repaired_flags[place]
        return at if self.repaired_flags[place] else NULL

    cdef int _spell(self, Event *event, double *total, Lines *lines) except -1 nogil:
        """Add the row of an event; whether that is sure."""
        cdef unsigned char *to = lines.start + lines.size
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
            elif not event.valued >> field & 1:
                memcpy(to, b"null", 4)
                size = 4
            elif self.kinds[field] == PRICE:
                size = put_decimal(to, event.price.digits, event.price.places)
            elif self.kinds[field] == TEXT or self.kinds[field] == TIMESTAMP:
                size = put_text(to, part)
            else:
                memcpy(to, part.start, part.size)
                size = part.size
            if not size:
                return False
            to += size
        to[0], to[1] = c']', c'\n'
        lines.size = to + 2 - lines.start
        total[0] += revenue
        return True
