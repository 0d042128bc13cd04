"""The circuit breaker's decisions, against any order of what may happen to a partition."""

from hypothesis import given
from hypothesis import strategies as st

from agents.flash_sales import FLASH_SALES
from pipeline.batch import Refused
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.helpers.breaker import NOW, breaker, chunk

T0 = Partition("t", 0)


def refused(*offsets):
    return [Refused(T0, offset, "the database says: CHECK `no_free`") for offset in offsets]


def test_each_partition_is_judged_by_itself():
    state = breaker()
    for start in (0, 5):
        assert state.admit(chunk(start, good=5, partition=1))
    assert state.admit(chunk(0, bad=5))
    assert not state.admit(chunk(5, bad=5))
    assert not state.admit(chunk(10, good=5)), "what comes behind it must not overtake it"
    assert state.admit(chunk(10, good=5, partition=1))
    (opening,) = state.open.values()
    assert (opening.partition, opening.opened) == (T0, NOW)
    assert opening.reason.startswith("10 of the last 10 events would be dropped, most of them mal")
    assert "such as t/0/9: " in opening.reason, "the newest"


def test_a_window_that_is_not_full_opens_nothing_and_old_events_leave_it():
    state = breaker()
    assert state.admit(chunk(0, bad=9))
    assert state.admit(chunk(9, good=8))
    for start in range(17, 26):
        assert state.admit(chunk(start, bad=1))
    assert not state.admit(chunk(26, bad=1)), "9 of the newest 10"


def test_a_share_of_none_turns_it_off():
    state = breaker(share=0)
    assert state.admit(chunk(0, bad=100))
    state.stored(T0, 0, refused(*range(100)))
    assert not state.open


def test_closed_it_is_read_again_from_what_was_dropped_and_that_goes_through():
    state = breaker()
    assert state.admit(chunk(0, bad=5))
    assert not state.admit(chunk(5, bad=10))
    assert not state.admit(chunk(15, bad=10))
    assert state.close(T0) == 5
    assert not state.open
    assert not state.admit(chunk(25, bad=5)), "on its way before reading went back"
    assert state.admit(chunk(5, bad=20))
    assert state.admit(chunk(25, bad=9)), "the window begins empty"
    assert not state.admit(chunk(34, bad=1))


def test_rows_the_database_refuses_open_it():
    state = breaker()
    assert state.admit(chunk(0, good=100))
    state.stored(T0, 20, [])
    for offset in range(20, 30):
        assert not state.open
        state.stored(T0, 0, refused(offset))
    (opening,) = state.open.values()
    assert opening.reason == (
        "10 of the last 10 rows were rejected, most of them unstorable, such as t/0/29: "
        "the database says: CHECK `no_free`"
    )
    assert not state.admit(chunk(100, good=5))
    assert state.close(T0) == 100


def test_refused_now_and_then_they_do_not():
    state = breaker()
    for offset in range(0, 200, 2):
        state.stored(T0, 1, refused(offset))
    assert not state.open


def test_without_an_event_dropped_there_is_nothing_to_go_back_to():
    state = breaker()
    state.stored(T0, 0, refused(*range(10)))
    assert state.close(T0) is None


def test_nothing_is_known_of_partitions_that_were_taken_away():
    state = breaker()
    assert not state.admit(chunk(50, bad=10))
    state.forget()
    assert not state.open
    assert state.admit(chunk(40, bad=9)), "read from where it is stored, with an empty window"


def test_markers_alone_fill_no_memory():
    state = breaker()
    for offset in range(100):
        state.admit(Chunk(FLASH_SALES, T0, offset, offset + 1))
    assert not state._states[T0].read._seen


class Source:
    """A partition as a worker reads it: held or not, some fetches ahead of the agent."""

    def __init__(self) -> None:
        self.position = 0
        self.held = False
        self.queue: list[Chunk] = []
        self.passed: list[int] = []
        self.stored = 0

    def fetch(self, events: int, bad: bool) -> None:
        good, broken = (0, events) if bad else (events, 0)
        new = chunk(self.position, good=good, bad=broken)
        self.position += events
        self.queue.append(new)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("fetch"), st.integers(1, 6), st.booleans()),
            st.tuples(st.sampled_from(["take", "take", "close", "hold", "store", "revoke"])),
            st.tuples(st.just("refuse")),
        ),
        max_size=80,
    )
)
def test_every_event_goes_on_once_and_in_order_whatever_happens(steps):
    state = breaker(window=8, share=0.5)
    source = Source()
    key = T0

    def take() -> None:
        found = source.queue.pop(0)
        if state.admit(found):
            source.passed += range(found.start, found.end)

    for step, *arguments in steps:
        if step == "fetch" and not source.held:
            source.fetch(*arguments)
        elif step == "take" and source.queue:
            take()
        elif step == "hold":
            # Some fetches come between the opening and the hold, others wait already.
            source.held = key in state.open
        elif step == "refuse":
            state.stored(T0, 0, refused(0))
        elif step == "store":
            source.stored = len(source.passed)
            state.stored(T0, 1, [])
        elif step == "close" and key in state.open:
            resume = state.close(key)
            if resume is not None:
                source.position = resume
            source.held = False
        elif step == "revoke":
            state.forget()
            source.queue.clear()
            del source.passed[source.stored :]
            source.position = source.stored
            source.held = False
        assert source.passed == list(range(len(source.passed)))
    for _ in range(2):
        while source.queue:
            take()
        if key in state.open and (resume := state.close(key)) is not None:
            source.position = resume
        source.fetch(3, bad=False)
    while source.queue:
        take()
    assert source.passed == list(range(source.position)), "nothing is left out for good"
