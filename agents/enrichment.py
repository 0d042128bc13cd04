"""The agent: transforms each fetch and hands it to the flusher, past the circuit breaker."""

import faust

from agents.breaker_service import BreakerService
from pipeline.chunk import Chunk
from pipeline.lane import Lane
from pipeline.partition import Partition
from source.fetch import Fetch


def enrichment(app: faust.App, topic: faust.TopicT, lane: Lane, breakers: BreakerService) -> None:
    """Register the agent on the app; the topic's fetches go into this lane."""

    @app.agent(topic, name="enrichment")
    async def enrich(stream: faust.StreamT[Fetch]) -> None:
        # With `noack`, Faust hands out events with their messages; its type hints lack this.
        async for event in stream.noack().events():  # type: ignore[attr-defined]
            fetch: Fetch = event.value
            try:
                chunk = Chunk.transform(
                    lane.stream,
                    Partition(*event.message.tp),
                    fetch.start,
                    fetch.end,
                    fetch.records,
                    last=fetch.last,
                    lease=fetch.lease,
                )
            except Exception as error:
                # Faust would restart the agent and skip this fetch: end the worker instead.
                await lane.flusher.crash(error)
                return
            # Local names would keep the fetch in memory until the next one arrives.
            del fetch, event
            if admitted := breakers.admit(chunk):
                lane.flusher.put(admitted)
            del chunk, admitted
