"""Whether what arrives continues the log that was read.

Each election of a partition's leader begins another leader epoch, and every batch has the one it
was written under. A clean election leaves the log as it was. An unclean one may cost it its end,
and the offsets there are given to other events: reading on where one was would skip these. A topic
that was made again has epochs of its own. So where a batch arrives of another epoch than that of
the last record read, the log is asked for that record before any of the batch is delivered.
"""

import asyncio
from collections.abc import Mapping

from aiokafka.errors import KafkaError
from faust.types import TP
from mode.utils.logging import get_logger

from pipeline.errors import why
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.record import LastRecord
from source.start_offsets import Logs, OtherLogError, is_same

log = get_logger(__name__)

#: Seconds that a log may take to answer; then it is asked again.
ANSWER_TIMEOUT = 5.0


class Continuity:
    """Remembers the last record read of each partition, and compares it with the log.

    Args:
        logs: the logs, asked in the thread that reads.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._last: dict[TP, LastRecord] = {}
        #: The epochs whose batches may be delivered.
        self._epochs: dict[TP, int] = {}

    def begin(self, records: Mapping[TP, LastRecord | None]) -> None:
        """Replace the partitions by these, with the last record read of each, where it is known."""
        self._last = {tp: last for tp, last in records.items() if last is not None}
        self._epochs = {tp: last.epoch for tp, last in self._last.items()}

    def read(self, tp: TP, last: LastRecord) -> None:
        """This is the last record now."""
        self._last[tp] = last
        self._epochs[tp] = last.epoch

    def is_known(self, tp: TP, epoch: int | None) -> bool:
        """Whether a batch of this epoch continues what was read; None is no batch."""
        return epoch is None or self._epochs.get(tp, epoch) == epoch

    async def compare(self, epochs: Mapping[TP, int | None]) -> None:
        """Learn whether batches of these epochs continue what was read.

        A record that compaction or retention removed is not compared. Where the log does not
        answer, nothing is learnt.

        Raises:
            OtherLogError: another record is where the last one was read.
        """
        asked = {tp: self._last[tp] for tp, epoch in epochs.items() if not self.is_known(tp, epoch)}
        if not asked:
            return
        records = {Partition(*tp): last for tp, last in asked.items()}
        try:
            found = await asyncio.wait_for(self._logs.identify(records), ANSWER_TIMEOUT)
        except (KafkaError, TimeoutError) as error:
            reason = why(error) if isinstance(error, KafkaError) else "no answer"
            log.info(
                "The log after an election cannot be compared with what was read: %s",
                reason,
                extra=named("logs_not_compared"),
            )
            return
        for tp, last in asked.items():
            if self._last.get(tp) is not last:
                continue  # from before the last seek
            partition = Partition(*tp)
            answer = found[partition]
            if answer is not None and not is_same(answer, last):
                raise OtherLogError.of(partition, last.offset)
            epoch = epochs[tp]
            assert epoch is not None
            self._epochs[tp] = epoch
