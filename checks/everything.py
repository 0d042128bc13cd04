"""Runs all checks, in the order in which a worker would fail."""

import asyncio

from sqlalchemy import Engine

from checks.database import check_database
from checks.kafka import check_kafka
from checks.result import CheckResults
from checks.start_offsets import check_offsets
from config.load import env_files, variables, warnings
from config.settings import Settings
from db.write.offsets import OffsetStore
from models.whole_events import ROWS_BY, whole_rows


async def check_everything(settings: Settings, engine: Engine) -> CheckResults:
    """Check settings, Kafka, database and stored offsets, as far as they can be reached."""
    results = CheckResults()
    results.ok("Settings", "complete and well formed")
    for sentence in warnings(variables(env_files())):
        found, _, hint = sentence.rstrip(".").partition(": ")
        results.warn("Settings", found, hint)
    hint = "" if whole_rows else "see docs/deploy.md#the-compiled-module"
    results.ok("Rows", f"made by {ROWS_BY}", hint)
    bounds = await check_kafka(settings, results)
    deduplicate = settings.deduplicate
    if await asyncio.to_thread(check_database, engine, results, deduplicate) and bounds:
        store = OffsetStore(engine, settings.consumer_group)
        await asyncio.to_thread(check_offsets, settings, store, bounds, results)
    return results
