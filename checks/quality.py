"""What was filled and repaired lately, from the ledger's lines. Pure."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from pipeline.quality import Quality, Share


def recent_shares(quality: Quality, batches: Iterable[Row[Any]], since: datetime) -> list[Share]:
    """The shares among the rows of the batches written since then; replays are left out."""
    rows = 0
    filled: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    for batch in batches:
        if batch.events and batch.written >= since:
            rows += batch.valid
            filled.update(batch.filled)
            repaired.update(batch.repaired)
    return quality.shares(rows, filled, repaired)
