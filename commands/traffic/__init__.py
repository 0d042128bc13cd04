"""Simulated traffic."""

#: Default prefix of simulated events' ids, before a hyphen.
PREFIX = "sim"
