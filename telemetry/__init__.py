"""Errors and traces in other people's tools, where these are installed and asked for."""
