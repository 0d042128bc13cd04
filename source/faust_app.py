"""Faust's app, configured for this one."""

import os
import tempfile
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables import TableManager
from faust.web.drivers import aiohttp as web
from mode.utils.logging import get_logger

from config.logging import logging_config
from config.settings import Settings
from pipeline.log_events import named
from pipeline.memory import return_freed_memory, tune_gc
from source.cluster.auth import credentials
from source.quiet import QuietMonitor

log = get_logger(__name__)

#: Seconds between heartbeats at most.
HEARTBEAT_INTERVAL = 3.0


class Boot(BootStrategy):
    """What Faust starts: no producer, as nothing is sent."""

    enable_kafka_producer = False


class NoTables(TableManager):
    """Does not wait a second, as Faust does at a start, for tables to register: there are none."""

    async def on_start(self) -> None:
        """Start what assigns partitions."""
        await self._update_channels()
        await self.recovery.start()


class FaustApp(faust.App):
    """A Faust app without Faust's offsets, decoding and pages.

    Args:
        settings: of the app.
        options: further options of ``faust.App``.
    """

    BootStrategy = Boot

    def __init__(self, settings: Settings, **options: Any) -> None:
        # The pages are served before the worker's first line, which stays the first.
        web.Web.mundane_level = web.Server.mundane_level = "debug"
        name = settings.instance_id
        super().__init__(
            settings.consumer_group,
            broker=settings.brokers,
            broker_credentials=credentials(settings),
            logging_config=logging_config(settings.log_format),
            store="memory://",
            datadir=Path(tempfile.gettempdir()) / f"flash-sale-etl-{os.getuid()}",
            web_bind=settings.web_bind,
            web_port=settings.port,
            web_router_enabled=False,
            web_tables_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            Monitor=QuietMonitor,
            TableManager=NoTables,
            # A message is a fetch of up to 4000 events; at most 4 fetches wait for the agent.
            broker_max_poll_records=4000,
            stream_buffer_maxsize=4,
            # Nothing is ever acknowledged, so Faust has nothing to commit.
            broker_commit_interval=60.0,
            # Bytes per partition; more costs memory and gains no speed.
            consumer_max_fetch_size=131_072,
            # Unacknowledged messages are not waited for: offsets are kept in the database.
            stream_wait_empty=False,
            consumer_group_instance_id=name,
            # Faust's assignor ends a worker whose assignment names another address, and the broker
            # keeps a static member's while host and port may change.
            canonical_url=f"http://{name}" if name else "",
            broker_session_timeout=settings.session_timeout,
            # A rebalance is noticed this soon, so a long session does not make it slow.
            broker_heartbeat_interval=min(HEARTBEAT_INTERVAL, settings.session_timeout / 3),
            # Faust rejects a session timeout above the request timeout, 90 s by default.
            broker_request_timeout=max(90.0, settings.session_timeout),
            # Positions come only from the database; `FetchThread` handles a fetch out of range.
            consumer_auto_offset_reset="none",
            # Added partitions are noticed this soon, and so is a deleted topic.
            consumer_metadata_max_age_ms=30_000,
            **options,
        )
        self._lacks_name = bool(settings.group_instance_id) and name is None
        # aiokafka removes a consumer for good that reads nothing for this long (s). It is set
        # here so that no environment variable of Faust's changes it.
        self.conf.broker_max_poll_interval = 1e6

    async def on_first_start(self) -> None:
        """Tune memory before and after Faust has started."""
        if self._lacks_name:
            log.warning(
                "GROUP_INSTANCE_ID=auto finds no name that this worker keeps: it is neither a pod "
                "of a StatefulSet nor a dyno. Its restarts interrupt the other workers.",
                extra=named("instance_unnamed"),
            )
        return_freed_memory()
        await super().on_first_start()
        tune_gc()
