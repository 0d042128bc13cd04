"""The flash-sale stream: where the domain meets the machinery that carries it."""

from db.schema.sales_tables import ROW_COLUMNS, flash_sale_events
from models.event import as_event, trial_event
from models.fields import FIELD_NAMES
from models.quality import BITS, tally
from models.rules import transform
from models.whole_events import ROWS_BY, whole_rows
from pipeline.quality import Quality
from pipeline.stream import Stream

#: Limits as in `deploy/prometheus/alerts.yml`. A missing user id is a guest: no share is wrong.
QUALITY = Quality(
    flags=tuple(BITS),
    repaired={"price": 0.01},
    repaired_else=0.05,
    filled={"price": 0.05, "quantity": 0.2, "category": 0.2},
    stored={
        "price": "stored as price 0 with revenue 0",
        "quantity": "stored as quantity 1",
        "timestamp": "stored as text, or as NULL where unparsable",
    },
)

FLASH_SALES = Stream(
    table=flash_sale_events.name,
    columns=ROW_COLUMNS,
    transform=transform,
    restore=as_event,
    tally=tally,
    trial=trial_event,
    fields=FIELD_NAMES,
    summed=flash_sale_events.c.revenue.name,
    key=flash_sale_events.c.event_id.name,
    whole_rows=whole_rows,
    rows_by=ROWS_BY,
    quality=QUALITY,
)
