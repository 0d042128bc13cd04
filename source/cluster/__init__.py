"""Queries to the brokers outside the consumer: connection, rights, group, topic."""
