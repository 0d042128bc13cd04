"""Settings and their parts: URLs, TLS, the format of log lines."""
