"""The steps of the sales funnel, which the sums count. Only a purchase is revenue."""

PURCHASE = "purchase"
#: A step of the funnel, by what producers call it, byte by byte; anything else is `others`.
STEPS = {"view": "views", "add_to_cart": "carts", "cart": "carts", PURCHASE: "purchases"}
OTHERS = "others"
#: When an event without a time happened: what no stored time can be.
NO_TIME = "1000-01-01 00:00:00"
