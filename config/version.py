"""The version of this app, in one place."""

VERSION = "1.0.0"
