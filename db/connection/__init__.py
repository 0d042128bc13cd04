"""Opens and sets up database sessions, tells them apart, and classifies the server's errors."""
