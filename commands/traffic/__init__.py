"""Simulated traffic."""

#: What the ids of simulated events begin with, before a hyphen, unless said otherwise.
PREFIX = "sim"
