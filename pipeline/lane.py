"""A lane: carries the events of one stream into its table."""

from typing import NamedTuple

from pipeline.flush.flusher import Flusher
from pipeline.stream import Stream


class Lane(NamedTuple):
    """A stream, and the flusher that buffers its events and writes them. A worker has one lane.

    A second topic, or a second database for some partitions, would be another lane.
    """

    stream: Stream
    flusher: Flusher
