"""The steps of the sales funnel, which the roll-up counts. Only purchases are revenue."""

PURCHASE = "purchase"
#: The funnel step of each event type, compared byte by byte; anything else is `others`.
STEPS = {"view": "views", "add_to_cart": "carts", "cart": "carts", PURCHASE: "purchases"}
OTHERS = "others"
#: Stands for the time of events without one; no stored time has this value.
NO_TIME = "1000-01-01 00:00:00"
