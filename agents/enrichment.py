"""The agent: transforms each fetch and hands it to the flusher, past the circuit breaker."""

import faust

from agents.breaker_service import BreakerService
from pipeline.chunk import Chunk
from pipeline.flusher import Flusher
from pipeline.stream import Stream
from source.fetch_thread import Fetch


def enrichment(
    app: faust.App,
    topic: faust.TopicT,
    events: Stream,
    breakers: BreakerService,
    flusher: Flusher,
) -> None:
    """Register the agent on the app: what the topic has become events of this stream."""

    @app.agent(topic, name="enrichment")
    async def enrich(stream: faust.StreamT[Fetch]) -> None:
        # `noack` is how Faust gives events with their messages; its interface does not tell.
        async for event in stream.noack().events():  # type: ignore[attr-defined]
            tp = event.message.tp
            fetch: Fetch = event.value
            try:
                chunk = Chunk.transform(
                    events,
                    tp.topic,
                    tp.partition,
                    fetch.start,
                    fetch.end,
                    fetch.records,
                    last=fetch.last,
                    lease=fetch.lease,
                )
            except Exception as error:
                # Faust would restart the agent and skip this fetch; better no worker than that.
                await flusher.crash(error)
                return
            # Names keep a fetch alive, and its memory counted, until the next one comes.
            del fetch, event
            if breakers.admit(chunk):
                flusher.put(chunk)
            del chunk
