"""Settings, and what they are made of: URLs, TLS, the form of log lines."""
