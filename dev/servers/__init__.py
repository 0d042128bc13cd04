"""Servers of this machine alone: brokers, databases, relays; processes that die with us."""
