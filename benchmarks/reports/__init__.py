"""Results as tables and JSON, and the targets they are held against."""
