from array import array

REVISION: int

def scan(
    message: bytes,
    number: int,
    places: array[int],
    base: int,
    first_timestamp: int,
    append_time: bool,
    count: int,
) -> bool: ...
