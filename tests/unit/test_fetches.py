"""What this app takes over from Faust and aiokafka is still there under that name."""

import inspect

import pytest
from aiokafka.consumer.fetcher import Fetcher
from faust.app.base import App
from faust.transport.drivers import aiokafka as driver

from agents import fetches


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in fetches.OVERRIDDEN.items() for name in names],
)
def test_overridden_names_exist_in_faust(owner, name):
    assert hasattr(owner, name)


def test_faust_still_calls_what_is_overridden():
    consumer = inspect.getsource(driver.Consumer.__mro__[1].__mro__[1])
    for call in ("self.seek_to_committed()", "self._getmany(", "to_message(tp, record)"):
        assert call in consumer
    assert "self._fetch_records," in inspect.getsource(driver.AIOKafkaConsumerThread)


def test_aiokafka_still_gives_records_and_position_in_one_step():
    """A fetch's end is the position when its records are returned: no await may lie between."""
    source = inspect.getsource(Fetcher.fetched_records)
    after = source[source.index("drained[tp] = records") :]
    until_returned = after[
        : after.index("if drained or not timeout:\n                return drained")
    ]
    assert "await" not in until_returned


def test_a_transport_is_still_taken_from_the_app():
    assert vars(App)["transport"].fset is not None
