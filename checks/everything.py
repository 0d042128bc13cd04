"""Runs all checks, in the order in which a worker would fail."""

import asyncio

from sqlalchemy import Engine

from checks.database import check_database
from checks.kafka import check_kafka
from checks.result import CheckResults
from checks.start_offsets import check_offsets
from config.load import env_files, variables, warnings
from config.pages import readers
from config.settings import Settings
from db.write.offsets import OffsetStore
from pipeline.stream import Stream
from source.cluster.auth import Cluster
from source.records import packing


async def check_everything(
    settings: Settings, cluster: Cluster, topic: str, stream: Stream, engine: Engine
) -> CheckResults:
    """Check settings, Kafka, database and stored offsets, as far as they can be reached."""
    results = CheckResults()
    results.ok("Settings", "complete and well formed")
    for sentence in warnings(variables(env_files())):
        found, _, hint = sentence.rstrip(".").partition(": ")
        results.warn("Settings", found, hint)
    hint = "see docs/deploy.md#the-compiled-module"
    results.ok("Rows", f"made by {stream.rows_by}", "" if stream.whole_rows else hint)
    results.ok("Batches", f"read by {packing.read_by()}", "" if packing.is_packing() else hint)
    who, hint = readers(settings.web_bind, has_token=settings.web_token is not None)
    results.ok("Pages", f"those that show events are served {who}", hint)
    group, deduplicate = settings.consumer_group, settings.deduplicate
    bounds = await check_kafka(cluster, topic, group, results)
    needed = deduplicate, settings.retentions, settings.database_tls
    done = await asyncio.to_thread(check_database, engine, stream, results, *needed)
    if done and bounds:
        await asyncio.to_thread(
            check_offsets,
            OffsetStore(engine, group),
            topic,
            bounds,
            results,
            from_beginning=settings.starting_offsets == "earliest",
        )
    return results
