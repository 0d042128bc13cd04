"""The circuit breaker's decisions, against any order of what may happen to a partition."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.circuit_breaker import BACKLOG, CircuitBreaker
from agents.flash_sales import FLASH_SALES
from pipeline.batch import Refused
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.helpers.breaker import Clock, breaker, chunk

T0 = Partition("t", 0)


def refused(*offsets):
    return [Refused(T0, offset, "the database says: CHECK `no_free`") for offset in offsets]


def offsets(part):
    return None if part is None else (part.start, part.end)


def test_each_partition_is_judged_by_itself():
    state = breaker()
    for start in (0, 5):
        assert state.admit(chunk(start, good=5, partition=1))
    assert state.admit(chunk(0, bad=5))
    assert not state.admit(chunk(5, bad=5))
    assert not state.admit(chunk(10, good=5)), "what comes behind it must not overtake it"
    assert state.admit(chunk(10, good=5, partition=1))
    (opening,) = state.open.values()
    assert opening.partition == T0
    assert state.held == {T0}
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
    state.stored(T0, 0, refused(*range(100)), 100)
    assert not state.open


def opened(pause=30.0):
    """A breaker that is open from offset 0 on, and its clock."""
    clock = Clock()
    state = breaker(pause=pause, clock=clock)
    assert not state.admit(chunk(0, bad=25))
    return state, clock


def test_an_attempt_lets_exactly_one_window_through():
    state, clock = opened()
    assert (state.due, state.next_due) == ([], clock.now + 30)
    clock.now += 30
    assert state.due == [T0]
    state.attempt(T0, is_backlog=False)
    assert state.take_rewinds() == {T0: 0}
    assert state.take_rewinds() == {}, "once"
    assert not state.held
    assert state.admit(chunk(25, bad=5)) is None, "on its way before reading went back"
    assert offsets(state.admit(chunk(0, bad=25))) == (0, 10)
    assert state.held == {T0}
    assert "10 of the last 10 events were dropped" in state.open[T0].reason
    state.stored(T0, 0, [], 10)
    assert state.held == {T0}


def test_a_pause_doubles_up_to_ten_minutes():
    state, clock = opened()
    pauses, start = [], 0
    for _ in range(8):
        pauses.append(state.next_due - clock.now)
        clock.now = state.next_due
        state.attempt(T0, is_backlog=False)
        assert offsets(state.admit(chunk(start, bad=25))) == (start, start + 10)
        start += 10
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]


def test_a_good_window_closes_it_once_it_is_stored():
    state, clock = opened()
    clock.now += 30
    state.attempt(T0, is_backlog=False)
    state.take_rewinds()
    assert offsets(state.admit(chunk(0, bad=8, good=12))) == (0, 10)
    assert state.held == {T0}, "until the database has taken it"
    assert state.admit(chunk(20, good=5)) is None
    state.stored(T0, 2, [], 10)
    assert not state.open
    assert state.take_rewinds() == {T0: 10}
    assert state.admit(chunk(25, good=5)) is None
    assert state.admit(chunk(10, good=20))


@pytest.mark.parametrize(
    ("bad", "is_closed"), [(8, True), (9, False)], ids=["below the share", "at the share"]
)
def test_a_half_good_window_is_judged_by_the_share(bad, is_closed):
    state, clock = opened()
    clock.now += 30
    state.attempt(T0, is_backlog=False)
    state.admit(chunk(0, bad=bad, good=10 - bad))
    state.stored(T0, 10 - bad, [], 10)
    assert (not state.open) is is_closed


def test_few_good_events_close_it_before_the_window_is_full():
    state, clock = opened()
    clock.now += 30
    state.attempt(T0, is_backlog=False)
    state.take_rewinds()
    assert state.admit(chunk(0, good=1))
    state.stored(T0, 1, [], 1)
    assert state.is_half_open(T0), "nine bad ones may follow"
    assert not state.held, "what comes in flows"
    assert state.admit(chunk(1, good=1))
    state.stored(T0, 1, [], 2)
    assert not state.open
    assert not state.take_rewinds(), "nothing was dropped"


def test_duplicates_are_not_bad():
    state, clock = opened()
    clock.now += 30
    state.attempt(T0, is_backlog=False)
    state.admit(chunk(0, good=10))
    state.stored(T0, 0, [], 9)
    assert state.held == {T0}
    state.stored(T0, 0, [], 10)
    assert not state.open


def test_a_backlog_passes_ten_windows_at_a_time_without_longer_pauses():
    state, clock = opened()
    for start in (0, 100):
        clock.now = state.next_due
        state.attempt(T0, is_backlog=True)
        assert offsets(state.admit(chunk(start, bad=60))) == (start, start + 60)
        assert offsets(state.admit(chunk(start + 60, bad=60))) == (start + 60, start + 100)
        assert state.next_due == clock.now + 30
    clock.now += 30
    state.attempt(T0, is_backlog=True)
    state.admit(chunk(200, bad=10))
    state.admit(chunk(210, good=2))
    state.stored(T0, 2, [], 212)
    assert not state.open
    assert BACKLOG == 10


def test_rows_the_database_refuses_open_it_and_end_an_attempt():
    clock = Clock()
    state = breaker(pause=30, clock=clock)
    assert state.admit(chunk(0, good=100))
    state.stored(T0, 20, [], 20)
    for offset in range(20, 30):
        assert not state.open
        state.stored(T0, 0, refused(offset), offset + 1)
    (opening,) = state.open.values()
    assert opening.reason == (
        "10 of the last 10 rows were rejected, most of them unstorable, such as t/0/29: "
        "the database says: CHECK `no_free`"
    )
    assert opening.is_by_database
    assert not state.admit(chunk(100, good=5))
    clock.now += 30
    state.attempt(T0, is_backlog=False)
    assert state.take_rewinds() == {T0: 100}
    assert offsets(state.admit(chunk(100, good=30))) == (100, 110)
    state.stored(T0, 0, refused(*range(100, 110)), 110)
    assert state.next_due == clock.now + 60
    assert state.open[T0].is_by_database


def test_refused_now_and_then_they_do_not():
    state = breaker()
    for offset in range(0, 200, 2):
        state.stored(T0, 1, refused(offset), offset + 2)
    assert not state.open


def test_without_a_pause_it_waits_for_a_person():
    state, clock = opened(pause=0.0)
    clock.now += 1e6
    assert (state.due, state.next_due) == ([], inf)
    state.attempt(T0, is_backlog=True)
    assert offsets(state.admit(chunk(0, bad=200))) == (0, 100)
    assert state.next_due == inf


def test_a_takeover_keeps_the_pause_and_its_doubling():
    clock = Clock()
    state = breaker(pause=30, clock=clock)
    state.hold(T0, "garbage", age=70, due_in=20)
    assert state.held == {T0}
    assert state.next_due == clock.now + 20
    clock.now += 20
    state.attempt(T0, is_backlog=False)
    assert not state.take_rewinds(), "nothing was read yet"
    assert offsets(state.admit(chunk(7, bad=10))) == (7, 17)
    assert state.next_due == clock.now + 120


@pytest.mark.parametrize(
    ("age", "due_in", "wait"),
    [(5, -3600, 0), (-3600, 3600, 600), (3600, 5, 5)],
    ids=["set forward", "set back", "long ago"],
)
def test_a_stepped_clock_of_the_server_is_bounded(age, due_in, wait):
    state = breaker(pause=30, clock=Clock())
    state.hold(T0, "garbage", age, due_in)
    assert state.next_due - state.clock() == wait
    state.attempt(T0, is_backlog=False)
    state.admit(chunk(0, bad=10))
    assert 30 <= state.next_due - state.clock() <= 600


def test_a_person_holds_it_until_a_person_closes_it():
    state, clock = opened()
    clock.now += 30
    state.attempt(T0, is_backlog=False)
    state.hold(T0, "opened by `breaker open`")
    assert state.held == {T0}
    assert not state.take_rewinds()
    assert state.admit(chunk(0, good=10)) is None
    clock.now += 1e6
    assert state.due == []
    state.attempt(T0, is_backlog=True)
    assert state.take_rewinds() == {T0: 0}
    assert state.admit(chunk(0, good=10))


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
    """A partition as a worker reads it, some fetches ahead of the agent, and its writes."""

    def __init__(self, state: CircuitBreaker) -> None:
        self.state = state
        self.position = 0
        self.held = False
        self.queue: list[Chunk] = []
        self.buffer: list[Chunk] = []
        self.passed: list[int] = []
        self.stored = 0

    def fetch(self, events: int, bad: bool) -> None:
        good, broken = (0, events) if bad else (events, 0)
        self.queue.append(chunk(self.position, good=good, bad=broken))
        self.position += events

    def take(self) -> None:
        found = self.queue.pop(0)
        if part := self.state.admit(found):
            assert part.start == found.start
            self.passed += range(part.start, part.end)
            self.buffer.append(part)

    def store(self, refuse: bool) -> None:
        for part in self.buffer:
            bad = refused(*part.offsets) if refuse else []
            self.state.stored(T0, part.valid - len(bad), bad, part.end)
        self.buffer.clear()
        self.stored = len(self.passed)

    def follow(self) -> None:
        """What the service does."""
        for offset in self.state.take_rewinds().values():
            self.position = offset
        self.held = T0 in self.state.held

    def revoke(self) -> None:
        self.state.forget()
        self.queue.clear()
        self.buffer.clear()
        del self.passed[self.stored :]
        self.position = self.stored
        self.held = False


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("fetch"), st.integers(1, 30), st.booleans()),
            st.tuples(st.just("store"), st.booleans()),
            st.tuples(st.just("attempt"), st.booleans()),
            st.tuples(st.sampled_from(["take", "take", "follow", "hold", "revoke", "takeover"])),
        ),
        max_size=80,
    )
)
def test_every_event_goes_on_once_and_in_order_whatever_happens(steps):
    clock = Clock()
    state = breaker(window=8, share=0.5, pause=30, clock=clock)
    source = Source(state)
    for step, *arguments in steps:
        if step == "fetch" and not source.held:
            source.fetch(*arguments)
        elif step == "take" and source.queue:
            source.take()
        elif step == "store":
            source.store(*arguments)
        elif step == "attempt":
            clock.now = max(clock.now, min(state.next_due, clock.now + 600))
            state.attempt(T0, is_backlog=arguments[0])
            source.follow()
        elif step == "follow":
            # Some fetches come between the opening and the hold, others wait already.
            source.follow()
        elif step == "hold":
            state.hold(T0, "opened by `breaker open`")
        elif step == "revoke":
            source.revoke()
        elif step == "takeover":
            source.revoke()
            state.hold(T0, "garbage", 100, 5)
            source.follow()
        assert source.passed == list(range(len(source.passed)))
    for _ in range(20):
        while source.queue:
            source.take()
        source.store(refuse=False)
        source.follow()
        state.attempt(T0, is_backlog=False)
        source.follow()
        if not source.held:
            source.fetch(30, bad=False)
    while source.queue:
        source.take()
    assert not state.open, "it closes when what comes is good"
    assert source.passed == list(range(source.position)), "nothing is left out for good"


@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=40),
    st.integers(1, 30),
    st.floats(0.05, 1.0),
)
def test_an_attempt_never_lets_more_through_than_its_windows(chunks, window, share):
    state = breaker(window=window, share=share, pause=30, clock=Clock())
    state.hold(T0, "garbage", 0, 0)
    state.attempt(T0, is_backlog=False)
    position = passed = 0
    for events, bad in chunks:
        if state.held:
            break
        part = state.admit(chunk(position, bad=events if bad else 0, good=0 if bad else events))
        assert part
        passed += part.events
        position = part.end
    assert passed <= window
